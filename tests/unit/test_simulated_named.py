"""Every form of the table says what of its machine is described instead of had."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from kvtui.cli import cli
from tests.header_archive import HeaderArchive

ASKED = ("-c", "4096", "-np", "1", "--device", "RTX 3090", "--ram", "64GiB@60GB/s")


def table(headers: HeaderArchive, folder: Path, *flags: str) -> str:
    model = str(headers.write("llama-3.1-8b-q4_k_m", folder))
    done = CliRunner().invoke(cli, ["table", model, *ASKED, *flags], standalone_mode=False)
    assert done.exception is None, done.exception
    return done.stdout


@pytest.mark.parametrize("flags", [(), ("--matrix", "cache_bytes")])
def test_text_names_it_under_the_table(headers: HeaderArchive, tmp_path: Path, flags: tuple[str, ...]) -> None:
    assert table(headers, tmp_path, *flags).splitlines()[-1] == "simulated: RAM, CUDA0"


def test_markdown_names_it_in_a_paragraph_of_its_own(headers: HeaderArchive, tmp_path: Path) -> None:
    for flags in (("--markdown",), ("--markdown", "--matrix", "cache_bytes")):
        assert table(headers, tmp_path, *flags).splitlines()[-2:] == ["", "simulated: RAM, CUDA0"]


def test_json_lists_it(headers: HeaderArchive, tmp_path: Path) -> None:
    assert json.loads(table(headers, tmp_path, "--json"))["simulated"] == ["RAM", "CUDA0"]
