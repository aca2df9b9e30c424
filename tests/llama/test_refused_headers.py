"""A real llama-server and kvtui judge each odd header alike."""

import random
from pathlib import Path

import pytest
from header_archive import DATA, HeaderArchive
from odd_headers import CASES, Case, parsed

from kvtui.base.build import build_in
from kvtui.flags.context import ContextParams
from kvtui.header.reader import HeaderError
from kvtui.memory.refusals import refusals
from kvtui.model.load import load_model
from kvtui.model.tensor_rules import has_all_rules
from kvtui.server.binary.inspect import ServerBinary
from kvtui.server.measure.dry_run import dry_run


def taken(path: Path) -> bool:
    try:
        model = load_model(path)
    except HeaderError:
        return False
    return not any(f.severity == "error" for f in refusals(model, ContextParams(n_ctx=256)))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_judged_alike(tmp_path: Path, binary: ServerBinary, case: Case) -> None:
    build = build_in(binary.build)
    if build is not None and build.number < case.since:
        pytest.skip(f"{build} takes it, b{case.since} does not")
    path = case.make().write(tmp_path / "odd.gguf")
    answer = dry_run(binary, path, ("-c", "256", "--no-warmup"), cache=tmp_path / "cache")
    assert answer.impossible is None
    assert (answer.refused is None) == taken(path), answer.refused


def _tabled() -> list[str]:
    archive = HeaderArchive(DATA / "headers.tar.xz")
    small = [name for name in archive if name.endswith(("-dense", "-moe")) and len(archive.head(name)) < 10_000]
    first = {str(archive[name].metadata["general.architecture"]): name for name in reversed(small)}
    return [name for architecture, name in sorted(first.items()) if has_all_rules(architecture)]


@pytest.mark.parametrize("name", _tabled())
def test_a_missing_and_a_further_tensor_are_judged_alike(
    headers: HeaderArchive, tmp_path: Path, binary: ServerBinary, name: str
) -> None:
    sound = parsed(headers.head(name))
    lost = random.Random(name).choice([t.name for t in sound.tensors if t.name.endswith(b".weight")])
    changed = parsed(headers.head(name)).drop(lost.decode())
    further = parsed(headers.head(name)).tensor("blk.0.attn_norm.scale", 1)
    for made in (changed, further):
        path = made.write(tmp_path / "odd.gguf")
        answer = dry_run(binary, path, ("-c", "256", "--no-warmup"), cache=tmp_path / "cache")
        assert answer.impossible is None
        assert (answer.refused is None) == taken(path), (lost, answer.refused)
