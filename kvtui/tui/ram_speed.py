"""RAM's bandwidth in the app: measured when a plan first needs it, and again by a key."""

from dataclasses import replace
from typing import TYPE_CHECKING

from kvtui.base.late import Late
from kvtui.tui.what_if import WhatIfDesk

if TYPE_CHECKING:
    from kvtui.tasks import ram_speed
    from kvtui.tasks.first_ram_speed import needs_ram_speed
    from kvtui.tui.work.messages import PlanReady, RamMeasured
else:  # not needed by the first screen
    needs_ram_speed = Late("kvtui.tasks.first_ram_speed", "needs_ram_speed")
    ram_speed = Late("kvtui.tasks.ram_speed")
    RamMeasured = Late("kvtui.tui.work.messages", "RamMeasured")

_MEASURING = "measuring RAM's bandwidth, for a second"


class RamSpeedDesk(WhatIfDesk):
    """The desk with RAM's bandwidth."""

    def measure_ram(self) -> None:
        """Measure it now; the same request is planned again with what it is."""
        if self.state.request.machine.ram.simulated:
            self.notice("this RAM is described, not had: its bandwidth is what --ram says")
        else:
            self._measure(_MEASURING)

    def _measure(self, notice: str) -> None:
        ram = self.state.request.machine.ram
        self.become(replace(self.state, ram_asked=True, notice=notice))
        self.work("measuring RAM's bandwidth", lambda: RamMeasured(ram_speed.measure_ram(ram)))

    def on_plan_ready(self, message: "PlanReady") -> None:
        """Measured once where a plan has no speed without it."""
        current = message.generation == self.state.generation
        if current and not self.state.ram_asked and needs_ram_speed(message.plan):
            self._measure(self.state.notice or _MEASURING)  # nobody asked: what is said stays

    def on_ram_measured(self, message: "RamMeasured") -> None:
        """Planned again with it; undo comes back to requests that have it too."""
        if message.ram is None or message.ram.bandwidth is None:
            if self.state.notice in ("", _MEASURING):
                self.notice(ram_speed.CALLED_OFF)
            return
        self.state = self.state.with_ram(message.ram)
        said = self.state.notice if self.state.notice not in ("", _MEASURING) else ""
        self._take(self.state.request, said or f"RAM is read at {message.ram.bandwidth / 1e9:,.1f} GB/s, measured here")
