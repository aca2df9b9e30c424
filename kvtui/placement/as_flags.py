"""A placement as llama-server's flags: -ngl, -ts as layer counts, and one short -ot list."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kvtui.flags.overrides import Override
from kvtui.flags.read import MAX_SPLITS
from kvtui.hardware.buffers import buffer_names
from kvtui.hardware.device import CPU, Machine
from kvtui.memory.assignment import Assignment, default_place, opened_of, split_of
from kvtui.model.spec import ModelSpec

_NAME = re.compile(r"^blk\.(\d+)\.(.+)$")


@dataclass(frozen=True)
class PlacementFlags:
    """`argv`: --rpc, -dev, -ngl, -ts, -ot; `overrides`: the same as patterns, in order."""

    argv: tuple[str, ...]
    overrides: tuple[Override, ...]


def placement_flags(model: ModelSpec, assignment: Assignment, machine: Machine) -> PlacementFlags:
    """Flags that make llama-server place blocks and tensors as `assignment` says."""
    layers = assignment.layer_devices
    offloaded = sum(d != CPU for d in layers)
    endpoints = list(dict.fromkeys(d.endpoint for d in machine.devices if d.endpoint))
    argv = ["--rpc", ",".join(endpoints)] if endpoints else []
    opened = assignment.opened
    if opened is not None or any(d.also for d in machine.devices):
        # a server that lists a card twice does not always know that it is one
        argv += ["-dev", ",".join(machine.devices[i].name for i in opened_of(opened, len(machine.devices))) or "none"]
    argv += ["-ngl", str(offloaded)]
    counts = split_of(layers, opened_of(opened, len(machine.devices)))[:MAX_SPLITS]
    if counts:
        argv += ["-ts", ",".join(f"{c:.0f}" for c in counts)]
    overrides = _overrides(model, assignment, machine)
    if overrides:
        argv += ["-ot", ",".join(f"{o.pattern}={o.buffer}" for o in overrides)]
    return PlacementFlags(tuple(argv), overrides)


def _overrides(model: ModelSpec, assignment: Assignment, machine: Machine) -> tuple[Override, ...]:
    """Tensors that are not on their block's device, folded: one pattern a device and group of blocks."""
    layers = assignment.layer_devices
    buffers = (*buffer_names(machine.devices), "CPU")  # CPU is -1: the last
    moved: dict[int, dict[int, list[str]]] = {}  # device -> block -> what follows `blk.N.`
    single: list[Override] = []
    for t in model.tensors:
        place = assignment.tensor_devices[t.index]
        if not t.loaded or place == default_place(t, layers, machine.devices):
            continue
        match = _NAME.match(t.name)
        if match is None:
            single.append(Override(f"^{re.escape(t.name)}$", buffers[place]))
        else:
            moved.setdefault(place, {}).setdefault(int(match[1]), []).append(match[2])
    found = list(single)
    for place, blocks in sorted(moved.items()):
        groups: dict[tuple[str, ...], list[int]] = {}
        for block, names in blocks.items():
            groups.setdefault(tuple(sorted(names)), []).append(block)
        for group, numbers in sorted(groups.items(), key=lambda g: g[1]):
            found.append(Override(rf"blk\.{number_pattern(numbers)}\.{names_pattern(group)}", buffers[place]))
    return tuple(found)


def names_pattern(names: Sequence[str]) -> str:
    """`ffn_(down|up)_exps\\.weight` of the names after a block's number."""
    if len(names) == 1:
        return re.escape(names[0])
    start = _common(names)
    end = _common([n[len(start) :][::-1] for n in names])[::-1]
    middles = [n[len(start) : len(n) - len(end)] for n in names]
    return f"{re.escape(start)}({'|'.join(map(re.escape, middles))}){re.escape(end)}"


def _common(texts: Sequence[str]) -> str:
    """The longest common start."""
    short = min(texts, key=len)
    for i, c in enumerate(short):
        if any(t[i] != c for t in texts):
            return short[:i]
    return short


def number_pattern(numbers: Sequence[int]) -> str:
    """A regular expression for exactly these numbers: `(3|1[0-9]|2[0-3])`."""
    by_tens: dict[str, set[int]] = {}
    for n in numbers:
        by_tens.setdefault(str(n)[:-1], set()).add(n % 10)
    parts = [_digit(tens, digits) for tens, digits in sorted(by_tens.items(), key=lambda x: (len(x[0]), x[0]))]
    return parts[0] if len(parts) == 1 else f"({'|'.join(parts)})"


def _digit(tens: str, digits: set[int]) -> str:
    """`1[0-35]`: the last digits after `tens`."""
    runs: list[list[int]] = []
    for d in sorted(digits):
        if runs and runs[-1][-1] == d - 1:
            runs[-1].append(d)
        else:
            runs.append([d])
    if len(digits) == 1:
        return f"{tens}{runs[0][0]}"
    text = "".join(f"{r[0]}-{r[-1]}" if len(r) > 2 else "".join(map(str, r)) for r in runs)
    return f"{tens}[{text}]"
