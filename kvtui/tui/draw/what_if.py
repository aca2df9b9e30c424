"""What a card more or less changes, in one sentence."""

from collections import Counter
from typing import TYPE_CHECKING

from kvtui.hardware.device import Device
from kvtui.tui.draw.amounts import short_card
from kvtui.tui.state import SEARCHING, State

if TYPE_CHECKING:
    from kvtui.placement.plan import Plan


def what_if_text(state: State) -> str:
    """`simulated, with RTX 3090 as CUDA1: largest context 24,576 -> 65,536, 31.0 -> 44.2 tokens a second; ...`; "" on the
    machine that is here."""
    had, plan = state.had, state.plan
    if had is None or not state.what_if:
        return ""
    said = f"simulated, {_devices(had.request.machine.devices, state.request.machine.devices)}"
    changes = []
    if had.plan is not None and plan is not None and state.working != SEARCHING:
        row = next((r for r in state.rows if r.pair == state.pair), None) if state.rows_of == state.generation else None
        now = row.max_context if row is not None else None
        if had.max_context is not None and now is not None:
            changes.append(f"largest context {_change(f'{had.max_context:,}', f'{now:,}')}")
        else:
            before, after = (f"{p.request.context.n_ctx:,}" for p in (had.plan, plan))
            changes.append(f"context {_change(before, after)}")
        changes.append(_change(_speed(had.plan), _speed(plan)))
        if had.plan.fits != plan.fits:
            changes.append("now it fits" if plan.fits else "now it does not fit")
    joined = f": {', '.join(changes)}" if changes else ""
    return f"{said}{joined}; {state.key('as it is')} is the machine as it is"


def _devices(before: tuple[Device, ...], after: tuple[Device, ...]) -> str:
    """`with RTX 3090 as CUDA1, without CUDA0`."""
    more, less = Counter(after) - Counter(before), Counter(before) - Counter(after)
    parts = [f"with {short_card(d.description) or 'a device'} as {d.name}" for d in more]
    return ", ".join([*parts, *(f"without {d.name}" for d in less)])


def _speed(plan: "Plan") -> str:
    return f"{plan.speed.tokens_per_second:,.1f} tokens a second" if plan.speed is not None else "an unknown speed"


def _change(before: str, after: str) -> str:
    return f"{before} as before" if before == after else f"{before} -> {after}"
