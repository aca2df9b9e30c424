"""What one configuration takes of each device and of RAM, by its parts."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kvtui.memory.beside.part import Part


@dataclass(frozen=True)
class DeviceMemory:
    """Bytes llama-server takes on one device."""

    weights_bytes: int
    cache_bytes: int  # every K/V and indexer cache
    recurrent_bytes: int
    compute_bytes: int
    beside_bytes: int = 0  # an MTP context, a projector, a draft model with its cache
    expert_cache_bytes: int = 0  # of experts in RAM (--moe-cache-mib)
    overhead_bytes: int = 0  # what the back end takes and nobody lists (CUDA context)
    growth_bytes: int = 0  # what a first long prompt was seen to add; not in used_bytes

    @property
    def context_bytes(self) -> int:
        """What llama-server's own breakdown counts as context (llama-context.cpp, memory_breakdown)."""
        return self.cache_bytes + self.recurrent_bytes + self.expert_cache_bytes

    @property
    def working_bytes(self) -> int:
        """What a device needs beside what is placed on it."""
        return self.compute_bytes + self.beside_bytes + self.expert_cache_bytes + self.overhead_bytes

    @property
    def used_bytes(self) -> int:
        """Sum of the parts."""
        return self.weights_bytes + self.cache_bytes + self.recurrent_bytes + self.working_bytes


@dataclass(frozen=True)
class HostUse:
    """Bytes llama-server takes in RAM; weights hold repacked tensors and a tied output's RAM copy too."""

    weights_bytes: int
    cache_bytes: int
    recurrent_bytes: int
    compute_bytes: int
    beside_bytes: int = 0
    expert_cache_bytes: int = 0  # which expert is where (--moe-cache-mib)
    prompt_cache_bytes: int = 0  # ceiling of --cache-ram
    checkpoint_bytes: int = 0  # ceiling of context checkpoints

    @property
    def context_bytes(self) -> int:
        """What llama-server's own breakdown counts as context (llama-context.cpp, memory_breakdown)."""
        return self.cache_bytes + self.recurrent_bytes + self.expert_cache_bytes

    @property
    def used_bytes(self) -> int:
        """What is taken at start; the ceilings are not in it."""
        return self.weights_bytes + self.context_bytes + self.compute_bytes + self.beside_bytes


@dataclass(frozen=True)
class Estimate:
    """Memory of one configuration; `devices` in the machine's order. `basis`: what the compute figures rest on; `beside`:
    the parts that their beside_bytes are the sums of."""

    devices: tuple[DeviceMemory, ...]
    host: HostUse
    basis: str
    beside: tuple["Part", ...] = ()
