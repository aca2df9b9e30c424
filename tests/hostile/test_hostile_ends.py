"""How the command line ends: exit codes, one line, and nobody's secrets in anything that is kept or shown."""

import json
import os
import signal
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from kvtui.base.findings import KvtuiError, UsageError
from kvtui.base.report_file import write_report
from kvtui.base.secrets import HIDDEN, redacted, without_secrets
from kvtui.header.address import ModelAddress
from kvtui.header.reader import HeaderError
from kvtui.server.binary.exports import ExportError
from kvtui.server.http.client import ServerError
from kvtui.server.process.ports import free_port
from kvtui.tasks.options import Options
from kvtui.tasks.profiles import Profile, save_profile
from kvtui.tui.themes import ThemeError, parse_theme
from tests.tui.stub_server import stub_server

ADDRESS = "https://me:hunter2@host.example:8443/org/Model-00001-of-00002.gguf?token=s3cret#frag"
DEVICES = ("--device", "CUDA0=23GiB/24GiB@936GB/s", "--ram", "700GiB@300GB/s")
BROKEN = """
import sys
from kvtui.cli import boundary, planning
def broken(*_):
    local_secret = "do-not-tell"
    raise RuntimeError("no such thing at https://me:hunter2@host/x?token=s3cret\\nin two lines")
planning.load = broken
sys.argv = ["kvtui", *sys.argv[1:]]
boundary.main()
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "LLAMA_API_KEY", "HF_TOKEN", "LLAMA_SERVER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def model(folder: Path, name: str = "kimi.gguf") -> Path:
    path = folder / name
    path.write_bytes(files("kvtui.data").joinpath("kimi-k2.head").read_bytes())
    os.truncate(path, 666_071_228_960)
    return path


def run(*args: str | Path, code: str = "from kvtui.cli import main; main()") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(os.fspath, args)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL, errors="surrogateescape"
    )


def test_every_error_is_a_kvtui_error() -> None:
    for kind in (UsageError, HeaderError, ServerError, ThemeError, ExportError):
        assert issubclass(kind, KvtuiError)


def test_something_unforeseen_is_one_line_a_report_and_exit_3(home: Path) -> None:
    done = run("plan", "x.gguf", "--api-key", "k3y-of-mine", code=BROKEN)
    assert done.returncode == 2  # click knows no such option: foreseen
    done = run("plan", ADDRESS, code=BROKEN)
    assert (done.returncode, done.stdout) == (3, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("kvtui: something unforeseen: RuntimeError: no such thing at https://host/x")
    (report,) = (home / ".local/state/kvtui/reports").iterdir()
    assert line.endswith(f"; a report is at {report}")
    text = report.read_text()
    assert "RuntimeError" in text
    assert "Traceback" in text
    for secret in ("hunter2", "s3cret", "do-not-tell", str(home)):
        assert secret not in text + line.replace(str(report), "")
    assert report.stat().st_mode & 0o777 == 0o600
    assert report.parent.stat().st_mode & 0o777 == 0o700


THREAD = """
import threading
from kvtui.cli import boundary, planning
def broken(*_):
    def end():
        raise RuntimeError("in a thread")
    thread = threading.Thread(target=end, name="loose")
    thread.start()
    thread.join()
    raise SystemExit(0)
