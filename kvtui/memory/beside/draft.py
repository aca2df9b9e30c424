"""A draft model (-md): weights, caches and compute of a whole second estimate, placed by its own flags, which follow the
model's where they are not given (common/speculative.cpp, common_base_params_to_speculative)."""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import cached_property

from kvtui.base.build import DEFAULT_BUILD, Build
from kvtui.base.findings import Finding, UsageError
from kvtui.cache.layout import cache_layout
from kvtui.flags.beside import BesideFlags
from kvtui.flags.context import ContextParams
from kvtui.flags.read import ServerFlags
from kvtui.hardware.device import CPU, Machine
from kvtui.memory.assign import assign
from kvtui.memory.assignment import Assignment, opened_of, split_of
from kvtui.memory.beside.mtp import MtpContext
from kvtui.memory.beside.part import Part, output_rows, parts
from kvtui.memory.compute import ComputeModel
from kvtui.memory.weights import weights
from kvtui.model.spec import ModelSpec


def draft_context(main: ContextParams, trained: int, flags: BesideFlags) -> ContextParams:
    """The draft's context: as many cells as the model's, whose trained context is `trained`, and types of its own; nothing
    is kept to take tokens back, and no experts are cached."""
    return replace(
        main,
        n_ctx=main.cells(trained),
        type_k=flags.draft_type_k,
        type_v=flags.draft_type_v,
        spec_types=(),
        n_draft=None,
        expert_cache_mib=0,
    )


@dataclass(frozen=True)
class DraftModel:
    """Built once, asked for many placements of the model. `main`: the server's flags where they are exact; None: those that
    a placement of the model would be written as."""

    spec: ModelSpec
    context: ContextParams  # the draft's own
    machine: Machine
    flags: BesideFlags
    main: ServerFlags | None = None
    build: Build = DEFAULT_BUILD
    fa_quants: tuple[str, ...] | None = None

    @cached_property
    def _compute(self) -> ComputeModel:
        return ComputeModel(self.spec, self.context, self.machine, self.build, self.fa_quants)

    @cached_property
    def _mtp(self) -> MtpContext:
        types = (self.context.type_k, self.context.type_v)
        return MtpContext(self.spec, self.context, self.machine, *types, self.build, self.fa_quants)

    @cached_property
    def _known(self) -> dict[Hashable, tuple[Part, ...]]:
        return {}

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What of it is not known here."""
        return self._mtp.findings if self.spec.mtp else ()

    def placed(self, model: Assignment) -> Assignment:
        """Where its own flags put it beside a `model` placed so. Raises UsageError for devices and buffers that are not
        there."""
        try:
            return assign(self.spec, self._flags(model), self.machine)
        except UsageError as e:
            raise UsageError(f"the draft model's {e}") from None

    def _flags(self, model: Assignment) -> ServerFlags:
        main = self.main or _as_flags(model, self.machine)
        own = self.flags
        devices = main.devices if own.draft_devices is None else own.draft_devices
        alone = own.draft_devices is not None and len(own.draft_devices) == 1
        return replace(
            main,
            context=self.context,
            n_gpu_layers=own.draft_layers,
            overrides=own.draft_overrides,
            devices=devices,
            split_mode="layer" if alone else main.split_mode,
        )

    def parts(self, model: Assignment) -> tuple[Part, ...]:
        """What it takes beside a `model` placed so."""
        flags = self._flags(model)
        asked = (flags.devices, flags.tensor_split, flags.split_mode, flags.main_gpu, flags.repack)
        if asked not in self._known:
            self._known[asked] = self._parts(self.placed(model))
        return self._known[asked]

    def _parts(self, own: Assignment) -> tuple[Part, ...]:
        held = weights(self.spec, own, self.machine)
        placed = (*held.devices, held.host)
        if self.spec.mtp:
            return self._mtp.parts(own, "draft", placed)
        cache, state = [0] * len(placed), [0] * len(placed)
        for home, layer in zip(own.layer_devices, cache_layout(self.spec, self.context).layers, strict=False):
            place = home if self.context.offload_kqv else CPU
            cache[place] += layer.cache_bytes
            state[place] += layer.state_bytes
        buffers = self._compute.bytes(own)
        output = output_rows(self.spec.n_vocab, self.context.slots)
        return parts("draft", placed, cache, state, (*buffers.devices, buffers.host), output)


def _as_flags(model: Assignment, machine: Machine) -> ServerFlags:
    """The flags that a placement of the model is written as, of those that a draft follows: -dev, and -ts as layer counts."""
    opened = model.opened
    return ServerFlags(
        devices=None if opened is None else tuple([machine.devices[i].name for i in opened]),
        tensor_split=split_of(model.layer_devices, opened_of(opened, len(machine.devices))),
        repack=model.repack,
    )
