"""The formulas that stand in where a family has no graph: a block's peak is its own, whichever blocks come before it."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from kvtui.flags.context import ContextParams
from kvtui.hardware.device import HostMemory, Machine
from kvtui.header.reader import Header
from kvtui.memory.compute.rpc import ComputeModel
from kvtui.model.load import model_from_header


# recurrent blocks beside others without a cache of their own: networks alone, and an MTP block
@pytest.mark.parametrize("name", ["nemotron-3-nano-30b-a3b", "qwen3.5-27b-mtp-q8_0"])
def test_a_blocks_peak_does_not_follow_from_another_blocks(name: str, loaded_headers: Mapping[str, Header]) -> None:
    model = model_from_header(loaded_headers[name], name, ("draft-mtp",))
    whole = ComputeModel(model, ContextParams(n_ctx=8192, n_parallel=1), Machine((), HostMemory(1 << 40, 1 << 40)))
    alone = [replace(whole, model=replace(model, layers=(layer,))).attention[0] for layer in model.layers]
    assert list(whole.attention) == alone
    assert len({layer.is_recurrent for layer in model.layers}) == 2
