"""Exports, each read by what will read it: a shell, systemd, a YAML parser."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvtui.base.text import printable
from kvtui.server.binary.compose import compose_file
from kvtui.server.binary.exports import (
    environment_file,
    llama_swap_entry,
    server_preset,
    shell_command,
    shell_script,
    systemd_unit,
)
from kvtui.server.binary.help import parse_help
from kvtui.server.binary.inspect import ServerBinary

NASTY = [
    "x; rm -rf ~.gguf",
    "a\nline break",
    "$HOME `id` $(id) ${PORT} %h %%",
    'it\'s "quoted" \\ back\\\\slash',
    r"blk\.(3|1[0-9])\.ffn_(down|up)_exps\.weight=CPU",
    "-leading",
    "",
    "中文 é",
    "tab\there",
    "*?[a]{b,c}~!#&|<>",
    "\x1b]52;c;AAAA\x07",
    os.fsdecode(b"not utf-8 \xff"),
]
ENV = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "ODD": "a 'b' \"c\" $d %e\\"}
WORDS = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20), max_size=5)


@pytest.fixture(scope="module")
def printer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that prints its arguments and environment as JSON."""
    path = tmp_path_factory.mktemp("a folder") / "print 100% $x"
    path.write_text(f"#!{sys.executable}\nimport json, os, sys\nprint(json.dumps([sys.argv[1:], dict(os.environ)]))\n")
    path.chmod(0o755)
    return path


def run(argv: list[str], **env: str) -> tuple[list[str], dict[str, str]]:
    done = subprocess.run(argv, capture_output=True, check=True, env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", **env})
    assert done.stderr == b""
    words, seen = json.loads(done.stdout)
    return words, seen


def test_command_runs_in_a_shell_argument_for_argument(printer: Path) -> None:
    shown = [word for word in NASTY if printable(word) == word]
    assert run(["sh", "-c", shell_command([str(printer), *shown], ENV)])[0] == shown
    words, seen = run(["bash", "-c", shell_command([str(printer), *NASTY], ENV)])  # the others are $'...'
    assert words == NASTY
    assert ENV.items() <= seen.items()


def test_script_runs_with_further_arguments_and_without_inherited_settings(printer: Path, tmp_path: Path) -> None:
    script = tmp_path / "run.sh"
    written = shell_script([str(printer), *NASTY], ENV)
    assert written.replace("\n", "").isprintable()
    script.write_text(written)
    subprocess.run(["sh", "-n", script], check=True)
    words, seen = run(["sh", str(script), "more", "and more"], LLAMA_ARG_CTX_SIZE="1", LLAMA_ARG_OVERRIDE_TENSOR="x=CPU")
    assert words == [*NASTY, "more", "and more"]
    assert ENV.items() <= seen.items()
    assert not [name for name in seen if name.startswith("LLAMA_ARG_")]


@settings(max_examples=25, deadline=None)
@given(words=WORDS)
def test_any_words_survive_a_shell(printer: Path, words: list[str]) -> None:
    assert run(["bash", "-c", shell_command([str(printer), *words], {})])[0] == words


def systemd_words(line: str) -> list[str]:
    """Words of an ExecStart= by systemd.syntax(7): quotes, C escapes of bytes, then %% and $$."""
    words, position = [], 0
    token = re.compile(r'"((?:[^"\\]|\\.)*)"(?:\s+|$)', re.DOTALL)
    while position < len(line):
        found = token.match(line, position)
        assert found, line[position:]
        position = found.end()
        raw = found[1].encode("utf-8", "surrogateescape")
        raw = re.sub(rb"\\x([0-9a-f]{2})|\\(.)", lambda m: bytes([int(m[1], 16)]) if m[1] else m[2], raw)
        text = os.fsdecode(raw)
        assert not re.search(r"(?<!%)(%%)*%(?!%)", text)
        words.append(text.replace("%%", "%"))
    return [words[0], *(w.replace("$$", "$") for w in words[1:])]


@pytest.mark.parametrize("words", [NASTY, ["-c", "4096"]])
def test_unit_holds_every_argument(printer: Path, words: list[str]) -> None:
    unit = systemd_unit([str(printer), *words], ENV, "llama-server: 50 % of a\nmodel")
    start = re.search(r"^ExecStart=((?:.*\\\n)*.*)", unit, re.MULTILINE)
    assert start
    assert systemd_words(start[1].replace("\\\n", "")) == [str(printer), *words]
    variables = [systemd_words(v)[0] for v in re.findall(r"^Environment=(.*)$", unit, re.MULTILINE)]
    assert variables == [f"{k}={v}" for k, v in ENV.items()]
    assert len(re.findall(r"^Description=", unit, re.MULTILINE)) == 1
    assert "KillSignal=SIGINT\nKillMode=mixed\n" in unit  # one signal to one process


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here: its own parser cannot be asked")
def test_systemd_itself_accepts_the_unit(printer: Path, tmp_path: Path) -> None:
    path = tmp_path / "llama.service"
    path.write_text(systemd_unit([str(printer), *NASTY], ENV), errors="surrogateescape")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", str(path)],
        capture_output=True,
        text=True,
        env={"XDG_RUNTIME_DIR": str(tmp_path), "PATH": os.defpath, "HOME": str(tmp_path)},
        check=False,
    )
    about_ours = [line for line in done.stderr.splitlines() if "llama.service" in line]
    assert about_ours == []


