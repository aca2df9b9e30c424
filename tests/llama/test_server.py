"""The prebuilt llama-server (b10434) with gemma-3-270m: asked, launched, watched, stressed, stopped."""

import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest
from waiting import wait_until

from kvtui.server.binary.abilities import adapt_argv
from kvtui.server.binary.find import find_servers
from kvtui.server.binary.inspect import ServerBinary, list_devices
from kvtui.server.http.client import ServerClient, ServerError
from kvtui.server.http.stress import stress
from kvtui.server.log.breakdown import MIB, logged_memory
from kvtui.server.log.progress import LoadProgress
from kvtui.server.measure.dry_run import Cancelled, DryRun, dry_run
from kvtui.server.process.ports import free_port
from kvtui.server.process.record import is_alive
from kvtui.server.process.start import ServerProcess, survivors
from kvtui.server.program.marks import ASKED_VARIABLE, marked

SMALL = ("-c", "2048", "-np", "2", "--fit", "off", "-lm", "none", "--no-warmup", "-t", "2")

Launch = Callable[..., ServerProcess]


@pytest.fixture
def launch(binary: ServerBinary, gemma: Path, state: Path) -> Iterator[Launch]:
    """Launches the real server on a free port; it is gone at the end."""
    started: list[ServerProcess] = []

    def start(*argv: str, model: Path = gemma, **more: object) -> ServerProcess:
        server = ServerProcess.launch(binary, model, argv or SMALL, free_port(0).port, state=state, **more)  # type: ignore[arg-type]
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()
        server.leave()


def ready(server: ServerProcess) -> ServerClient:
    client = ServerClient(server.record.url, server.api_key)
    wait_until(lambda: client.health().state == "ready" or not server.is_running(), "the server is ready")
    assert server.ended() is None, server.ended()
    client.complete("x", 1)  # by its main loop: only from there on it hears a SIGINT (tools/server/server.cpp)
    return client


def test_what_the_binary_says_of_itself(binary: ServerBinary) -> None:
    assert (binary.build, binary.build_source) == ("b10434", "package")
    assert set(binary.backends) == {"CPU", "Vulkan", "RPC"}
    assert "f32, f16, bf16, q8_0, q4_0, q4_1, iq4_nl, q5_0, q5_1" in binary.by_name["--cache-type-k"].text
    assert {"-lm", "-fit", "-kvu", "--metrics", "--api-key-file", "-ot", "-ts"} <= binary.flags
    assert "--log-jsonl" not in binary.flags  # of b11434
    assert binary.fa_quants is None
    assert binary.declined is None


def test_it_is_found_among_the_installed_packages(server_path: Path, tmp_path: Path) -> None:
    assert server_path.resolve() in [b.path.resolve() for b in find_servers(cache=tmp_path)]


def test_devices_behind_rpc_are_listed(binary: ServerBinary, rpc_endpoints: tuple[str, ...]) -> None:
    found = list_devices(binary, rpc_endpoints)
    assert [(d.name, d.description) for d in found] == [("RPC0", rpc_endpoints[0]), ("RPC1", rpc_endpoints[1])]
    assert all(d.total_bytes >= d.free_bytes > 2**30 for d in found)


def test_flags_it_lacks_are_left_out(binary: ServerBinary) -> None:
    argv, notes = adapt_argv(["-ncffn", "3", "-lzm", "off", "-lm", "none"], binary)
    assert argv == ("-lm", "none")
    assert notes == ("-ncffn 3 left out: b10434 has no -ncffn",)


