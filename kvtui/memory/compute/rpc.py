"""Compute buffers: what the graph needs beside weights and caches, on every device and in RAM.

The largest graph that llama.cpp reserves (src/llama-context.cpp, graph_reserve: a full ubatch over a full cache) is
modelled by what lives at its peak: attention masks (src/llama-graph.cpp, build_attn_inp_kq_mask), the activations of the widest
block, and, with several devices and no override, the copies of inputs that pipelining keeps
(ggml/src/ggml-backend.cpp, GGML_SCHED_MAX_COPIES). Counts of live tensors were measured on b11434."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from kvtui.base.build import DEFAULT_BUILD, Build
from kvtui.base.sizes import F16_BYTES, F32_BYTES
from kvtui.cache.layout import flash_attention, physical_batch
from kvtui.flags.context import ContextParams, pad256
from kvtui.hardware.device import CPU, Machine
from kvtui.memory.assignment import Assignment
from kvtui.model.spec import Layer, ModelSpec

_COPIES = 4  # GGML_SCHED_MAX_COPIES
# rows of n_embd values that are alive at the peak beside a block's own tensors
_ROWS_BLOCK = 4
_ROWS_ATTENTION = 3
_ROWS_INNER = 2  # fewer where the first block is elsewhere
_ROWS_EXPERTS_ONLY = 3  # fewer on a device that holds experts and no block
_ROWS_PIPELINE_FIRST, _ROWS_PIPELINE = 12, 7
_ROWS_HOST, _ROWS_HOST_PIPELINE = 4, 10


@dataclass(frozen=True)
class ComputeBytes:
    """Bytes: `devices` in the machine's order; `basis` says what the figures rest on."""

    devices: tuple[int, ...]
    host: int
    basis: str