planning.load = broken
boundary.main()
"""


def test_a_thread_that_nobody_catches_writes_a_report_and_nothing_on_the_screen(home: Path) -> None:
    done = run("plan", "x.gguf", code=THREAD)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (report,) = (home / ".local/state/kvtui/reports").iterdir()
    assert "while: the thread loose" in report.read_text()
    assert "RuntimeError: in a thread" in report.read_text()


def test_no_report_where_nothing_can_be_written(home: Path) -> None:
    (home / ".local").write_text("")
    done = run("plan", "x.gguf", code=BROKEN)
    assert done.returncode == 3
    assert "no report could be written" in done.stderr


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even that")


def test_a_report_survives_any_error(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", "k3y-of-mine")
    deep = RecursionError("x" * 10_000_000 + " k3y-of-mine")
    for error in (Unprintable(), deep, ValueError("\ud800 --api-key k3y2"), KeyError("k3y-of-mine")):
        path = write_report(error, "kvtui serve --api-key other-k3y")
        assert path is not None
        text = path.read_text()
        assert len(text) < 100_000
        assert "k3y" not in text
    assert str(path).startswith(str(home))


def test_a_reader_that_goes_away(home: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kvtui", "table", str(model(tmp_path)), *DEVICES, "-c", "8192"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.close()
        assert child.stderr is not None
        assert child.stderr.read() == b""
        assert child.wait(timeout=60) == 141


PRINTING = ("devices", "plan", "estimate", "export command", "export systemd")


@pytest.mark.parametrize("command", PRINTING)
def test_a_full_disk_is_a_sentence(home: Path, tmp_path: Path, command: str) -> None:
    words = command.split()
    if command != "devices":
        words += [str(model(tmp_path)), *DEVICES, *(["-c", "8192"] if command != "estimate" else [])]
    if command.startswith("export"):
        words += ["--llama-server", str(stub_server(tmp_path / "bin").path)]
    with open("/dev/full", "wb") as full:
        done = subprocess.run([sys.executable, "-m", "kvtui", *words], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (2, "kvtui: the output cannot be written: No space left on device\n")


WAITING = """
import signal, sys, time
from kvtui.cli import boundary, planning
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background ignores it
def wait(*_):
    try:
        print("waiting", flush=True)
        time.sleep(60)
    finally:
        print("in order", flush=True)
