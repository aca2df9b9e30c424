"""Which NVIDIA GPUs llama-server will see, and under which names: CUDA_VISIBLE_DEVICES as the CUDA runtime reads it."""

from collections.abc import Sequence

from kvtui.hardware.nvidia.nvml import Gpu


def visible(gpus: Sequence[Gpu], setting: str | None) -> tuple[Gpu, ...]:
    """GPUs in the order of CUDA0, CUDA1, ... under CUDA_DEVICE_ORDER=PCI_BUS_ID.

    `setting` is CUDA_VISIBLE_DEVICES, None where it is unset. Entries are indices in PCI order, or UUIDs that may be cut short
    as long as one GPU alone begins so. As CUDA does, an entry that names no GPU ends the list, and one named twice empties it
    (CUDA C++ Programming Guide, "CUDA Environment Variables"). Entries of MIG instances name no whole GPU.
    """
    by_bus = sorted(gpus, key=lambda gpu: gpu.pci_id or "")
    if setting is None:
        return tuple(by_bus)
    chosen: list[Gpu] = []
    for entry in (part.strip() for part in setting.split(",")):
        gpu = _named(by_bus, entry)
        if gpu is None:
            break
        if gpu in chosen:
            return ()
        chosen.append(gpu)
    return tuple(chosen)


def _named(by_bus: Sequence[Gpu], entry: str) -> Gpu | None:
    """The one GPU an entry names, or None."""
    if entry.isascii() and entry.isdigit():
        return by_bus[int(entry)] if len(entry) < 6 and int(entry) < len(by_bus) else None
    if not entry.startswith("GPU-"):
        return None
    matches = [gpu for gpu in by_bus if gpu.uuid is not None and gpu.uuid.startswith(entry)]
    return matches[0] if len(matches) == 1 else None
