"""Pins by block: what of a block may move, which device holds it, and what keys make of the pins of one or many."""

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

from kvtui.base.findings import UsageError
from kvtui.base.sizes import mib
from kvtui.flags.patterns import compiled
from kvtui.model.spec import ModelSpec, Tensor
from kvtui.placement.request import Pin, Request
from kvtui.tui.keys.changes import Change

RAM_NAME, RAM_PIN = "RAM", "CPU"  # for people; in a pin
EXPERTS, FFN = "experts", "FFN"
_FFN = re.compile(r"\.ffn_(up|gate|down|gate_up)\.")
_PARTS = {EXPERTS: r"ffn_.*_exps\.", FFN: r"ffn_(up|gate|down|gate_up)\."}
_OWN = re.compile(r"\^blk\\\.(\d+)\\\.(?:" + "|".join(re.escape(part) for part in _PARTS.values()) + ")")
_ONLY_BLOCKS = "the output stays with the last device: pins hold blocks"


def movable(model: ModelSpec, block: int) -> tuple[str, list[Tensor]]:
    """(EXPERTS or FFN, the tensors) of what a pin of this block holds; ("", []) where nothing of it may move."""
    mine = [t for t in model.tensors if t.block == block and t.loaded]
    experts = [t for t in mine if "_exps." in t.name]
    if experts:
        return EXPERTS, experts
    dense = [t for t in mine if _FFN.search(t.name)]
    return (FFN, dense) if dense else ("", [])


def _pattern(block: int, part: str) -> str:
    return rf"^blk\.{block}\.{_PARTS[part]}"


def pinned_to(request: Request, block: int) -> str:
    """The device that the block's own pin names, RAM for the host; "" where it has none."""
    mine = {_pattern(block, part) for part in _PARTS}
    device = next((p.device for p in request.pins if p.pattern in mine), "")
    return RAM_NAME if device == RAM_PIN else device


def pinned_blocks(request: Request) -> frozenset[int]:
    """Blocks of which some tensor is held by any pin, a block's own or one of the command line."""
    found = set()
    for pin in request.pins:
        own = _OWN.fullmatch(pin.pattern)
        if own is not None:
            found.add(int(own[1]))
            continue
        with suppress(UsageError):  # the plan says what is wrong with it
            pattern = compiled(pin.pattern)
            found |= {t.block for t in request.model.tensors if t.block is not None and pattern.search(t.name)}
    return frozenset(found)


def _without(request: Request, blocks: Iterable[int]) -> tuple[Pin, ...]:
    own = {_pattern(block, part) for block in blocks for part in _PARTS}
    return tuple(p for p in request.pins if p.pattern not in own)


def pinned(request: Request, blocks: Sequence[int], device: str) -> Change:
    """The experts (or FFN) of these blocks on a device, by its name or RAM_NAME."""
    pins, held, names = [], 0, []
    for block in blocks:
        part, tensors = movable(request.model, block)
        if part:
            pins.append(Pin(_pattern(block, part), RAM_PIN if device == RAM_NAME else device))
            held += sum(t.n_bytes for t in tensors)
            names += [part] if part not in names else []
    if not pins:
        return Change(request, _ONLY_BLOCKS)
    wanted = replace(request, pins=(*_without(request, blocks), *pins))
    return Change(wanted, f"{blocks_text(blocks)}: {' and '.join(names)}, {mib(held)}, pinned to {device}")


def unpinned(request: Request, blocks: Sequence[int]) -> Change:
    """No pin on these blocks."""
    kept = _without(request, blocks)
    if len(kept) == len(request.pins):
        return Change(request, f"{blocks_text(blocks)}: no pin of its own" if len(blocks) == 1 else "no pins in these blocks")
    return Change(replace(request, pins=kept), f"{blocks_text(blocks)}: no pin")


def pinned_further(request: Request, block: int) -> Change:
    """On the device after the one the block is pinned to; RAM comes last, then no pin."""
    names = [*(d.name for d in request.machine.devices), RAM_NAME]
    current = pinned_to(request, block)
    at = names.index(current) + 1 if current in names else 0
    return pinned(request, [block], names[at]) if at < len(names) else unpinned(request, [block])


def blocks_text(blocks: Sequence[int]) -> str:
    """`block 3`, `blocks 0-9`: numbers in a row."""
    return f"block {blocks[0]}" if len(blocks) == 1 else f"blocks {blocks[0]}-{blocks[-1]}"
