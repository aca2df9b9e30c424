"""All that is beside the model, for one placement of it."""

from dataclasses import dataclass, replace
from functools import cached_property

from kvtui.base.build import DEFAULT_BUILD, Build
from kvtui.base.findings import Finding
from kvtui.flags.context import ContextParams
from kvtui.flags.read import ServerFlags
from kvtui.hardware.device import Machine
from kvtui.memory.assignment import Assignment
from kvtui.memory.beside.draft import DraftModel, draft_context
from kvtui.memory.beside.files import Beside
from kvtui.memory.beside.mtp import MtpContext
from kvtui.memory.beside.pairing import draft_misfit, draft_without_type, projector_misfit
from kvtui.memory.beside.part import Part
from kvtui.memory.beside.projector import ProjectorMemory
from kvtui.model.spec import ModelSpec


@dataclass(frozen=True)
class BesideModel:
    """Built once for a context, asked for many placements. `main`: the server's flags where they are exact."""

    beside: Beside
    model: ModelSpec
    context: ContextParams
    machine: Machine
    build: Build = DEFAULT_BUILD
    fa_quants: tuple[str, ...] | None = None
    main: ServerFlags | None = None

    @cached_property
    def draft(self) -> DraftModel | None:
        """The draft model, if there is one."""
        spec, flags = self.beside.draft, self.beside.flags
        if spec is None:
            return None
        own = draft_context(self.context, self.model.n_ctx_train, flags)
        return DraftModel(spec, own, self.machine, flags, self.main, self.build, self.fa_quants)

    @cached_property
    def mtp(self) -> MtpContext | None:
        """The model's own MTP context: not where a draft model does the drafting."""
        if not self.model.mtp or self.draft is not None:
            return None
        flags = self.beside.flags
        types = (flags.draft_type_k, flags.draft_type_v)
        return MtpContext(self.model, self.context, self.machine, *types, self.build, self.fa_quants)

    @cached_property
    def projector(self) -> ProjectorMemory | None:
        """The projector, if there is one."""
        found = self.beside.projector
        return (
            None
            if found is None
            else ProjectorMemory(found, self.machine, self.beside.flags, self.context.flash_attn != "off", self.fa_quants)
        )

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong or not known about them."""
        found = [f for x in (self.mtp, self.draft, self.projector) if x is not None for f in x.findings]
        refusal = self.beside.draft.refusal if self.beside.draft is not None else None
        if refusal is not None:
            found.append(replace(refusal, message=f"the draft model: {refusal.message}"))
        return (*found, *self._misfits())

    def _misfits(self) -> tuple[Finding, ...]:
        """What does not go with the model."""
        draft, projector, types = self.beside.draft, self.beside.projector, self.context.spec_types
        found = [projector_misfit(self.model, projector)] if projector is not None else []
        found += [draft_misfit(self.model, draft, types), draft_without_type(draft, types)] if draft is not None else []
        return tuple([f for f in found if f is not None])

    def parts(self, assignment: Assignment) -> tuple[Part, ...]:
        """What all of them take where the model is placed so. Raises UsageError for devices that are not there."""
        found = [x.parts(assignment) for x in (self.mtp, self.draft, self.projector) if x is not None]
        return tuple([part for parts in found for part in parts])
