"""The guide's "current configuration": context, K/V cache, what is reserved, what is left for tensors."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from kvtui.base.sizes import gib

if TYPE_CHECKING:
    from kvtui.placement.plan import Plan


@dataclass(frozen=True)
class Configuration:
    """Bytes over all devices that may hold anything. `reserved_bytes`: caches, recurrent state, compute and what the back end
    takes; `available_bytes`: free minus margin, less what is reserved."""

    context: int
    type_k: str
    type_v: str
    reserved_bytes: int
    available_bytes: int
    gpus: int


def configuration(plan: "Plan") -> Configuration:
    """The block of a plan."""
    context = plan.request.context
    reserved = [use.used_bytes - use.weights_bytes for use in plan.estimate.devices]
    rooms = plan.request.capacities
    return Configuration(
        context=context.n_ctx or plan.request.model.n_ctx_train,
        type_k=context.type_k,
        type_v=context.type_v,
        reserved_bytes=sum(reserved),
        available_bytes=sum(max(room - held, 0) for room, held in zip(rooms, reserved, strict=True)),
        gpus=sum(room > 0 for room in rooms),
    )


def configuration_lines(c: Configuration) -> list[str]:
    """As the guide has it, to read and to copy."""
    where = f"{c.gpus} GPU{'' if c.gpus == 1 else 's'}"
    return [
        "Current configuration:",
        f"- Context: {c.context:,} tokens",
        f"- K/V cache: {c.type_k}/{c.type_v}",
        f"- Reserved memory: {gib(c.reserved_bytes)}",
        f"- Available for tensors: {gib(c.available_bytes)} across {where}",
    ]


def configuration_json(c: Configuration) -> dict[str, Any]:
    """The same for programs."""
    return asdict(c)
