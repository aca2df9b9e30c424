"""What a server took since it was ready, beside what its plan said would grow: a first long prompt's buffers on devices; in
RAM the prompt cache and the context checkpoints, up to their ceilings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kvtui.server.process.holding import RAM


@dataclass(frozen=True)
class Grown:
    """A device (or RAM): bytes more than at the start, and those that the plan said (for RAM: at most)."""

    name: str
    grew_bytes: int
    said_bytes: int


def grown(plan: Mapping[str, Any], before: Mapping[str, int], now: Mapping[str, int]) -> tuple[Grown, ...]:
    """Those that both looks know, in the order of the first; () for a plan that is none."""
    try:
        said = {str(d["name"]): int(d.get("growth_bytes", 0)) for d in plan["devices"]}
        host = plan["host"]
        said[RAM] = int(host.get("prompt_cache_bytes", 0)) + int(host.get("checkpoint_bytes", 0))
    except (KeyError, TypeError, ValueError, AttributeError):
        return ()
    return tuple(Grown(name, now[name] - n_bytes, said.get(name, 0)) for name, n_bytes in before.items() if name in now)
