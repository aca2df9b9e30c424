"""What else is known of a card that is here: its driver and link, and who holds its memory."""

from kvtui.base.sizes import amount
from kvtui.base.text import columns, printable
from kvtui.hardware.holders import Holder
from kvtui.tui.draw.room import Room
from kvtui.tui.lines import Line, Span, line
from kvtui.tui.state import State


def card_lines(state: State, room: Room) -> dict[int, tuple[Line, ...]]:
    """By device: `driver 580.65, link 31.5 GB/s  llama-server 20.1 GiB (ours)`, on two lines where one is too short. Nothing
    where nothing was polled."""
    if not state.live:
        return {}
    found = {i: _lines(state, i, room.width) for i in range(len(state.request.machine.devices))}
    return {i: lines for i, lines in found.items() if lines}


def _lines(state: State, i: int, width: int) -> tuple[Line, ...]:
    device, on_it = state.request.machine.devices[i], state.held.on(i)
    if device.pci_id is None and device.slot is None:
        return ()
    facts = [f"driver {state.held.driver}"] if device.pci_id and state.held.driver else []
    facts += [f"link {device.link / 1e9:,.1f} GB/s"] if device.link else []
    known: list[Span] = [(f"  {', '.join(facts)}", "dim")] if facts else []
    pieces = [_said(h, h.pid in state.held.ours) for h in on_it]
    whole = [*known, *pieces]
    if sum(columns(text) for text, _ in whole) < width:
        return (_line(whole),) if whole else ()
    return (*((_line(known),) if known else ()), _line(_kept(pieces, width)))


def _line(spans: list[Span]) -> Line:
    return line((" ", "text"), *spans)


def _kept(pieces: list[Span], width: int) -> list[Span]:
    """As many as there is room for, and how many there are besides."""
    for n in range(len(pieces), 0, -1):
        rest: list[Span] = [(f"  and {len(pieces) - n} more", "dim")] if n < len(pieces) else []
        if sum(columns(text) for text, _ in (*pieces[:n], *rest)) < width:
            return [*pieces[:n], *rest]
    return [(f"  {len(pieces)} processes", "dim")]


def _said(holder: Holder, ours: bool) -> Span:
    held = f" {amount(holder.used_bytes)}" if holder.used_bytes is not None else ""
    return f"  {printable(holder.name)}{held}{' (ours)' if ours else ''}", "accent" if ours else "text"
