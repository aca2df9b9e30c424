"""The terms of a compute buffer as `estimate --explain` says them."""

import json
from collections.abc import Mapping
from pathlib import Path

from click.testing import CliRunner

from kvtui.cli import cli
from kvtui.header.reader import Header

FLAGS = ("--device", "2x3090", "--ram", "64GiB", "--", "-c", "65536", "-ctk", "q8_0", "-ctv", "q8_0", "-cmoe")


def test_terms_add_up_and_name_what_is_staged(headers: Mapping[str, Header], tmp_path: Path) -> None:
    model = str(headers.write("qwen3-30b-a3b-q4_k_m", tmp_path))  # type: ignore[attr-defined]
    answer = CliRunner().invoke(cli, ["estimate", model, "--explain", "--json", *FLAGS], standalone_mode=False)
    value = json.loads(answer.stdout)
    said = {p["device"]: p["terms"] for p in value["peaks"]}
    computed = {d["name"]: d["compute_bytes"] for d in value["devices"]} | {"RAM": value["host"]["compute_bytes"]}
    assert {name: sum(t["bytes"] for t in terms) for name, terms in said.items()} == computed
    # 157.5 MiB of Q6_K, and CUDA's padding of one row of 768 values to 1,024: a block of 256 is 210 bytes
    assert said["CUDA0"][0] == {"name": "staged: blk.0.ffn_down_exps", "bytes": 315 * 2**19 + 210, "count": 1}
    text = CliRunner().invoke(cli, ["estimate", model, "--explain", *FLAGS], standalone_mode=False).stdout
    assert "staged: blk.0.ffn_down_exps 157.5 MiB" in text
    assert "K as f16 64.0 MiB, V as f16 64.0 MiB" in text
