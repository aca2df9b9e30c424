"""What runs on this machine taught: corrections of an estimate, each from a server that really had that memory."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Learned:
    """Bytes, one a device in the machine's order; () where nothing is known. `overhead_bytes`: what a used device
    holds beyond all that the server lists, at its peak. `compute_bytes`: measured less estimated compute, of a run
    with the same context, batch and types; `host_compute_bytes`: the same for RAM. `said`: what that rests on."""

    overhead_bytes: tuple[int, ...] = ()
    compute_bytes: tuple[int, ...] = ()
    host_compute_bytes: int = 0
    said: str = ""

    def compute(self, device: int, estimated: int) -> int:
        """Compute bytes of a device, corrected; a device without a buffer has none."""
        if not estimated or device >= len(self.compute_bytes):
            return estimated
        return max(estimated + self.compute_bytes[device], 0)

    def overhead(self, device: int, used: int) -> int:
        """Overhead of a device that holds `used` bytes; none where nothing is."""
        return self.overhead_bytes[device] if used and device < len(self.overhead_bytes) else 0


NOTHING = Learned()