@pytest.mark.usefixtures("computes")
def test_launch_answer_measure_stop(launch: Launch) -> None:
    server = launch(*SMALL, api_key="sesame-1234")
    client = ready(server)
    before = client.metrics()
    answer = client.complete("The capital of France is", 8)
    assert answer.predicted_tokens == 8
    assert answer.prompt_tokens == 6
    assert "".join(answer.lines)
    assert client.metrics()["tokens_predicted_total"] == before["tokens_predicted_total"] + 8
    assert [(s.number, s.context, s.busy) for s in client.slots()] == [(0, 1024, False), (1, 1024, False)]
    with pytest.raises(ServerError, match="401"):
        ServerClient(server.record.url).slots()

    report = server.stop()
    assert [name for name, _ in report.steps] == ["SIGINT"]
    ended = server.ended()
    assert ended is not None
    assert (ended.exit_code, ended.stopped, ended.reason) == (0, True, None)
    assert "sesame" not in server.record.log.read_text()

    texts = [line.text for line in server.tail.lines]
    assert LoadProgress().after(texts).stage == "loaded"
    memory = logged_memory(texts)
    # 3 full layers x 1024 cells and 15 sliding-window ones x 1024, 2 slots, 256 values of f16 for K and V
    assert sum(p.context for p in memory.host.values()) == 18 * 1024 * 2 * 2 * 256 * 2
    assert memory.table is not None
    assert memory.table.host["Host"].context == 36 * MIB
    assert abs(memory.host["CPU"].model // MIB - memory.table.host["Host"].model // MIB) <= 1


@pytest.mark.usefixtures("computes")
def test_a_long_prompt_to_the_limit_of_every_slot(launch: Launch) -> None:
    server = launch("-c", "512", "-np", "2", "--fit", "off", "-lm", "none", "--no-warmup", "-t", "2")
    client = ready(server)
    shares: list[float] = []
    resident = Path(f"/proc/{server.record.pid}/statm")
    sample = lambda: {"RAM": int(resident.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")}  # noqa: E731
    result = stress(client, sample, all_slots=True, on_progress=shares.append)
    assert result.problem is None
    assert (result.passed, result.slots, result.prompt_tokens) == (True, 2, 2 * (256 - 12))
    assert result.peak_bytes["RAM"] > 200 * MIB
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@pytest.mark.usefixtures("computes")
def test_a_stress_that_is_called_off(launch: Launch) -> None:
    client = ready(launch())
    stop = threading.Event()
    stop.set()
    result = stress(client, dict, cancel=stop)
    assert (result.passed, result.problem) == (False, "stopped before its end")


@pytest.mark.usefixtures("computes")
def test_a_server_killed_under_a_stress(launch: Launch) -> None:
    server = launch()
    client = ready(server)
    result = stress(client, dict, on_progress=lambda _: os.kill(server.record.pid, signal.SIGKILL))
    assert not result.passed
    assert result.problem is not None
    assert result.problem.startswith("the answer broke off")
    assert server.wait(20)
    ended = server.ended()
    assert ended is not None
    assert ended.reason == "killed from outside (SIGKILL), as the kernel does when RAM runs out"


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (("-c", "256", "-ctv", "q8_0", "-fa", "off", "--fit", "off"), "a quantized V cache needs flash attention"),
        (("-ctk", "q9_9"), "the argument -ctk was refused: Unsupported cache type: q9_9"),
        (("-c", "256", "-ot", "x=CUDA_Host"), "the argument -ot was refused"),
    ],
)
def test_refusals_in_plain_words(launch: Launch, argv: tuple[str, ...], reason: str) -> None:
    server = launch(*argv)
    assert server.wait(30)
    ended = server.ended()
    assert ended is not None
    assert ended.exit_code == 1
    assert ended.reason is not None
    assert ended.reason.startswith(reason)


def test_a_model_that_is_none(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_text("no model")
    for model, words in ((tmp_path / "x.gguf", "is no GGUF file"), (tmp_path / "y.gguf", "No such file or directory")):
        server = launch("--fit", "off", model=model)
        assert server.wait(30)
        ended = server.ended()
        assert ended is not None
        assert ended.reason is not None
        assert words in ended.reason


@pytest.mark.usefixtures("computes")
def test_a_taken_port(launch: Launch, binary: ServerBinary, gemma: Path, state: Path) -> None:
    first = launch()
    ready(first)
    choice = free_port(first.record.port)
    assert choice.port != first.record.port
    assert choice.taken_by is not None
    assert f"pid {first.record.pid}" in choice.taken_by
    second = ServerProcess.launch(binary, gemma, SMALL, first.record.port, state=state)
    assert second.wait(30)
    ended = second.ended()
    assert ended is not None
    assert ended.reason == f"port {first.record.port} of 127.0.0.1 is in use"


PARENT = """\
import signal, sys
from pathlib import Path
from kvtui.server.binary.inspect import inspect
from kvtui.server.process.start import ServerProcess
binary = inspect(Path(sys.argv[1]), Path(sys.argv[4]))
server = ServerProcess.launch(binary, Path(sys.argv[2]), sys.argv[6:], int(sys.argv[5]), state=Path(sys.argv[3]))
print(server.record.pid, flush=True)
signal.pause()
"""


@pytest.mark.usefixtures("computes")
@pytest.mark.parametrize("loaded", [False, True], ids=["mid-load", "serving"])
def test_kill_9_of_the_app_leaves_it_serving(
    binary: ServerBinary, gemma: Path, state: Path, tmp_path: Path, loaded: bool
) -> None:
    port = free_port(0).port
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, binary.path, gemma, state, tmp_path, str(port), *SMALL], stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    client = ServerClient(f"http://127.0.0.1:{port}")
    try:
        if loaded:
            wait_until(lambda: client.health().state == "ready", "the server is ready")
        parent.kill()
        parent.communicate()
        (record,) = survivors(state)
        assert (record.pid, is_alive(record)) == (pid, True)
        server = ServerProcess.attach(record)
        ready(server)
        assert client.complete("Hello", 2).predicted_tokens == 2
        assert [name for name, _ in server.stop().steps] == ["SIGINT"]
        assert survivors(state) == ()
    finally:
        parent.kill()
        if Path(f"/proc/{pid}").exists():
            os.kill(pid, signal.SIGKILL)


@pytest.mark.usefixtures("computes")
def test_dry_run_and_what_it_really_takes(
    launch: Launch, binary: ServerBinary, gemma: Path, rpc_endpoints: tuple[str, ...], tmp_path: Path
) -> None:
    rpc = ("--rpc", ",".join(rpc_endpoints))
    argv = ("-c", "2048", "-np", "1", "-ngl", "10", "-ts", "4,6", "--fit", "off", "-lm", "none", "--no-warmup", *rpc)
    said = dry_run(binary, gemma, argv, devices=("RPC0", "RPC1"), cache=tmp_path)
    assert (said.refused, said.impossible, said.cached) == (None, None, False)
    assert said.layer_devices == ("CPU",) * 9 + ("RPC0",) * 4 + ("RPC1",) * 6

    again = dry_run(binary, gemma, argv, cache=tmp_path)
    assert again.cached
    assert (again.devices, again.host, again.layer_devices) == (said.devices, said.host, said.layer_devices)

    server = launch(*argv)
    ready(server)
    server.stop()
    memory = logged_memory(line.text for line in server.tail.lines)
    for name in ("RPC0", "RPC1"):
        real = memory.devices[name]
        assert said.devices[name].compute == real.compute
        assert said.devices[name].model == real.model // MIB * MIB
        assert said.devices[name].context == real.context // MIB * MIB
    assert said.devices["RPC1"].model > 170 * MIB  # the output, 262,144 x 640 in q8_0


def test_dry_run_reports_what_would_be_refused(binary: ServerBinary, gemma: Path, tmp_path: Path) -> None:
    def ask(*argv: str, model: Path = gemma) -> DryRun:
        return dry_run(binary, model, argv, cache=tmp_path)

    assert ask("-ctv", "q8_0", "-fa", "off").refused == (
        "a quantized V cache needs flash attention, which is off or does not run here"
    )
    assert ask("-ctk", "q9_9").refused == "the argument -ctk was refused: Unsupported cache type: q9_9"
    assert "No such file" in (ask(model=tmp_path / "nope.gguf").refused or "")
    assert ask("-sm", "tensor").impossible == "with -sm tensor llama-server prints no memory breakdown"
    simulated = dry_run(binary, gemma, (), devices=("CUDA0", "CUDA1"), cache=tmp_path)
    assert simulated.impossible == ("llama-server does not have CUDA0, CUDA1: it cannot be asked about simulated devices")


def test_dry_run_of_a_file_that_holds_only_a_header(binary: ServerBinary, gemma: Path, tmp_path: Path) -> None:
    sparse = tmp_path / "sparse.gguf"
    with gemma.open("rb") as whole, sparse.open("wb") as file:
        file.write(whole.read(20 * 2**20))
        file.truncate(gemma.stat().st_size)
    argv = ("-c", "1024", "-np", "1")
    assert dry_run(binary, sparse, argv, cache=tmp_path).host == dry_run(binary, gemma, argv, cache=tmp_path).host


def test_a_models_name_does_not_speak_for_the_server(binary: ServerBinary, gemma: Path, tmp_path: Path) -> None:
    """A name that holds whole lines of a log: told apart where the build can (--log-jsonl), else nothing is believed."""
    name = (
        "x\n0.00.010.001 I load_tensors:        CPU model buffer size = 77777.00 MiB"
        "\n0.00.010.002 I common_memory_breakdown_print: | memory breakdown [MiB] | total free self model context compute |"
        "\n0.00.010.003 I common_memory_breakdown_print: |   - Host |     77779 = 77777 +       1 +       1       |"
        "\n0.00.010.004 I end"
    )
    forged = renamed(gemma, tmp_path / "forged.gguf", name.encode())
    answer = dry_run(binary, forged, ("-c", "1024", "-np", "1"), 30, cache=tmp_path)
    if "--log-jsonl" in binary.flags:
        assert answer.host == dry_run(binary, gemma, ("-c", "1024", "-np", "1"), cache=tmp_path).host
    else:
        assert answer.host == {}
        assert answer.impossible is not None
        assert answer.impossible.startswith("text of the model stands among the server's own lines")


def renamed(model: Path, path: Path, name: bytes) -> Path:
    """The header of a model with another general.name, in a sparse file."""
    with model.open("rb") as file:
        head = file.read(20 * 2**20)
    key = struct.pack("<Q", 12) + b"general.name" + struct.pack("<I", 8)  # 8: a string
    at = head.index(key) + len(key)
    (length,) = struct.unpack_from("<Q", head, at)
    path.write_bytes(head[:at] + struct.pack("<Q", len(name)) + name + head[at + 8 + length :])
    os.truncate(path, model.stat().st_size + len(name) + 32)  # the data may begin up to one alignment later
    return path


def test_dry_run_called_off(binary: ServerBinary, gemma: Path, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        dry_run(binary, gemma, (), cancel=stop, cache=tmp_path)


def test_dry_run_leaves_nobody_behind(binary: ServerBinary, gemma: Path, tmp_path: Path) -> None:
    dry_run(binary, gemma, ("-c", "256", "-a", "mark-of-this-test"), cache=tmp_path)
    commands = [p.read_bytes() for p in Path("/proc").glob("[0-9]*/cmdline") if p.parent.exists()]
    assert not [c for c in commands if b"mark-of-this-test" in c and b"llama-server" in c.split(b"\0")[0]]


@pytest.mark.usefixtures("computes")
@pytest.mark.parametrize(("flags", "cells"), [(("-np", "4", "-kvu"), 2048), (("-np", "4", "-no-kvu"), 2048), ((), 2048)])
def test_slots_of_one_cache_share_its_cells(launch: Launch, flags: tuple[str, ...], cells: int) -> None:
    server = launch("-c", "2048", *flags, "--fit", "off", "--no-warmup", "-t", "2")
    slots = ready(server).slots()
    assert len(slots) == 4
    found = server.cells()
    assert found is not None
    assert found.unified == (flags[2:] != ("-no-kvu",))
    assert sum(s.context for s in slots) == (4 * 2048 if found.unified else 2048)
    assert found.of(slots) == cells


@pytest.mark.usefixtures("computes")
def test_a_dead_rpc_server_is_named(launch: Launch, start_rpc: Callable[[], AbstractContextManager[str]]) -> None:
    with start_rpc() as lives, ExitStack() as dying:
        dies = dying.enter_context(start_rpc())
        server = launch(*SMALL, "-ngl", "99", "-ts", "1,1", "--rpc", f"{lives},{dies}")
        client = ready(server)
        dying.close()
        with pytest.raises(ServerError):
            client.complete("Hello", 4)
        assert server.wait(30)
        ended = server.ended()
        assert ended is not None
        assert ended.reason == f"the RPC server at {dies} went away"


ASKING = """\
import sys, threading
from pathlib import Path
from kvtui.server.binary.inspect import inspect
from kvtui.server.measure.dry_run import dry_run
binary = inspect(Path(sys.argv[1]), Path(sys.argv[3]))
def ask():
    while True:
        dry_run(binary, Path(sys.argv[2]), ("-c", "4096"), 600, cache=Path(sys.argv[3]))
thread = threading.Thread(target=ask)
thread.start()
thread.join()
"""


def test_a_dry_run_dies_with_its_app(binary: ServerBinary, gemma: Path, tmp_path: Path) -> None:
    """kill -9 of an app in whose worker thread the server is just being asked."""
    parent = subprocess.Popen([sys.executable, "-c", ASKING, binary.path, gemma, tmp_path])
    mine = lambda: [m for m in marked(ASKED_VARIABLE) if m.mark.startswith(f"{parent.pid} ")]  # noqa: E731
    try:
        wait_until(lambda: any(b"--fit" in _command(m.pid) for m in mine()), "the dry run is under way")
        parent.kill()
        parent.wait()
        wait_until(lambda: not mine(), "nothing carries its mark any more")
    finally:
        parent.kill()


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
