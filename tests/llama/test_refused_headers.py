"""A real llama-server and kvtui judge each odd header alike."""

from pathlib import Path

import pytest
from odd_headers import CASES, Case

from kvtui.base.build import build_in
from kvtui.flags.context import ContextParams
from kvtui.header.reader import HeaderError
from kvtui.memory.refusals import refusals
from kvtui.model.load import load_model
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
