"""The expert cache of --moe-cache-mib: room on the devices for experts whose weights are in RAM (src/llama-moe-cache.cpp of
b11549, llama_moe_cache::impl).

One budget for all devices, shared out by -ts or by free memory among those that have such blocks. A device's blocks of equal
layout share slots, each room for one expert of every tensor; one slot more a tensor lies behind the last."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from kvtui.base.findings import Finding
from kvtui.base.sizes import MIB
from kvtui.hardware.backends import HOST, Backend, backend_of
from kvtui.hardware.device import CPU, Machine
from kvtui.memory.assignment import Assignment, opened_of
from kvtui.memory.weights import padded_bytes, repacks
from kvtui.model.spec import ModelSpec, Tensor

# the order of llama_moe_cache_layer_experts
_ROLES = ("ffn_gate_up_exps", "ffn_gate_exps", "ffn_up_exps", "ffn_down_exps")
_EXTRA_SLOTS = 1  # CUDA's products read past the last expert
_SLOT_BYTES = 4  # an I32 an expert of every cached block, in RAM
CACHED_BATCH = 32  # llama_moe_cache::impl::max_batch: larger batches read the weights themselves
Layout = tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Group:
    """Blocks of one device whose experts have one layout. `members`: the experts of each; `slots`: 0 where the budget is too
    small for the experts of a token."""

    device: int
    members: tuple[tuple[Tensor, ...], ...]
    slots: int

    @property
    def experts(self) -> tuple[Tensor, ...]:
        """Of the first of the blocks."""
        return self.members[0]

    @property
    def blocks(self) -> int:
        """How many they are."""
        return len(self.members)

    @property
    def n_expert(self) -> int:
        """Experts of a block."""
        return self.experts[0].dims[2]


@dataclass(frozen=True)
class ExpertCache:
    """Bytes: `devices` in the machine's order, and of the tables in RAM that say where each expert is."""

    devices: tuple[int, ...]
    host: int
    groups: tuple[Group, ...] = ()

    def read_by(self, tokens: int, used: int) -> dict[int, int]:
        """Tensors that a batch of so many tokens, each of `used` experts, reads from here, and their device (get_slot_map)."""
        if tokens > CACHED_BATCH:
            return {}
        groups = [g for g in self.groups if g.slots and min(tokens * used, g.n_expert) <= g.slots]
        return {t.index: g.device for g in groups for experts in g.members for t in experts}


def expert_cache(model: ModelSpec, assignment: Assignment, machine: Machine, budget_mib: int) -> ExpertCache:
    """What a budget of so many MiB, all devices together, takes under `assignment`."""
    devices = [0] * len(machine.devices)
    if not budget_mib or not model.n_expert_used:
        return ExpertCache(tuple(devices), 0)
    groups = _groups(model, assignment, machine, budget_mib * MIB)
    host = 0
    for group in groups:
        if group.slots:
            backend = backend_of(machine.devices[group.device].name)
            devices[group.device] += sum(padded_bytes(_bank(t, group.slots), backend) for t in group.experts)
            host += group.blocks * _padded(group.n_expert * _SLOT_BYTES, HOST)
    return ExpertCache(tuple(devices), host, groups)


def expert_cache_findings(model: ModelSpec, assignment: Assignment, machine: Machine, budget_mib: int) -> tuple[Finding, ...]:
    """Errors for what llama-server refuses (with its reason), warnings for a cache that is smaller than asked or not there."""
    if not budget_mib:
        return ()
    opened = opened_of(assignment.opened, len(machine.devices))
    if not opened:
        return (_error("MoE cache requires a GPU backend"),)
    if not model.n_expert or not model.n_expert_used:
        return (_error("MoE cache requires a MoE model"),)
    groups = expert_cache(model, assignment, machine, budget_mib).groups
    if not groups:
        return (_warning("no block on a device has all of its experts in RAM: --moe-cache-mib caches nothing"),)
    if not any(g.slots for g in groups):
        return (_error("MoE cache is too small to hold the experts of one token"),)
    found = []
    left = sum(g.blocks for g in groups if not g.slots)
    if left:
        found.append(_warning(f"--moe-cache-mib {budget_mib} is too small for {left} blocks: their experts are not cached"))
    if not assignment.shares and len({g.device for g in groups}) > 1:
        text = (
            f"--moe-cache-mib {budget_mib} is shared out by free memory as it is before the model is loaded; "
            "-ts shares it out by its own numbers"
        )
        found.append(Finding("expert-cache", "note", text))
    return tuple(found)


