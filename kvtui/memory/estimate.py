"""What each device and the host will hold: weights, caches, recurrent state, compute."""

from dataclasses import replace

from kvtui.base.build import DEFAULT_BUILD, Build
from kvtui.cache.layout import CacheLayout, cache_layout
from kvtui.flags.context import ContextParams
from kvtui.hardware.device import CPU, Machine
from kvtui.memory.amounts import DeviceMemory, Estimate, HostUse
from kvtui.memory.assignment import Assignment
from kvtui.memory.beside.files import Beside
from kvtui.memory.beside.loaded import BesideModel
from kvtui.memory.compute import ComputeModel
from kvtui.memory.corrections import NOTHING, Learned
from kvtui.memory.expert_cache import expert_cache
from kvtui.memory.overhead import NONE, overhead_of
from kvtui.memory.weights import weights
from kvtui.model.spec import ModelSpec


def estimate(
    model: ModelSpec,
    context: ContextParams,
    assignment: Assignment,
    machine: Machine,
    build: Build = DEFAULT_BUILD,
    *,
    compute: ComputeModel | None = None,
    layout: CacheLayout | None = None,
    cache_ram_bytes: int = 0,
    checkpoints: int = 0,
    learned: Learned = NOTHING,
    beside: BesideModel | None = None,
) -> Estimate:
    """Memory of `model` under `assignment`. `compute`, `layout` and `beside` may be given where many assignments are tried;
    without `beside` nothing but the model's own MTP context is beside it. `learned` corrects compute, and says the
    overhead where it is known; elsewhere that is what was measured on such cards."""
    compute = compute or ComputeModel(model, context, machine, build)
    layout = layout or cache_layout(model, context)
    beside = beside or BesideModel(Beside(), model, context, machine, build)
    held = weights(model, assignment, machine)
    buffers = compute.bytes(assignment)
    cache, state = [0] * (len(machine.devices) + 1), [0] * (len(machine.devices) + 1)  # CPU is -1: the last
    for home, layer in zip(assignment.layer_devices, layout.layers, strict=False):
        place = home if context.offload_kqv else CPU
        cache[place] += layer.cache_bytes
        state[place] += layer.state_bytes
    others = beside.parts(assignment)
    near = [0] * (len(machine.devices) + 1)
    for part in others:
        near[part.device] += part.n_bytes
    experts = expert_cache(model, assignment, machine, context.expert_cache_mib)
    devices = []
    for i, device in enumerate(machine.devices):
        working = learned.compute(i, buffers.devices[i])
        used = held.devices[i] + cache[i] + state[i] + working + near[i] + experts.devices[i]
        known = overhead_of(device) if used or assignment.opens(i) else NONE
        overhead = learned.overhead(i, used) or known.load_bytes
        devices.append(
            DeviceMemory(held.devices[i], cache[i], state[i], working, near[i], experts.devices[i], overhead, known.growth_bytes)
        )
    host = HostUse(
        held.host,
        cache[CPU],
        state[CPU],
        max(buffers.host + learned.host_compute_bytes, 0),
        near[CPU],
        experts.host,
        prompt_cache_bytes=cache_ram_bytes,
        checkpoint_bytes=checkpoint_bytes(model, context, checkpoints),
    )
    return Estimate(tuple(devices), host, learned.said or buffers.basis, others)


def checkpoint_bytes(model: ModelSpec, context: ContextParams, checkpoints: int) -> int:
    """Ceiling of `checkpoints` context checkpoints a slot: each holds what the window's cache keeps of one sequence, and its
    recurrent state (tools/server/server-context.cpp, create_checkpoint; llama_kv_cache_iswa, state_write: partial only)."""
    if not checkpoints or (context.swa_full and not model.recurrent):
        return 0
    one = cache_layout(model, replace(context, n_parallel=1, kv_unified=False, n_ctx=context.cells_per_slot(model.n_ctx_train)))
    windows = sum(x.cache_bytes for x, block in zip(one.layers, model.layers, strict=True) if block.is_swa)
    return (windows + one.state_bytes) * checkpoints * context.slots