def test_unit_needs_a_whole_path() -> None:
    with pytest.raises(ValueError, match="whole path"):
        systemd_unit(["llama-server"], {})


def test_unit_refuses_a_path_that_systemd_would_not_take() -> None:
    with pytest.raises(ValueError, match="quote or a backslash"):
        systemd_unit(["/opt/it's/llama-server"], {})


def test_llama_swap_entry_by_a_yaml_parser(printer: Path) -> None:
    import yaml

    utf8 = [w for w in NASTY if "\n" not in w and not any("\udc80" <= c <= "\udcff" for c in w)]
    words = [*utf8, "\U0001f999", "\x85\u2028\ufeff"]
    entry = llama_swap_entry('gemma "3"\n', [str(printer), *words, "--port", "8080"], {"A": "b c"})
    ((name, model),) = yaml.safe_load(entry)["models"].items()
    assert name == 'gemma "3"\n'
    assert model["env"] == ["A=b c"]
    assert re.findall(r"\$\{([a-zA-Z0-9_-]+)\}", model["cmd"]) == ["PORT"]  # its only macro
    assert shlex.split(model["cmd"]) == [str(printer), *words, "--port", "${PORT}"]


def test_llama_swap_refuses_what_it_would_break() -> None:
    with pytest.raises(ValueError, match="line break"):
        llama_swap_entry("x", ["/x", "a\n# b"], {})
    with pytest.raises(ValueError, match=r"YAML is UTF-8, and \$'not utf-8 \\377' is not"):
        llama_swap_entry("x", ["/x", NASTY[-1]], {})


HELP = """\
-m,    --model FNAME                    model path to load
                                        (env: LLAMA_ARG_MODEL)
-c,    --ctx-size N                     size of the prompt context
                                        (env: LLAMA_ARG_CTX_SIZE)
-kvo,  --kv-offload, -nkvo, --no-kv-offload
                                        whether to enable KV cache offloading (default: enabled)
                                        (env: LLAMA_ARG_KV_OFFLOAD)
--swa-full                              use full-size SWA cache (default: false)
                                        (env: LLAMA_ARG_SWA_FULL)
--check-tensors                         check model tensor data for invalid values (default: false)
"""
BINARY = ServerBinary(Path("/x/llama-server"), "b11434", "version", "", ("CPU",), parse_help(HELP))


def test_environment_file_by_a_shell(printer: Path, tmp_path: Path) -> None:
    path = tmp_path / "plan.env"
    text = environment_file(Path(NASTY[0]), ["-c", "4096", "-nkvo", "--swa-full"], ENV, BINARY)
    path.write_text(text)
    _, seen = run(["sh", "-c", 'set -a; . "$1"; exec "$2"', "sh", str(path), str(printer)])
    wanted = {"LLAMA_ARG_MODEL": NASTY[0], "LLAMA_ARG_CTX_SIZE": "4096", "LLAMA_ARG_KV_OFFLOAD": "0"}
    assert {**wanted, "LLAMA_ARG_SWA_FULL": "1", **ENV}.items() <= seen.items()


def test_environment_file_says_what_it_cannot_hold() -> None:
    with pytest.raises(ValueError, match="--check-tensors has no variable in b11434"):
        environment_file(Path("/m.gguf"), ["--check-tensors"], {}, BINARY)


def test_preset_lines() -> None:
    assert server_preset("gemma", Path("/m.gguf"), ["-c", "4096", "-nkvo", "-kvo"], BINARY) == (
        "[gemma]\nmodel = /m.gguf\nctx-size = 4096\nkv-offload = false\nkv-offload = true\n"
    )


@pytest.mark.parametrize("name", ["x; rm -rf ~.gguf", "a#b", "a\nb", " lead"])
def test_preset_refuses_what_it_would_cut(name: str) -> None:
    with pytest.raises(ValueError, match="preset cannot hold"):
        server_preset("gemma", Path(name), [], BINARY)


def interpolated(value: object) -> object:
    """As compose reads a value: it takes $ for a variable, and $$ for one $."""
    if isinstance(value, str):
        assert not re.search(r"(?<!\$)(?:\$\$)*\$(?!\$)", value)
        return value.replace("$$", "$")
    if isinstance(value, list):
        return [interpolated(v) for v in value]
    return {k: interpolated(v) for k, v in value.items()} if isinstance(value, dict) else value


