"""`kvtui export`: on the command line, of one model and of several that share the memory."""

import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kvtui.base.findings import UsageError
from kvtui.cli.commands import cli
from kvtui.cli.exporting import FORMATS
from kvtui.header.address import ModelAddress
from kvtui.placement.plan import make_plan
from kvtui.tasks.exporting import ALL_FORMATS
from kvtui.tasks.opening import load, request_of
from kvtui.tasks.options import Options
from kvtui.tasks.together import plans_together

MIB = 2**20
OPTIONS = {
    "-m,    --model FNAME": "MODEL", "-c,    --ctx-size N": "CTX_SIZE", "-fit,  --fit [on|off]": "FIT",
    "-np,   --parallel N": "N_PARALLEL", "-b,    --batch-size N": "BATCH", "-ub,   --ubatch-size N": "UBATCH",
    "-kvu,  --kv-unified, -no-kvu, --no-kv-unified": "KV_UNIFIED", "-ctk,  --cache-type-k TYPE": "CACHE_TYPE_K",
    "-ctv,  --cache-type-v TYPE": "CACHE_TYPE_V", "-fa,   --flash-attn [on|off|auto]": "FLASH_ATTN",
    "-ngl,  --n-gpu-layers N": "N_GPU_LAYERS", "-ts,   --tensor-split N0,N1": "TENSOR_SPLIT",
    "-ot,   --override-tensor PATTERN": "OVERRIDE_TENSOR", "-lm,   --load-mode MODE": "LOAD_MODE", "--host HOST": "HOST",
    "--port PORT": "PORT",
}  # fmt: skip
HELP = "".join(f"{said}\n{' ' * 40}(env: LLAMA_ARG_{name})\n" for said, name in OPTIONS.items())
MACHINE = ("--device", "CUDA0=2GiB/8GiB@936GB/s", "--ram", "32GiB@50GB/s", "--margin", "0")

ROOMY = Options(device=("CUDA0=2GiB/8GiB@936GB/s",), ram="32GiB@50GB/s", margin="0", ctx_size="512")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that says what llama-server says of itself."""
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    path = tmp_path / "llama-server"
    path.write_text(f"#!{sys.executable}\nimport sys\nprint({HELP!r} if '--help' in sys.argv else 'version: 11434 (abc1234)')\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def models(headers: Any, tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    return headers.write("llama-dense", tmp_path / "a"), headers.write("gemma3-dense", tmp_path / "b")


def run(server: Path, *args: str | Path) -> Result:
    return CliRunner().invoke(cli, ["export", *map(str, args), "--llama-server", str(server), *MACHINE])


def test_the_formats_that_are_named_are_all_that_there_are() -> None:
    assert tuple(form.word for form in ALL_FORMATS) == FORMATS


@pytest.mark.parametrize("form", FORMATS)
def test_each_form_carries_the_model_and_its_context(form: str, server: Path, models: tuple[Path, Path]) -> None:
    done = run(server, form, models[0], "-c", "2048")
    assert done.exit_code == 0, done.output
    assert str(models[0]) in done.stdout
    assert "2048" in done.stdout


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "preset"])
def test_an_open_address_without_a_key_is_told(form: str, server: Path, models: tuple[Path, Path]) -> None:
    done = run(server, form, models[0], "-c", "2048", "--host", "0.0.0.0")
    assert done.exit_code == 0, done.output
    assert "open to the network, and no export carries an API key" in done.stderr
    assert "API key" not in run(server, form, models[0], "-c", "2048").stderr


def test_a_port_is_where_it_can_be_given_or_refused(server: Path, models: tuple[Path, Path]) -> None:
    for form in (f for f in FORMATS if f not in ("preset", "llama-swap")):
        assert "18474" in run(server, form, models[0], "-c", "512", "--port", "18474").stdout
    for form in ("preset", "llama-swap"):
        done = run(server, form, models[0], "-c", "512", "--port", "18474")
        assert isinstance(done.exception, UsageError)
        assert not done.stdout


def test_a_router_has_all_of_them_from_its_start(server: Path, models: tuple[Path, Path]) -> None:
    text = run(server, "router", *models, models[0], "-c", "512").stdout
    assert "--models-max 3 " in text.splitlines()[0]
    assert text.count("load-on-startup = true") == 3
    names = [line for line in text.splitlines() if line.startswith("[")]
    assert len(set(names)) == 3


def test_the_next_is_planned_in_what_those_before_it_leave(server: Path, models: tuple[Path, Path]) -> None:
    given = [(path, load(ModelAddress(str(path)), ROOMY, print)) for path in (models[0], models[0])]
    (_, first), (_, second) = plans_together(given, ROOMY, request_of)
    (device,), (left,) = first.request.machine.devices, second.request.machine.devices
    used = first.estimate.devices[0].used_bytes
    assert used > 0
    assert left.free_bytes == device.free_bytes - used
    assert second.estimate.devices[0].used_bytes <= left.free_bytes
    assert second.request.machine.ram.free_bytes == first.request.machine.ram.free_bytes - first.estimate.host.used_bytes


def test_what_is_left_over_may_not_be_enough(server: Path, models: tuple[Path, Path]) -> None:
    alone = make_plan(request_of(load(ModelAddress(str(models[0])), ROOMY, print), ROOMY)).estimate
    room = ("--device", f"CUDA0={alone.devices[0].used_bytes}", "--ram", str(alone.host.used_bytes * 3 // 2), "--margin", "0")
    given = ("-c", "512", "--llama-server", str(server), *room)
    done = CliRunner().invoke(cli, ["export", "router", str(models[0]), *given])
    assert done.exit_code == 0
    done = CliRunner().invoke(cli, ["export", "router", str(models[0]), str(models[0]), *given])
    assert (done.exit_code, done.stdout) == (1, "")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("script", "MODEL", "MODEL"), "takes one MODEL"),
        (("router", "MODEL", "MODEL"), "-c is missing"),
        (("script",), "MODEL is missing"),
    ],
)
def test_refusals_are_one_sentence(args: tuple[str, ...], said: str, server: Path, models: tuple[Path, Path]) -> None:
    done = run(server, *(str(models[0]) if a == "MODEL" else a for a in args))
    assert isinstance(done.exception, UsageError)
    assert said in str(done.exception)
    assert not done.stdout
