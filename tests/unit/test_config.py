"""The guide's JSON config: both its forms, what options change, and what is wrong with a bad one."""

import json
from pathlib import Path

import pytest

from kvtui.base.findings import UsageError
from kvtui.tasks.config import model_of, read_config, under_options, write_config
from kvtui.tasks.options import Options, context_params

BASIC = """{
  "context_size": 132000,
  "kv_cache": {
    "type": "q4_0",
    "type_k": null,
    "type_v": null
  }
}"""
ADVANCED = """{
  "context_size": 132000,
  "kv_cache": {
    "type": "f16",
    "type_k": "q4_0",
    "type_v": "q8_0"
  },
  "pins": {"blk\\\\.[0-3]\\\\.": "CUDA0"},
  "devices": ["CUDA0=22.8GiB/24GiB@936GB/s"]
}"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.json"
    path.write_text(text)
    return path


@pytest.mark.parametrize(("text", "types"), [(BASIC, ("q4_0", "q4_0")), (ADVANCED, ("q4_0", "q8_0"))])
def test_both_forms_of_the_guide(tmp_path: Path, text: str, types: tuple[str, str]) -> None:
    options = under_options(read_config(written(tmp_path, text)), Options())
    context = context_params(options)
    assert context.n_ctx == 132000
    assert (context.type_k, context.type_v) == types


def test_options_win(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, ADVANCED))
    options = under_options(config, Options(ctx_size="4096", cache_type_k="f16"))
    context = context_params(options)
    assert (context.n_ctx, context.type_k, context.type_v) == (4096, "f16", "q8_0")
    assert options.pin == (r"blk\.[0-3]\.=CUDA0",)
    assert options.device == ("CUDA0=22.8GiB/24GiB@936GB/s",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{\n "contxt_size": 1}', r"line 2: no key contxt_size; did you mean context_size\?"),
        ('{"kv_cache": {"typ_k": "f16"}}', r"no key kv_cache.typ_k; did you mean kv_cache.type_k\?"),
        ('{"kv_cache": {"type": "q8"}}', r"no cache type 'q8'; did you mean q8_0\?"),
        ('{"context_size": -1}', "context_size"),
        ('{"context_size": 1, "context_size": 2}', "occurs twice"),
        ("{", "line 1: not JSON"),
        ("[]", "is a JSON object"),
    ],
)
def test_bad_configs_name_the_line_and_the_nearest(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_config(written(tmp_path, text))


def test_no_config(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.json: No such file"):
        read_config(tmp_path / "none.json")


@pytest.mark.parametrize("text", ['{"kv_cache": null}', '{"kv_cache": {"type": null}, "server": null, "pins": null}', "{}"])
def test_null_is_not_given(tmp_path: Path, text: str) -> None:
    context = context_params(under_options(read_config(written(tmp_path, text)), Options()))
    assert (context.type_k, context.type_v, context.n_ctx) == ("f16", "f16", 0)


def test_a_model_beside_its_config_is_found(tmp_path: Path) -> None:
    path = written(tmp_path, '{"model": "kimi.gguf"}')
    assert model_of(read_config(path), path) == "kimi.gguf"
    (tmp_path / "kimi.gguf").touch()
    assert model_of(read_config(path), path) == str(tmp_path / "kimi.gguf")


def test_basic_stays_basic_and_the_order_of_keys_stays(tmp_path: Path) -> None:
    path = written(tmp_path, '{"pins": {"x": "CPU"}, "kv_cache": {"type_v": null, "type": "q4_0"}, "context_size": 1}')
    write_config(path, 132000, "q8_0", "q8_0")
    data = json.loads(path.read_text())
    assert list(data) == ["pins", "kv_cache", "context_size"]
    assert data == {"pins": {"x": "CPU"}, "kv_cache": {"type_v": None, "type": "q8_0"}, "context_size": 132000}
    write_config(path, 4096, "q8_0", "q4_0")
    assert json.loads(path.read_text())["kv_cache"] == {"type_v": "q4_0", "type": "q8_0", "type_k": "q8_0"}


def test_the_advanced_form_stays_and_the_guides_text_with_it(tmp_path: Path) -> None:
    path = written(tmp_path, ADVANCED)
    path.chmod(0o640)
    write_config(path, 132000, "q8_0", "q8_0")
    assert (
        path.read_text()
        == ADVANCED.replace('"type_k": "q4_0"', '"type_k": "q8_0"')
        .replace('"pins": {"blk\\\\.[0-3]\\\\.": "CUDA0"}', '"pins": {\n    "blk\\\\.[0-3]\\\\.": "CUDA0"\n  }')
        .replace('["CUDA0=22.8GiB/24GiB@936GB/s"]', '[\n    "CUDA0=22.8GiB/24GiB@936GB/s"\n  ]')
        + "\n"
    )
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_new_config_is_the_guides_basic_form(tmp_path: Path) -> None:
    path = tmp_path / "new.json"
    write_config(path, 132000, "q4_0", "q4_0")
    assert path.read_text() == BASIC + "\n"


def test_what_is_no_config_is_not_written_over(tmp_path: Path) -> None:
    path = written(tmp_path, '{"contxt_size": 1}')
    with pytest.raises(UsageError, match="contxt_size"):
        write_config(path, 4096, "f16", "f16")
    assert path.read_text() == '{"contxt_size": 1}'
    with pytest.raises(UsageError, match="cannot be written"):
        write_config(tmp_path / "none" / "x.json", 4096, "f16", "f16")
