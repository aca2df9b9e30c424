"""What a person should know of weights in RAM: nodes they cross, file cache they push out, swap that is not counted on."""

from kvtui.base.findings import Finding
from kvtui.base.sizes import gib
from kvtui.hardware.device import HostMemory
from kvtui.memory.amounts import HostUse

# Modes that read weights through the file cache (src/llama-model-loader.cpp maps them; auto maps where the system can).
_MAPPED = frozenset({"auto", "mmap", "mlock", "mmap+mlock"})


def ram_notes(ram: HostMemory, host: HostUse, file_bytes: int, load_mode: str) -> list[Finding]:
    """Notes for `host` in `ram`, of a model of `file_bytes` read in `load_mode`."""
    notes = [_across_nodes(ram, host), _evicted(ram, host, file_bytes, load_mode), _swap(ram, host)]
    return [Finding(code, "note", text) for code, text in notes if text]


def _across_nodes(ram: HostMemory, host: HostUse) -> tuple[str, str]:
    """A node alone that holds the weights needs no word; one without CPUs counts as any."""
    if len(ram.nodes) < 2 or host.weights_bytes <= max(node.free_bytes for node in ram.nodes):
        return "numa", ""
    free = ", ".join(f"node {node.number}: {gib(node.free_bytes)}" for node in ram.nodes)
    text = f"{gib(host.weights_bytes)} of weights in RAM cross NUMA nodes, as none has that much free ({free})"
    return (
        "numa",
        f"{text}: what lies on another node is read slower; llama-server's --numa distribute spreads its threads too",
    )


def _evicted(ram: HostMemory, host: HostUse, file_bytes: int, load_mode: str) -> tuple[str, str]:
    """A file that is mapped passes through the cache as a whole, the part for the devices too."""
    mapped = load_mode in _MAPPED
    needed = max(host.used_bytes, file_bytes) if mapped else host.used_bytes
    empty = ram.free_bytes - ram.file_cache_bytes
    pushed = min(needed - empty, ram.file_cache_bytes)
    if pushed <= 0:
        return "file-cache", ""
    how = "reading the model through mmap" if mapped else "what is taken in RAM"
    return "file-cache", f"{how} pushes up to {gib(pushed)} of other files out of the cache, unless the model lies there already"


def _swap(ram: HostMemory, host: HostUse) -> tuple[str, str]:
    if host.used_bytes <= ram.free_bytes or not ram.swap_free_bytes:
        return "swap", ""
    return "swap", f"{gib(ram.swap_free_bytes)} of swap are free and not counted: weights are read at every token"