def _groups(model: ModelSpec, assignment: Assignment, machine: Machine, budget: int) -> tuple[Group, ...]:
    blocks: dict[tuple[int, Layout], list[tuple[Tensor, ...]]] = {}
    repacking = assignment.repack and not any(
        backend_of(machine.devices[i].name).host_buffer for i in opened_of(assignment.opened, len(machine.devices))
    )
    for il, layout, experts in _experts(model):
        device = assignment.layer_devices[il]
        if device == CPU or any(assignment.tensor_devices[t.index] != CPU for t in experts):
            continue
        if repacking and any(repacks(t) for t in experts):
            continue  # the CPU's own buffer type is none that others read (ggml_backend_buffer_is_host)
        blocks.setdefault((device, layout), []).append(experts)
    sizes = {key: sum(t.n_bytes for experts in members for t in experts) for key, members in blocks.items()}
    of_device: dict[int, int] = {}
    for (device, _), size in sizes.items():
        of_device[device] = of_device.get(device, 0) + size
    shares = _shares(assignment, machine, tuple(of_device))
    total = sum(shares[d] for d in of_device)
    found = []
    for (device, layout), members in blocks.items():
        part = int(float(budget) * shares[device] / total * sizes[device, layout] / of_device[device])
        group = Group(device, tuple(members), 0)
        slots = _slots(group, part, backend_of(machine.devices[device].name))
        found.append(replace(group, slots=slots if slots >= model.n_expert_used else 0))
    return tuple(found)


@lru_cache(maxsize=8)
def _experts(model: ModelSpec) -> tuple[tuple[int, Layout, tuple[Tensor, ...]], ...]:
    """Blocks that have experts, and what tells their layout."""
    named = {t.name: t for t in model.tensors if t.loaded}
    found = []
    for il in range(model.n_layer_all):
        experts = tuple([named[name] for role in _ROLES if (name := f"blk.{il}.{role}.weight") in named])
        if experts:
            found.append((il, tuple([(t.type_name, t.dims) for t in experts]), experts))
    return tuple(found)


def _shares(assignment: Assignment, machine: Machine, devices: Sequence[int]) -> dict[int, float]:
    """What each of `devices` counts where the budget is shared out; equal where they say nothing."""
    opened = opened_of(assignment.opened, len(machine.devices))
    if assignment.shares:
        given = {d: _float32(assignment.shares[opened.index(d)]) for d in devices}
    else:
        given = {d: float(machine.devices[d].free_bytes) for d in devices}
    return given if sum(given.values()) else dict.fromkeys(devices, 1.0)


def _float32(value: float) -> float:
    """-ts is kept in single precision."""
    return float(struct.unpack("f", struct.pack("f", value))[0])


def _slots(group: Group, budget: int, backend: Backend) -> int:
    """The most slots that the budget holds, of what all experts need."""
    each = [t.n_bytes // t.dims[2] for t in group.experts]
    slots = max(min(group.blocks * group.n_expert, budget // sum(each) - _EXTRA_SLOTS), 0)
    while slots and sum(_padded(size * (slots + _EXTRA_SLOTS), backend) for size in each) > budget:
        slots -= 1
    return slots


def _bank(tensor: Tensor, slots: int) -> Tensor:
    """A tensor's room on a device."""
    count = slots + _EXTRA_SLOTS
    return replace(tensor, n_bytes=tensor.n_bytes // tensor.dims[2] * count, dims=(*tensor.dims[:2], count))


def _padded(n_bytes: int, backend: Backend) -> int:
    return -(-n_bytes // backend.alignment_bytes) * backend.alignment_bytes


def _error(reason: str) -> Finding:
    return Finding("expert-cache", "error", reason)


def _warning(text: str) -> Finding:
    return Finding("expert-cache", "warning", text)
