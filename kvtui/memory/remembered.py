"""Devices whose memory is told as it was, because they answer nobody else now."""

from kvtui.base.clock import when
from kvtui.base.findings import Finding
from kvtui.hardware.device import Machine

REMEMBERED = "device-remembered"


def remembered(machine: Machine) -> list[Finding]:
    """A note that names them, for each moment that they are remembered from."""
    moments = sorted({d.seen_at for d in machine.devices if d.seen_at is not None})
    return [Finding(REMEMBERED, "note", _said([d.name for d in machine.devices if d.seen_at == at], at)) for at in moments]


def _said(names: list[str], at: float) -> str:
    what = f"the memory of {', '.join(names)} is told as it was at {when(at)}"
    return f"{what}, when llama-server was launched that holds it now: a ggml-rpc-server answers one client at a time"
