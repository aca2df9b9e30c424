"""Which NVIDIA GPUs llama-server will see, and under which names: CUDA_VISIBLE_DEVICES as the CUDA runtime reads it."""

from collections.abc import Sequence

from kvtui.hardware.nvidia.gpu import Gpu


def visible(gpus: Sequence[Gpu], setting: str | None) -> tuple[Gpu, ...]:
    """GPUs in the order of CUDA0, CUDA1, ... under CUDA_DEVICE_ORDER=PCI_BUS_ID.

    `setting` is CUDA_VISIBLE_DEVICES, None where it is unset. Entries are indices in PCI order, or UUIDs that may be cut short
    as long as one GPU alone begins so. As CUDA does, an entry that names no GPU ends the list, and one named twice empties it
    (CUDA C++ Programming Guide, "CUDA Environment Variables"). Of MIG instances a program sees one alone, the first unless
    another is named by its UUID (NVIDIA MIG User Guide, "Device Enumeration").
    """
    ordered = _by_bus(gpus)
    first_of: dict[int, Gpu] = {}
    for gpu in ordered:
        first_of.setdefault(gpu.index, gpu)
    whole = tuple(first_of.values())  # an instance stands for its GPU
    if setting is None:
        return _one_mig(whole)
    chosen: list[Gpu] = []
    for entry in (part.strip() for part in setting.split(",")):
        named = _named(ordered, whole, entry)
        if named is None:
            break
        if named in chosen:
            return ()
        chosen.append(named)
    return _one_mig(chosen)


def _by_bus(gpus: Sequence[Gpu]) -> list[Gpu]:
    """In PCI order; one that no longer tells its place stays behind its neighbour by NVML's index."""
    keys, before = [], ""
    for gpu in gpus:
        before = gpu.pci_id or before
        keys.append((before, gpu.pci_id is None))
    return [gpus[i] for i in sorted(range(len(gpus)), key=lambda i: (keys[i], i))]


def _one_mig(gpus: Sequence[Gpu]) -> tuple[Gpu, ...]:
    first = next((g for g in gpus if g.is_mig), None)
    return tuple(g for g in gpus if not g.is_mig or g is first)


def _named(ordered: Sequence[Gpu], whole: Sequence[Gpu], entry: str) -> Gpu | None:
    """The one GPU or instance an entry names, or None."""
    if entry.isascii() and entry.isdigit():
        return whole[int(entry)] if len(entry) < 6 and int(entry) < len(whole) else None
    if not entry.startswith(("GPU-", "MIG-")):
        return None
    matches = [gpu for gpu in ordered if gpu.uuid is not None and gpu.uuid.startswith(entry)]
    return matches[0] if len(matches) == 1 else None
