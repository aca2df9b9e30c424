"""What was exported is read by the prebuilt llama-server as it was meant."""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from waiting import wait_until

from kvtui.server.binary.abilities import adapt_argv
from kvtui.server.binary.environment import child_environment
from kvtui.server.binary.exports import environment_file, server_preset
from kvtui.server.binary.inspect import ServerBinary
from kvtui.server.http.client import ServerClient
from kvtui.server.process.ports import free_port
from kvtui.server.process.start import server_command

XDG = ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")


@pytest.mark.usefixtures("computes")
def test_environment_file_is_read_by_the_server_itself(binary: ServerBinary, gemma: Path, tmp_path: Path) -> None:
    """The same flags as variables give the same log lines."""
    argv, _ = adapt_argv(["-c", "1024", "-np", "1", "-ngl", "0", "-nkvo", "-ctk", "q8_0", "-fit", "off"], binary)
    path = tmp_path / "plan.env"
    path.write_text(environment_file(gemma, argv, {}, binary))
    port = str(free_port(0).port)
    seen = _context_lines(["sh", "-c", 'set -a; . "$1"; shift; exec "$@"', "sh", path, binary.path], binary, port)
    command, _ = server_command(binary, gemma, argv, int(port), "127.0.0.1")
    assert seen == _context_lines(list(command), binary, port)
    assert any("K (q8_0)" in line for line in seen)


def _context_lines(command: list[object], binary: ServerBinary, port: str) -> list[str]:
    """What a server says of its context, until it listens."""
    argv = [*map(str, command), "--port", port, "-lv", "4", "--no-warmup"]
    child = subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=child_environment(binary.path)
    )
    assert child.stdout is not None
    bound = threading.Timer(30, child.kill)
    bound.start()
    lines = []
    for line in child.stdout:
        if found := re.search(r"(llama_context: n_\w+ .*|llama_kv_cache.*size = .*)", line):
            lines.append(found[1])
        if "all slots are idle" in line:
            child.send_signal(signal.SIGINT)
    bound.cancel()
    child.stdout.close()
    assert child.wait(30) == 0
    return lines


def test_preset_is_read_by_the_server_itself(binary: ServerBinary, gemma: Path, tmp_path: Path) -> None:
    path = tmp_path / "presets.ini"
    argv, _ = adapt_argv(["-c", "1024", "-np", "1", "-nkvo", "-ctk", "q8_0", "-fit", "off"], binary)
    path.write_text(server_preset("gemma", gemma, argv, binary))
    port = free_port(0).port
    child = subprocess.Popen(
        [binary.path, "--models-preset", path, "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=child_environment(binary.path, {"HOME": str(tmp_path), "LLAMA_CACHE": str(tmp_path)}),
    )
    try:
        client = ServerClient(f"http://127.0.0.1:{port}")
        wait_until(lambda: client.health().state == "ready", "the router is ready")
        listed = client._json("GET", "/v1/models")
        (model,) = [m for m in listed["data"] if m["id"] == "gemma"]
        words = model["status"]["args"]
        for option, value in (("--ctx-size", "1024"), ("--cache-type-k", "q8_0"), ("--model", str(gemma))):
            assert words[words.index(option) + 1] == value
        assert "--no-kv-offload" in words
    finally:
        child.kill()
        child.wait()


@pytest.mark.usefixtures("computes")
def test_a_router_has_all_models_loaded_by_itself(binary: ServerBinary, gemma: Path, tmp_path: Path) -> None:
    """Two of them, planned and loaded together; one argument stays one argument."""
    command = [sys.executable, "-m", "kvtui", "export", "router", gemma, gemma, "-c", "512", "-np", "1", "--ram", "8GiB"]
    port = free_port(0).port
    command += ["--port", str(port), "--llama-server", binary.path]
    written = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True, env=own(tmp_path)).stdout
    path = tmp_path / "router.ini"
    path.write_text(written)
    start = written.splitlines()[0].removeprefix("; ").replace(" FILE ", f" {shlex.quote(str(path))} ")
    child = subprocess.Popen(
        ["sh", "-c", f"exec env {start}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=own(tmp_path)
    )
    try:
        client = ServerClient(f"http://127.0.0.1:{port}")
        wait_until(lambda: client.health().state == "ready", "the router is ready")

        def states() -> list[str]:
            return [m["status"]["value"] for m in client._json("GET", "/v1/models")["data"] if "gemma" in m["id"]]

        wait_until(lambda: child.poll() is not None or ("loading" not in (seen := states()) and bool(seen)), "they are loaded")
        assert states() == ["loaded", "loaded"]
        words = [m["status"]["args"] for m in client._json("GET", "/v1/models")["data"]]
        assert all(w[w.index("--ctx-size") + 1] == "512" and w[w.index("--model") + 1] == str(gemma) for w in words)
    finally:
        child.terminate()
        child.wait(30)


def own(folder: Path) -> dict[str, str]:
    """An environment with nothing of the person who runs the tests."""
    return {**os.environ, "HOME": str(folder), "LLAMA_CACHE": str(folder), **dict.fromkeys(XDG, str(folder))}