planning.load = wait
sys.argv = ["kvtui", "plan", "x.gguf"]
boundary.main()
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signals_end_in_order(home: Path, number: signal.Signals, code: int) -> None:
    with subprocess.Popen([sys.executable, "-c", WAITING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "waiting\n"
        child.send_signal(number)
        out, err = child.communicate(timeout=30)
    assert (child.returncode, out) == (code, "in order\n")
    assert "Traceback" not in err


def test_an_address_shows_itself_without_secrets() -> None:
    address = ModelAddress(ADDRESS)
    assert str(address) == "https://host.example:8443/org/Model-00001-of-00002.gguf"
    assert (address.is_url, address.name, address.stem) == (True, "Model-00001-of-00002.gguf", "Model-00001-of-00002")
    assert address.flags == ("-mu", str(address))
    for shown in (repr(address), f"{address}", repr([address])):
        assert "hunter2" not in shown
        assert "s3cret" not in shown
    with pytest.raises(UsageError, match="needs the file on this machine"):
        _ = address.path
    assert ModelAddress("a/b.gguf").path == Path("a/b.gguf")
    for odd in ("http://[::1", "http://h:99999999/x", "https://u:hunter2@[x/y"):
        assert "hunter2" not in str(ModelAddress(odd))
    for none in ("a\0b", "\ud800"):
        with pytest.raises(UsageError):
            ModelAddress(none)


def test_a_token_of_this_process_is_blotted_out_wherever_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_k3yk3y")
    assert redacted("the connection failed: hf_k3yk3y was refused") == "the connection failed: *** was refused"


def test_secret_options_go_by_variables() -> None:
    argv = ("--metrics", "--api-key", "a", "-hft", "t", "--api-key=b,c", "-c", "4096", "--api-key-file", "/f")
    assert without_secrets(argv) == (
        ("--metrics", "-c", "4096", "--api-key-file", "/f"),
        {"LLAMA_API_KEY": "a,b,c", "HF_TOKEN": "t"},
    )
    assert without_secrets(("--api-key",)) == (("--api-key",), {})
    said = redacted("['--api-key', 'k3y'] --hf-token=k3y Authorization: Bearer k3y.k3y http://u:k3y@h/?k3y")
    assert "k3y" not in said
    assert HIDDEN in said


SPOKEN = (
    "--api-key k3y1,k3y2 -c 5",
    "['--api-key', 'k3y1,k3y2']",
    '"--api-key","k3y"',
    "--api-key 'k3y k3y'",
    "-hft=k3y,k3y",
    '--hf-token "k3y k3y" -c 5',
    "'--api-key=k3y k3y'",
    "--api-key\tk3y)k3y",
    "LLAMA_API_KEY=k3y,k3y llama-server",
    "HF_TOKEN='k3y k3y' llama-server",
    "'HF_TOKEN=k3y k3y'",
    "a token hf_k3yk3yk3yk3yk3yk3yk3y of somebody's",
)


@pytest.mark.parametrize("said", SPOKEN)
def test_a_secret_is_blotted_out_to_its_end(said: str) -> None:
    assert "k3y" not in redacted(said)
    assert HIDDEN in redacted(said)


@pytest.mark.parametrize("said", ["HF_TOKEN is not set", "--api-key-file /keys -c 5", "of --api-key: nothing"])
def test_what_is_no_secret_stays(said: str) -> None:
    assert redacted(said) in (said, said.replace("nothing", HIDDEN))


SERVER = """#!{python}
import os, sys
if "--help" in sys.argv:
    print("--port PORT   port\\n--host HOST   host\\n-ctk, --cache-type-k TYPE   type\\n-ngl, --n-gpu-layers N   layers")
elif "--version" in sys.argv:
    print("version: 11434 (abcdef0)")
else:
    print(repr(sys.argv), file=sys.stderr)
    print(os.environ.get("LLAMA_API_KEY"), file=sys.stderr)
"""


def test_a_profiles_api_key_is_in_no_argument(home: Path, tmp_path: Path) -> None:
    server = tmp_path / "llama-server"
    server.write_text(SERVER.replace("{python}", sys.executable))
    server.chmod(0o755)
    save_profile(
        "mine",
        Profile(None, Options(server_args=("--api-key", "k3y", "--port", str(free_port(0).port)), ctx_size="4096", ram="700GiB")),
    )
    done = run("serve", model(tmp_path), "--profile", "mine", "--llama-server", server, "--no-kv-offload")
    argv, key = done.stderr.splitlines()[-2:]
    assert argv.startswith("['")
    assert "k3y" not in argv
    assert key == "k3y"


def test_a_configs_api_key_is_in_no_argument(home: Path, tmp_path: Path) -> None:
    server = tmp_path / "llama-server"
    server.write_text(SERVER.replace("{python}", sys.executable))
    server.chmod(0o755)
    config = tmp_path / "config.json"
    args = ["--api-key", "k3y", "--port", "18299"]
    config.write_text(json.dumps({"server": {"args": args[:2], "port": 18299}, "context_size": 4096}))
    done = run("serve", model(tmp_path), "--config", config, "--ram", "700GiB", "--llama-server", server, "--no-kv-offload")
    argv, key = done.stderr.splitlines()[-2:]
    assert argv.startswith("['")
    assert "k3y" not in argv
    assert key == "k3y"


NAMES = (b"two\nlines.gguf", b"\x1b]52;c;eA==\x07.gguf", b"not utf-8 \xff.gguf", "\u202efdp.gguf".encode())


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_the_printed_command_names_the_same_file(home: Path, tmp_path: Path, name: bytes) -> None:
    path = model(tmp_path, os.fsdecode(name))
    done = run("plan", path, *DEVICES, "-c", "8192", "-np", "1", "--time", "1")
    assert done.returncode == 0, done.stderr
    line = done.stdout.splitlines()[-1]
    assert all(c.isprintable() for c in line)
    printed = line[line.index("llama-server -m ") :].removeprefix("llama-server ")
    words = subprocess.run(["bash", "-c", f"printf '%s\\0' {printed}"], capture_output=True, check=True).stdout.split(b"\0")
    assert words[1] == os.fsencode(path)


def test_a_read_only_home_still_has_its_llama_server(home: Path, tmp_path: Path) -> None:
    server = tmp_path / "llama-server"
    server.write_text(SERVER.replace("{python}", sys.executable))
    server.chmod(0o755)
    (home / ".cache").write_text("in the way of every cache")
    done = run("plan", model(tmp_path), *DEVICES, "-c", "8192", "--llama-server", server, "--time", "1", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["build"] == "b11434"


def test_a_theme_writes_nothing_but_colours(home: Path) -> None:
    text = next((Path(__file__).parents[2] / "themes").glob("*.toml")).read_text()
    spoilt = text.replace('text = "', 'text = "link http://127.0.0.1/ ', 1)
    assert spoilt != text
    with pytest.raises(ThemeError, match="not a link"):
        parse_theme(spoilt)
