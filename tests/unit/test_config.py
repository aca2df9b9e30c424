"""The guide's JSON config: both its forms, what options change, and what is wrong with a bad one."""

from pathlib import Path

import pytest

from kvtui.base.findings import UsageError
from kvtui.tasks.config import read_config, under_options
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
