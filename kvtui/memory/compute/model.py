"""Compute buffers of one model under one context: derived where the family's graph is known and a device is a GPU of this
machine, by formulas elsewhere."""

from dataclasses import dataclass
from functools import cached_property

from kvtui.memory.assignment import Assignment
from kvtui.memory.compute.engine import CUDA_BACKENDS, Engine, covered
from kvtui.memory.compute.rpc import DEFAULT_BUILD, ComputeBytes
from kvtui.memory.compute.rpc import ComputeModel as Formulas
from kvtui.memory.compute.terms import Term


@dataclass(frozen=True)
class ComputeModel(Formulas):
    """Built once, asked for many assignments."""

    fa_quants: tuple[str, ...] | None = None  # pairs that the binary has kernels for; None: the default set

    @cached_property
    def engine(self) -> Engine | None:
        """None where formulas have to do."""
        gpu = any(d.backend in CUDA_BACKENDS for d in self.machine.devices)
        return Engine(self.model, self.context, self.machine, self.fa_quants) if gpu and covered(self.model) else None

    def bytes(self, assignment: Assignment) -> ComputeBytes:
        """Compute buffers under `assignment`."""
        if self.engine is None:
            return super().bytes(assignment)
        *devices, host = self.engine.peaks(assignment)
        return ComputeBytes(tuple(devices), host, f"derived from the graph that {DEFAULT_BUILD} allocates")

    def terms(self, assignment: Assignment) -> tuple[tuple[Term, ...], ...]:
        """What is alive at each peak: the devices in the machine's order, RAM last; empty where formulas had to do."""
        return self.engine.terms(assignment) if self.engine is not None else ()