@dataclass(frozen=True)
class ComputeModel:
    """Compute buffers of one model under one context; built once, asked for many assignments."""

    model: ModelSpec
    context: ContextParams
    machine: Machine
    build: Build = DEFAULT_BUILD

    @cached_property
    def ubatch(self) -> int:
        """Tokens of the largest graph."""
        return physical_batch(self.model, self.context)

    @cached_property
    def row(self) -> int:
        """Bytes of one n_embd row a token."""
        return self.model.n_embd * self.ubatch * F32_BYTES

    @cached_property
    def masks(self) -> int:
        """Bytes of one copy of the KQ masks: f16 under flash attention, f32 without."""
        ctx, model = self.context, self.model
        if model.family.memory == "none":
            width = self.ubatch
        elif not any(x.has_cache for x in model.layers):
            return 0
        else:
            width = ctx.cells_per_slot(model.n_ctx_train)
        size = F16_BYTES if flash_attention(model, ctx) else F32_BYTES
        total = width * self.ubatch * size if any(not x.is_swa for x in model.layers) else 0
        if any(x.is_swa for x in model.layers):
            per_slot = model.n_swa * (ctx.slots if ctx.unified else 1)
            window = width if ctx.swa_full else pad256(min(width, per_slot + self.ubatch))
            total += window * self.ubatch * size
        return total

    def _attention(self, layer: Layer) -> int:
        """Peak of a block's attention: queries, the output, and without flash attention the scores."""
        if layer.is_recurrent and self._state_row:
            return self._state_row
        q = layer.n_head * layer.head_k * self.ubatch * F32_BYTES
        peak = 3 * q + (0 if self.model.is_mla else _ROWS_ATTENTION * self.row)
        if layer.has_cache and not flash_attention(self.model, self.context):
            cells = self.context.cells_per_slot(self.model.n_ctx_train)
            peak += cells * self.ubatch * layer.n_head * F32_BYTES
        return peak

    @cached_property
    def attention(self) -> tuple[int, ...]:
        """Peak of attention a block."""
        return tuple(map(self._attention, self.model.layers))

    @cached_property
    def feed_forward(self) -> tuple[int, ...]:
        """Peak of the FFN a block: dense, or experts (their output for each used expert, then up, gate, product)."""
        model, out = self.model, []
        for layer in model.layers:
            width = self._expert_width.get(layer.index, 0)
            if width:
                hidden = model.n_expert_used * width * self.ubatch * F32_BYTES
                output = model.n_expert_used * self.row
                # up, gate and product; the output fits in the hole of the first two, or comes after them
                peak = 3 * hidden + (output if output > 2 * hidden else 0)
            else:
                peak = 3 * layer.n_ff * self.ubatch * F32_BYTES
            out.append(peak + _ROWS_BLOCK * self.row)
        return tuple(out)

    @cached_property
    def _state_row(self) -> int:
        """Peak of a Mamba block (src/models/mamba-base.cpp, build_mamba2_layer): input projection, convolution, scan."""
        keys, arch = self.model.header.metadata, self.model.architecture
        inner, state, groups = (keys.get(f"{arch}.ssm.{k}", 0) for k in ("inner_size", "state_size", "group_count"))
        if not (isinstance(inner, int) and isinstance(state, int) and isinstance(groups, int)):
            return 0
        values = (2 * inner + 2 * groups * state) + 2 * (inner + 2 * groups * state) + 4 * inner
        return values * self.ubatch * F32_BYTES + self.row

    @cached_property
    def _expert_width(self) -> dict[int, int]:
        """Block -> values of one expert's hidden row."""
        widths = {}
        for t in self.model.tensors:
            if t.expert and t.block is not None and ".ffn_down" in t.name and t.dims:
                widths[t.block] = t.dims[0]
        return widths

    @cached_property
    def _ffn_tensors(self) -> dict[int, list[int]]:
        """Block -> indices of its large FFN tensors."""
        found: dict[int, list[int]] = {}
        for t in self.model.tensors:
            if t.block is not None and ".ffn_" in t.name and (t.expert or ".ffn_up." in t.name or ".ffn_down." in t.name):
                found.setdefault(t.block, []).append(t.index)
        return found

    def pipelined(self, assignment: Assignment) -> bool:
        """Whether llama_context enables pipeline parallelism: several devices, everything on them, no override."""
        layers = assignment.layer_devices
        return (
            len(self.machine.devices) > 1
            and len(set(layers)) > 1
            and CPU not in layers
            and not assignment.overridden
            and self.context.offload_kqv
        )

    def bytes(self, assignment: Assignment) -> ComputeBytes:
        """Compute buffers under `assignment`."""
        copies = _COPIES if self.pipelined(assignment) else 1
        peaks = self._peaks(assignment)
        first = assignment.layer_devices[0]
        devices = []
        for i in range(len(self.machine.devices)):
            peak = peaks.get(i, 0)
            if i not in assignment.layer_devices:
                devices.append(max(peak - _ROWS_EXPERTS_ONLY * self.row, 0))
                continue
            if copies > 1:
                rows = _ROWS_PIPELINE_FIRST if i == first else _ROWS_PIPELINE
            else:
                rows = 0 if i == first else -_ROWS_INNER
            has_blocks = i in assignment.layer_devices[:-1]
            devices.append(max(peak + copies * self.masks * has_blocks + rows * self.row, 0))
        host = copies * self.masks + (_ROWS_HOST_PIPELINE if copies > 1 else _ROWS_HOST) * self.row
        host = max(host, peaks.get(CPU, 0) + self.masks * (CPU in assignment.layer_devices[:-1]))
        return ComputeBytes(tuple(devices), host, self._basis())

    def _peaks(self, assignment: Assignment) -> dict[int, int]:
        """The widest block's peak on each device; an FFN elsewhere than its block counts there."""
        peaks: dict[int, int] = {}
        overridden = assignment.overridden
        for layer, home in zip(self.model.layers, assignment.layer_devices, strict=False):
            if not layer.loaded:
                continue
            attention, feed_forward = self.attention[layer.index], self.feed_forward[layer.index]
            places: Sequence[int] = (home,)
            if overridden and layer.index in self._ffn_tensors:
                places = [assignment.tensor_devices[t] for t in self._ffn_tensors[layer.index]]
            if attention > peaks.get(home, 0):
                peaks[home] = attention
            if len(set(places)) > 1:  # an FFN over two devices: what crosses is held once more
                feed_forward += self._crossing(layer)
            for place in places:
                if feed_forward > peaks.get(place, 0):
                    peaks[place] = feed_forward
        return peaks

    def _crossing(self, layer: Layer) -> int:
        width = self._expert_width.get(layer.index, 0)
        return self.model.n_expert_used * width * self.ubatch * F32_BYTES if width else self.row

    def _basis(self) -> str:
        if any(d.backend in ("CUDA", "ROCm") for d in self.machine.devices):
            return f"extrapolated from RPC dry runs of {DEFAULT_BUILD}"
        return f"dry runs of {DEFAULT_BUILD}"
