"""What each device and the host will hold: weights, caches, recurrent state, compute."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DeviceMemory:
    """Bytes llama-server takes on one device."""

    weights_bytes: int
    cache_bytes: int  # every K/V and indexer cache
    recurrent_bytes: int
    compute_bytes: int
    overhead_bytes: int = 0  # what the back end takes and nobody lists (CUDA context)

    @property
    def used_bytes(self) -> int:
        """Sum of the parts."""
        return self.weights_bytes + self.cache_bytes + self.recurrent_bytes + self.compute_bytes + self.overhead_bytes


@dataclass(frozen=True)
class HostUse:
    """Bytes llama-server takes in RAM; weights hold repacked tensors and a tied output's RAM copy too."""

    weights_bytes: int
    cache_bytes: int
    recurrent_bytes: int
    compute_bytes: int
    prompt_cache_bytes: int = 0  # ceiling of --cache-ram
    checkpoint_bytes: int = 0  # ceiling of context checkpoints

    @property
    def used_bytes(self) -> int:
        """What is taken at start; the ceilings are not in it."""
        return self.weights_bytes + self.cache_bytes + self.recurrent_bytes + self.compute_bytes


@dataclass(frozen=True)
class Estimate:
    """Memory of one configuration; `devices` in the machine's order."""

    devices: tuple[DeviceMemory, ...]
    host: HostUse
