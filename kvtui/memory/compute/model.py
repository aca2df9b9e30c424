"""Compute buffers of one model under one context: derived where the family's graph is known and its
back ends have rules, by formulas elsewhere."""

from dataclasses import dataclass, replace
from functools import cached_property

from kvtui.hardware.device import CPU, Machine
from kvtui.memory.assignment import Assignment, opened_of
from kvtui.memory.compute.engine import Engine
from kvtui.memory.compute.graphs import covered
from kvtui.memory.compute.rpc import ComputeBytes
from kvtui.memory.compute.rpc import ComputeModel as Formulas
from kvtui.memory.compute.rules import RULES
from kvtui.memory.compute.terms import Term


@dataclass(frozen=True)
class ComputeModel(Formulas):
    """Built once, asked for many assignments."""

    fa_quants: tuple[str, ...] | None = None  # pairs that the binary has kernels for; None: the default set
    drafts: bool = False  # the MTP context of the model, not its main one
    engine: type[Engine] = Engine  # or one for many contexts (courses.py)

    @property
    def derived(self) -> bool:
        """Whether figures follow from the graph. What is refused when it is loaded has none: tensors are missing, or have
        shapes that nothing can be made of."""
        sound = self.model.refusal is None
        return sound and any(d.backend in RULES for d in self.machine.devices) and covered(self.model, self.drafts)

    def bytes(self, assignment: Assignment) -> ComputeBytes:
        """Compute buffers under `assignment`."""
        if not self.derived:
            return super().bytes(assignment)
        opened = self._opened(assignment)
        return self._spread(opened, self._engine(opened).peaks(_among(assignment, opened)))

    def dry_run_bytes(self, assignment: Assignment) -> ComputeBytes | None:
        """What the server's own dry run says of `assignment`, which is not always what a load takes; None where formulas
        had to do."""
        if not self.derived:
            return None
        opened = self._opened(assignment)
        return self._spread(opened, self._engine(opened).dry_run_peaks(_among(assignment, opened)))

    def _spread(self, opened: tuple[int, ...], peaks: tuple[int, ...]) -> ComputeBytes:
        *own, host = peaks
        devices = [0] * len(self.machine.devices)
        for i, peak in zip(opened, own, strict=True):
            devices[i] = peak
        return ComputeBytes(tuple(devices), host, self._said)

    @property
    def _said(self) -> str:
        """Of the machine's back ends the one that was measured least."""
        said = max((RULES[d.backend].said for d in self.machine.devices if d.backend in RULES), key=len)
        return said.format(build=self.build.stand_in)

    def terms(self, assignment: Assignment) -> tuple[tuple[Term, ...], ...]:
        """What is alive at each peak: the devices in the machine's order, RAM last; empty where formulas had to do."""
        if not self.derived:
            return ()
        opened = self._opened(assignment)
        *found, host = self._engine(opened).terms(_among(assignment, opened))
        devices: list[tuple[Term, ...]] = [()] * len(self.machine.devices)
        for i, terms in zip(opened, found, strict=True):
            devices[i] = terms
        return (*devices, host)

    def _opened(self, assignment: Assignment) -> tuple[int, ...]:
        return opened_of(assignment.opened, len(self.machine.devices))

    @cached_property
    def _engines(self) -> dict[tuple[int, ...], Engine]:
        """By the devices that are opened: the others are no back ends at all."""
        return {}

    def _engine(self, opened: tuple[int, ...]) -> Engine:
        if opened not in self._engines:
            machine = Machine(tuple([self.machine.devices[i] for i in opened]), self.machine.ram)
            self._engines[opened] = self.engine(self.model, self.context, machine, self.fa_quants, self.drafts, self.build)
        return self._engines[opened]


def _among(assignment: Assignment, opened: tuple[int, ...]) -> Assignment:
    """The assignment with devices numbered as those that are opened."""
    if opened == tuple(range(len(opened))) and assignment.opened is None:
        return assignment
    number = {CPU: CPU, **{device: i for i, device in enumerate(opened)}}
    return replace(
        assignment,
        layer_devices=tuple([number[d] for d in assignment.layer_devices]),
        tensor_devices=tuple([number[d] for d in assignment.tensor_devices]),
        tied_output=None if assignment.tied_output is None else number[assignment.tied_output],
        opened=None,
        named=None,
    )
