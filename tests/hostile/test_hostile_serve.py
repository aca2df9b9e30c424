"""Programs that behave badly as llama-server in the foreground: what they print, what they ignore, what they leave behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kvtui.server.program.marks import LAUNCH_VARIABLE, marked

RUN = """
import sys
from pathlib import Path
from kvtui.server.binary.help import parse_help
from kvtui.server.binary.inspect import ServerBinary
from kvtui.server.process.foreground import run_foreground
binary = ServerBinary(Path(sys.argv[1]), "b11434", "version", "", ("CPU",), parse_help("--port PORT  port\\n--host HOST  host"))
say = lambda text: print(text, file=sys.stderr, flush=True)
sys.exit(run_foreground(binary, Path("m.gguf"), (), {}, "127.0.0.1", 18080, False, say))
"""
ENDLESS = "while True: time.sleep(60)"
OBEYED = {
    "a colour": b"\x1b[31mred\x1b[0m",
    "the clipboard": b"\x1b]52;c;ZWNobyBoaQ==\x07",
    "a link": b"\x1b]8;;http://example.org/\x1b\\link\x1b]8;;\x1b\\",
    "a string without end": b"\x1bPq#0",
    "C1 in UTF-8": b"\xc2\x9b31mred",
    "C1 as a byte": b"\x9b31mred \xff\xfe",
    "the direction": "\u202egnp.exe\u202c".encode(),
    "no width": "a\u200bb".encode(),
    "the line's beginning": b"abc\rd\x08\x7f\x00",
    "marks over other lines": ("x" + "\u0301" * 50).encode(),
}


def serving(folder: Path, code: str) -> "subprocess.Popen[bytes]":
    path = folder / "llama-server"
    path.write_text(f"#!{sys.executable}\nimport os, signal, sys, time\n{code}\n")
    path.chmod(0o755)
    command = [sys.executable, "-c", RUN, str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("stream", [1, 2], ids=["stdout", "stderr"])
@pytest.mark.parametrize("said", OBEYED.values(), ids=OBEYED)
def test_nothing_that_a_terminal_obeys_comes_through(said: bytes, stream: int, tmp_path: Path) -> None:
    out = serving(tmp_path, f"os.write({stream}, b'before\\n' + {said!r} + b'\\nafter\\n')").communicate()[stream - 1].decode()
    shown, _, end = out.partition("before\n")[2].partition("\nafter\n")
    assert end == ""
    assert all(c.isprintable() for c in shown)
    assert shown.count("\u0301") <= 2


KEYS = ("SECRETKEY-1", "SECRETKEY-2")


def test_a_key_that_the_server_tells_is_blotted_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", ",".join(KEYS))
    first = KEYS[0]
    pieces = (first, f"{first[:4]}\x1b[0m{first[4:]}", ",".join(KEYS), "x" * (2**14 - 5) + first + "y" * 2**15)
    told = "".join(f"{piece}\n" for piece in pieces)
    out, err = serving(tmp_path, f"sys.stdout.write({told!r}); sys.stderr.write({told!r})").communicate()
    for said in (out, err):
        assert b"SECRETKEY" not in said
        assert said.count(b"***") == len(pieces)


def test_plain_text_comes_through_as_it_is(tmp_path: Path) -> None:
    said = "".join(f"0.00.001.000 I load {i} \u6f22\u5b57 caf\u00e9\n" for i in range(20_000)) + "no line's end"
    text = tmp_path / "said"
    text.write_text(said)
    out, _ = serving(tmp_path, f"print(open({str(text)!r}).read(), end='')").communicate()
    assert out.decode() == said


def test_a_line_without_end_takes_no_memory(tmp_path: Path) -> None:
    child = serving(tmp_path, "for _ in range(200): os.write(1, b'\\xc2\\x9d' * 2**17)")
    assert child.stdout is not None
    length = 0
    while piece := child.stdout.read(2**20):
        length += len(piece)
        assert int(Path(f"/proc/{child.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") < 200 * 2**20
    child.communicate()
    assert child.returncode == 0


def test_the_third_signal_ends_what_ignores_them(tmp_path: Path) -> None:
    told = "signal.signal(signal.SIGINT, told); signal.signal(signal.SIGTERM, told); print('up', flush=True)"
    child = serving(tmp_path, f"def told(number, _): os.write(1, b'heard\\n')\n{told}\n{ENDLESS}")
    assert child.stdout is not None
    assert child.stdout.readline() == b"up\n"
    for number in (signal.SIGINT, signal.SIGTERM):
        child.send_signal(number)
        assert child.stdout.readline() == b"heard\n"
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=30)
    assert child.returncode == 128 + signal.SIGKILL


@pytest.mark.parametrize("apart", ["pass", "os.setsid()"], ids=["its session", "a session of its own"])
def test_what_it_forked_does_not_outlive_it(apart: str, tmp_path: Path) -> None:
    forked = f"{apart}; print('fork', os.getpid(), flush=True); os.write(end, b'x')"
    code = f"begin, end = os.pipe()\nif os.fork() == 0:\n    {forked}\n    {ENDLESS}\nos.read(begin, 1)"
    child = serving(tmp_path, code)
    out, err = child.communicate(timeout=60)
    pid = int(out.split()[1])
    assert b"killed what it had left behind" in err
    assert pid not in {m.pid for m in marked(LAUNCH_VARIABLE)}
    assert child.returncode == 0
