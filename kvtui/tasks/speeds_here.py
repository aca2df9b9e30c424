"""Speeds that were measured on this machine, for a request: under which conditions, and what they say of a plan."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kvtui.base.build import build_in
from kvtui.base.clock import when
from kvtui.base.findings import Finding
from kvtui.base.shell import shell_line
from kvtui.flags.read import split_argv
from kvtui.hardware.nvidia import nvml
from kvtui.placement.request import Request
from kvtui.server.measure.measured import conditions
from kvtui.server.measure.speeds import MeasuredSpeed, SpeedSetting, damaged_speeds, kept_speeds
from kvtui.tasks.history import filed_under, gpus_of, request_key

if TYPE_CHECKING:
    from kvtui.placement.plan import Plan

SPEED_HERE = "speed-here"
FASTER_HERE = "faster-here"
_WORTH_SAYING = 1.02  # runs of the same flags differ by as much
_MOST_CHARACTERS = 120  # of flags that are told in a sentence


def speed_setting(request: Request) -> SpeedSetting:
    """What a speed measured now is filed under; asks NVIDIA's driver for its version."""
    return SpeedSetting(filed_under(request), request_key(request), gpus_of(request.machine), nvml.poll().driver or "")


def asked_digest(request: Request, more: Sequence[str] = ()) -> str:
    """Tells what a person asked for from another request, whatever plan answered it. `more`: a config's own arguments."""
    asked = (request.context, request.margin_bytes, request.pins, request.excluded, request.preferred, request.no_ram)
    others = (request.ram_margin_bytes, request.load_mode, request.beside.flags, tuple(more))
    return hashlib.sha256(repr((asked, others)).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def with_speed_here(plan: "Plan", more: Sequence[str] = (), state: Path | None = None) -> "Plan":
    """`plan` with what was measured of it among its findings, and whether another plan of the same request was faster.
    `more`: arguments that a config gives the server."""
    known = [s for s in kept_speeds(state) if measured_with(s.setting, plan.request)]
    if known:
        driver = nvml.poll().driver or ""
        known = [s for s in known if s.setting.driver == driver]
    flags = conditions((*plan.argv, *more))
    mine = [s for s in known if s.argv == flags]
    found = [_said(mine[0], plan)] if mine else []
    asked = asked_digest(plan.request, more)
    found += _faster(mine, [s for s in known if s.asked == asked and s.argv != flags], flags)
    return replace(plan, findings=(*plan.findings, *found, *damaged_speeds(state)))


def measured_with(setting: SpeedSetting, request: Request) -> bool:
    """Measured with this very server; where none is known, with any of this build."""
    if setting.model != request_key(request) or setting.gpus != gpus_of(request.machine):
        return False
    if request.server:
        return setting.server == request.server
    return build_in(setting.server.partition("@")[0]) == request.build


def _said(speed: MeasuredSpeed, plan: "Plan") -> Finding:
    said = f" (said {plan.speed.low:.3g} to {plan.speed.high:.3g})" if plan.speed is not None else ""
    text = f"measured here, {when(speed.at)}: {speed.decode_rate:.3g} tokens/s{said} behind {speed.prompt_tokens:,} tokens"
    return Finding(SPEED_HERE, "note", f"{text}, which were read at {speed.prompt_rate:,.0f} tokens/s")


def _faster(mine: Sequence[MeasuredSpeed], others: Sequence[MeasuredSpeed], flags: Sequence[str]) -> list[Finding]:
    """The fastest of the newest measurements of one prompt and answer."""
    if not others:
        return []
    depth = others[0].depth
    best = min((s for s in others if s.depth == depth), key=lambda s: s.turn_seconds)
    own = next((s for s in mine if s.depth == depth), None)
    if own is not None and own.turn_seconds < best.turn_seconds * _WORTH_SAYING:
        return []
    instead = f" instead of {own.turn_seconds:,.1f} s" if own is not None else ""
    turn = f"a turn of {depth[0]:,} + {depth[1]:,} tokens in {best.turn_seconds:,.1f} s{instead}"
    who = "another plan was faster here" if own is not None else "kvtui tune found another plan fastest here"
    text = f"{who}, {when(best.at)}: {best.decode_rate:.3g} tokens/s, {turn}, with {_difference(best.argv, flags)}"
    return [Finding(FASTER_HERE, "note", f"{text}; kvtui tune prints its command")]


def _difference(argv: Sequence[str], other: Sequence[str]) -> str:
    """The flags of one command that another has not."""
    has = {(name, *values) for name, values in split_argv(other)}
    own = [w for name, values in split_argv(argv) if (name, *values) not in has for w in (name, *values)]
    line = shell_line(own)
    return line if own and len(line) <= _MOST_CHARACTERS else "other homes of its tensors"
