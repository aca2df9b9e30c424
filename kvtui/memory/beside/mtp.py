"""The context of a model's MTP blocks, which --spec-type draft-mtp opens beside the main one (common/speculative.cpp,
common_speculative_init_result): K/V of its own types, as many cells, compute buffers of its own graph."""

from dataclasses import dataclass, replace
from functools import cached_property

from kvtui.base.build import DEFAULT_BUILD, Build
from kvtui.base.findings import Finding
from kvtui.cache.layout import draft_layout
from kvtui.flags.context import ContextParams
from kvtui.hardware.device import CPU, Machine
from kvtui.memory.assignment import Assignment
from kvtui.memory.beside.part import Part, output_rows, parts
from kvtui.memory.compute import ComputeBytes, ComputeModel
from kvtui.memory.compute.graphs import covered
from kvtui.model.spec import ModelSpec

NOT_DERIVED = "mtp-compute"

# rows of n_embd values beside masks and the block's own, where no graph is known; as counted on CUDA, in RAM and on the device
_ROWS_HOST, _ROWS_HOST_PIPELINE = 2, 5
_ROWS_PIPELINE = 12
_COPIES = 4  # ggml-backend.cpp, GGML_SCHED_MAX_COPIES


@dataclass(frozen=True)
class MtpContext:
    """Built once, asked for many placements of the model. `context`: the main one's."""

    model: ModelSpec
    context: ContextParams
    machine: Machine
    type_k: str = "f16"
    type_v: str = "f16"
    build: Build = DEFAULT_BUILD
    fa_quants: tuple[str, ...] | None = None

    @cached_property
    def compute(self) -> ComputeModel:
        """Of the graph that drafts."""
        own = replace(self.context, type_k=self.type_k, type_v=self.type_v, expert_cache_mib=0)
        return ComputeModel(self.model, own, self.machine, self.build, self.fa_quants, drafts=True)

    @cached_property
    def cache(self) -> tuple[int, ...]:
        """K/V bytes a block."""
        return draft_layout(self.model, self.context, self.type_k, self.type_v).layer_bytes

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What of it is not known here."""
        if covered(self.model, drafts=True):
            return ()
        text = f"the compute buffers of {self.model.architecture}'s MTP context are not derived: formulas stand for its graph"
        return (Finding(NOT_DERIVED, "warning", text),)

    def buffers(self, assignment: Assignment) -> ComputeBytes:
        """Compute buffers: by the graph where the family has one, else by what the widest MTP block needs."""
        if self.compute.derived:
            return self.compute.bytes(assignment)
        model = self.compute
        blocks = [x.index for x in self.model.layers if x.drafts]
        widest = max(blocks, key=lambda i: model.attention[i] + model.feed_forward[i])
        pipelined = model.pipelined(assignment)
        masks = model.masks * (_COPIES if pipelined else 1)
        home = assignment.layer_devices[widest]
        peak = masks + max(model.attention[widest], model.feed_forward[widest]) + _ROWS_PIPELINE * model.row * pipelined
        host = masks + (_ROWS_HOST_PIPELINE if pipelined else _ROWS_HOST) * model.row
        devices = tuple([peak if i == home else 0 for i in range(len(self.machine.devices))])
        return ComputeBytes(devices, max(host, peak if home == CPU else 0), "counted on CUDA for other families")

    def parts(self, assignment: Assignment, what: str = "mtp", weights: tuple[int, ...] = ()) -> tuple[Part, ...]:
        """What it takes where the model is placed so. `weights`: of a draft model that is MTP blocks alone."""
        cache = [0] * (len(self.machine.devices) + 1)
        for home, n_bytes in zip(assignment.layer_devices, self.cache, strict=False):
            cache[home if self.context.offload_kqv else CPU] += n_bytes
        buffers = self.buffers(assignment)
        output = output_rows(self.model.n_vocab, self.context.slots)
        return parts(what, weights, cache, (), (*buffers.devices, buffers.host), output)
