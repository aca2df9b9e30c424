"""RAM's bandwidth in the app: measured when a plan first needs it, and again by a key."""

from dataclasses import replace

from kvtui.tasks.first_ram_speed import needs_ram_speed
from kvtui.tasks.ram_speed import CALLED_OFF, measure_ram
from kvtui.tui.what_if import WhatIfDesk
from kvtui.tui.work.messages import PlanReady, RamMeasured


class RamSpeedDesk(WhatIfDesk):
    """The desk with RAM's bandwidth."""

    def measure_ram(self) -> None:
        """Measure it now; the same request is planned again with what it is."""
        ram = self.state.request.machine.ram
        if ram.simulated:
            self.notice("this RAM is described, not had: its bandwidth is what --ram says")
            return
        self.become(replace(self.state, ram_asked=True, notice="measuring RAM's bandwidth, for a second"))
        self.work("measuring RAM's bandwidth", lambda: RamMeasured(measure_ram(ram)))

    def on_plan_ready(self, message: PlanReady) -> None:
        """Measured once where a plan has no speed without it."""
        current = message.generation == self.state.generation
        if current and not self.state.ram_asked and needs_ram_speed(message.plan):
            self.measure_ram()

    def on_ram_measured(self, message: RamMeasured) -> None:
        """Planned again with it; undo comes back to requests that have it too."""
        if message.ram is None or message.ram.bandwidth is None:
            self.notice(CALLED_OFF)
            return
        self.state = self.state.with_ram(message.ram)
        self._take(self.state.request, f"RAM is read at {message.ram.bandwidth / 1e9:,.1f} GB/s, measured here")
