"""Models to choose from, and whether and how each would lie in a machine."""

from dataclasses import dataclass

from kvtui.hardware.device import CPU
from kvtui.header.address import ModelAddress
from kvtui.placement.plan import Plan


@dataclass(frozen=True)
class Offer:
    """A model to choose: `n_bytes` of all its `n_files`; `place`: where it is; `address` None: `problem` says why it cannot
    be opened."""

    name: str
    model: str
    n_bytes: int
    n_files: int
    place: str
    address: ModelAddress | None = None
    problem: str = ""


@dataclass(frozen=True)
class Fitting:
    """An offer with its plan, or the sentence why there is none."""

    offer: Offer
    plan: Plan | None = None
    problem: str = ""

    @property
    def fits(self) -> bool:
        """Within free memory minus margins."""
        return self.plan is not None and self.plan.fits

    @property
    def how(self) -> str:
        """Where it would lie, or why it cannot."""
        if self.plan is None:
            return self.problem
        if not self.plan.fits:
            return next((f.message for f in self.plan.findings if f.severity == "error"), "does not fit")
        return _where(self.plan)


def _where(plan: Plan) -> str:
    used = plan.estimate.devices
    names = [d.name for d, use in zip(plan.request.machine.devices, used, strict=True) if use.weights_bytes]
    if not names:
        return "all in RAM"
    on = " and ".join(names) if len(names) <= 2 else f"{len(names)} devices"
    if CPU not in (*plan.homes, *plan.places):
        return f"all on {on}"
    there = sum(use.weights_bytes for use in used)
    return f"{there / (there + plan.estimate.host.weights_bytes):.0%} on {on}, the rest in RAM"
