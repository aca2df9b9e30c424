"""From flags to an Assignment: where llama-server would put every block and tensor (src/llama-model.cpp,
load_tensors; src/llama-model-loader.cpp, create_tensor)."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from kvtui.base.findings import UsageError
from kvtui.flags.overrides import Override
from kvtui.flags.patterns import compiled
from kvtui.flags.read import ServerFlags
from kvtui.hardware.buffers import buffer_device
from kvtui.hardware.device import CPU, Device, Machine
from kvtui.memory.assignment import Assignment, default_place
from kvtui.memory.layer_split import layer_devices
from kvtui.memory.one_buffer import beyond_one_buffer
from kvtui.memory.weights import EMBEDDING
from kvtui.model.spec import ModelSpec


def used_devices(flags: ServerFlags, devices: Sequence[Device]) -> tuple[int, ...]:
    """Indices of the devices in use, in order: -dev, then -sm none with -mg (src/llama.cpp,
    llama_model_load_from_file_impl). Raises UsageError."""
    chosen = list(range(len(devices)))
    if flags.devices is not None:
        names = {d.name: i for i, d in enumerate(devices)}
        unknown = next((n for n in flags.devices if n not in names), None)
        if unknown is not None:
            raise UsageError(f"-dev {unknown}: no such device; there are {', '.join(names) or 'none'}")
        chosen = [names[n] for n in flags.devices]
    if flags.split_mode == "none" and chosen:
        if flags.main_gpu < 0:
            return ()
        if flags.main_gpu >= len(chosen):
            raise UsageError(f"-mg {flags.main_gpu}: there are only {len(chosen)} devices")
        return (chosen[flags.main_gpu],)
    return tuple(chosen)


def assign(model: ModelSpec, flags: ServerFlags, machine: Machine) -> Assignment:
    """Where everything goes under `flags`. Raises UsageError."""
    used = used_devices(flags, machine.devices)
    splits: list[float] = [float(machine.devices[i].free_bytes) for i in used]
    given = [flags.tensor_split[k] if k < len(flags.tensor_split) else 0.0 for k in range(len(used))]
    if any(given):
        splits = given
    by_split = layer_devices(model.n_layer_all, flags.n_gpu_layers, splits)
    layers = tuple(CPU if d == CPU else used[d] for d in by_split)
    places = tensor_devices(model, layers, flags.overrides, machine.devices)
    _need_opened(model, places, used, machine.devices)
    return Assignment(
        layer_devices=layers,
        tensor_devices=places,
        overridden=bool(flags.overrides),
        tied_output=overridden_device(EMBEDDING, flags.overrides, machine.devices) if model.tied_output else None,
        opened=used if used != tuple(range(len(machine.devices))) else None,
        repack=flags.repack,
        named=None if flags.devices is None else used_devices(replace(flags, split_mode="layer"), machine.devices),
        shares=tuple(given) if any(given) else (),
    )


def _need_opened(model: ModelSpec, places: Sequence[int], used: Sequence[int], devices: Sequence[Device]) -> None:
    """An override may name any device's memory; where -dev or -sm none does not open it, nothing can read the tensor there, and
    llama-server aborts (ggml-backend.cpp, ggml_backend_sched_backend_id_from_cur)."""
    for tensor, place in zip(model.tensors, places, strict=True):
        if tensor.loaded and place != CPU and place not in used:
            name = devices[place].name
            raise UsageError(f"-ot puts {tensor.name} on {name}, which is not opened: llama-server would abort; add it to -dev")


def overridden_device(name: str, overrides: Sequence[Override], devices: Sequence[Device]) -> int | None:
    """Where the first override that matches a tensor's name puts it; None: no override does. Raises UsageError."""
    for o in overrides:
        if compiled(o.pattern).search(name):
            return buffer_device(o.buffer, devices)
    return None


def tensor_devices(
    model: ModelSpec, layers: Sequence[int], overrides: Sequence[Override], devices: Sequence[Device]
) -> tuple[int, ...]:
    """One device a tensor: its block's, the output's, or RAM for what is only looked up and for what is larger than one buffer
    of the device may be; overrides win."""
    homes = [buffer_device(o.buffer, devices) for o in overrides]
    places = []
    for tensor, rule in zip(model.tensors, first_matches(model, tuple(o.pattern for o in overrides)), strict=True):
        place = default_place(tensor, layers, devices) if rule is None else homes[rule]
        places.append(CPU if rule is None and beyond_one_buffer(tensor.n_bytes, place, devices) else place)
    return tuple(places)


@lru_cache(maxsize=64)
def first_matches(model: ModelSpec, patterns: tuple[str, ...]) -> tuple[int | None, ...]:
    """For each tensor the position of the first pattern that finds a match in its name, None: none does. Kept for the
    last few: searching a thousand names for each of -ncmoe's patterns is the dear part of an estimate."""
    searches = [compiled(p).search for p in patterns]
    return tuple(next((i for i, search in enumerate(searches) if search(t.name)), None) for t in model.tensors)