def composed(model: Path, *argv: str, backends: tuple[str, ...] = ("CUDA",), host: str = "127.0.0.1") -> dict[str, Any]:
    import yaml

    text = compose_file("gemma", model, argv, ENV, backends, (host, 9931), "b11549")
    (service,) = yaml.safe_load(text)["services"].values()
    return interpolated(service)  # type: ignore[return-value]


def test_compose_holds_every_argument_by_a_yaml_parser(tmp_path: Path) -> None:
    words = [w for w in NASTY if w != os.fsdecode(b"not utf-8 \xff")] + ["\x7f\x85\u2028\U0001f600"]
    service = composed(tmp_path / "a $folder" / "m.gguf", *words)
    address = ["--host", "0.0.0.0", "--port", "8080"]  # where the image looks after its health, for any build
    assert service["command"] == ["-m", str(tmp_path / "a $folder" / "m.gguf"), *words, *address]
    assert service["environment"].items() >= ENV.items()
    assert service["image"] == "ghcr.io/ggml-org/llama.cpp:server-cuda"
    assert service["ports"] == ["127.0.0.1:9931:8080"]
    (mount,) = service["volumes"]
    folder = str(tmp_path / "a $folder")
    assert mount == {"type": "bind", "source": folder, "target": folder, "read_only": True}
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    assert "ulimits" not in service


@given(WORDS)
@settings(max_examples=60, deadline=None)
def test_any_words_survive_compose(words: list[str]) -> None:
    assert composed(Path("/models/m.gguf"), *words)["command"][2:-4] == words


def test_compose_mounts_what_links_and_neighbours_lead_to(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "blobs" / "x").touch()
    (tmp_path / "snapshot" / "m.gguf").symlink_to("../blobs/x")
    service = composed(tmp_path / "snapshot" / "m.gguf", "--mmproj", "/other/p.gguf", "-lm", "mmap+mlock", host="::1")
    assert [m["target"] for m in service["volumes"]] == [str(tmp_path / "snapshot"), str(tmp_path / "blobs"), "/other"]
    assert service["ulimits"] == {"memlock": -1}
    assert service["ports"] == ["[::1]:9931:8080"]


def test_compose_gives_each_back_end_its_image_and_devices() -> None:
    rocm = composed(Path("/models/m.gguf"), backends=("ROCm", "ROCm"))
    assert rocm["image"].endswith(":server-rocm")
    assert [d.partition(":")[0] for d in rocm["devices"]] == ["/dev/kfd", "/dev/dri"]
    plain = composed(Path("/models/m.gguf"), backends=())
    assert plain["image"].endswith(":server")
    assert "devices" not in plain
    assert "deploy" not in plain


@pytest.mark.parametrize(
    ("model", "backends", "said"),
    [
        ("/m.gguf", ("CUDA",), "cannot be mounted"),
        ("/models/m.gguf", ("RPC",), "loopback"),
        ("/models/m.gguf", ("CUDA", "Vulkan"), "both CUDA and Vulkan"),
        ("/models/m.gguf", ("Metal",), "no official image"),
        (NASTY[-1], ("CUDA",), "no UTF-8"),
    ],
)
def test_compose_says_what_it_cannot_hold(model: str, backends: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        composed(Path("/models") / model, backends=backends)


def test_preset_refuses_what_is_no_utf8() -> None:
    with pytest.raises(ValueError, match="a preset is UTF-8"):
        server_preset("gemma", Path(NASTY[-1]), [], BINARY)


@pytest.mark.parametrize("name", ["\x1b]52;c;AAAA\x07.gguf", "\u202efdp.gguf", "two\nlines.gguf", "\x9b31m.gguf"])
def test_what_a_terminal_would_obey_is_in_no_form(name: str) -> None:
    for form in (environment_file, server_preset):
        words = (Path(name), ["-c", "1"], {}, BINARY) if form is environment_file else ("gemma", Path(name), ["-c", "1"], BINARY)
        with pytest.raises(ValueError, match=r"has no escapes|end at"):
            form(*words)
    with pytest.raises(ValueError, match="line break"):
        shell_script(["/x", f"{name}\n"], {})
    for text in (shell_script(["/x", name], {}), systemd_unit(["/x", name], {}), shell_command(["/x", name], {})):
        assert text.replace("\n", "").isprintable()


def test_a_zero_byte_is_refused_everywhere() -> None:
    for export in (shell_command, shell_script, systemd_unit):
        with pytest.raises(ValueError, match="zero byte"):
            export(["/x", "a\0b"], {})


def test_a_variables_name_is_a_name() -> None:
    with pytest.raises(ValueError, match="no name of a variable"):
        shell_command(["/x"], {"A;rm": "b"})
