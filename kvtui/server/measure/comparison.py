"""What was planned, what the server said it would take, and what it took: one row a device, RAM last."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kvtui.server.log.breakdown import LoggedMemory, Parts
from kvtui.server.measure.dry_run import DryRun
from kvtui.server.measure.measured import Measurement
from kvtui.server.process.holding import RAM


@dataclass(frozen=True)
class Actual:
    """What a running server really took. `model`: None for RAM under mmap, where the log tells the file's span;
    `held`: the process's own figure (NVML, or resident memory), where there is one; `rest`: what it holds beyond
    the three."""

    model: int | None
    context: int
    compute: int
    held: int | None = None

    @property
    def rest(self) -> int | None:
        """Held, and in no line of the log."""
        if self.held is None or self.model is None:
            return None
        return self.held - self.model - self.context - self.compute


@dataclass(frozen=True)
class Row:
    """One device; what is not known is None."""

    name: str
    predicted: Parts | None = None
    dry_run: Parts | None = None
    actual: Actual | None = None


def predicted_parts(plan: Mapping[str, Any]) -> dict[str, Parts]:
    """Devices and RAM of a plan's own JSON; {} for one that is none."""
    try:
        rows = [*((str(d["name"]), d) for d in plan["devices"]), (RAM, plan["host"])]
        return {name: Parts(int(d["weights_bytes"]), _context(d), int(d["compute_bytes"])) for name, d in rows}
    except (KeyError, TypeError, ValueError):
        return {}


def _context(device: Mapping[str, Any]) -> int:
    """What a breakdown of the server's counts as context (llama-context.cpp, memory_breakdown); plans of earlier versions
    have no expert cache."""
    return int(device["cache_bytes"]) + int(device["recurrent_bytes"]) + int(device.get("expert_cache_bytes", 0))


def logged_parts(memory: LoggedMemory) -> tuple[dict[str, Parts], bool]:
    """Devices and RAM of a log, and whether RAM's weights were mapped."""
    host = Parts()
    for parts in memory.host.values():
        host += parts
    return {**memory.devices, RAM: host}, any(name.endswith("_Mapped") for name in memory.host)


def dry_parts(answer: DryRun) -> dict[str, Parts]:
    """Devices and RAM of a dry run; {} where it was refused or impossible."""
    if answer.refused or answer.impossible:
        return {}
    host = Parts()
    for parts in answer.host.values():
        host += parts
    return {**answer.devices, RAM: host}


def measured_parts(measurement: Measurement) -> dict[str, Actual]:
    """Devices and RAM as they were measured."""
    return {
        name: Actual(
            measurement.model_bytes.get(name),
            measurement.context_bytes.get(name, 0),
            compute,
            measurement.held_bytes.get(name),
        )
        for name, compute in measurement.compute_bytes.items()
    }


def parts_json(parts: Mapping[str, Parts]) -> dict[str, dict[str, int]]:
    """For a record."""
    return {name: asdict(p) for name, p in parts.items()}


def parts_of(said: object) -> dict[str, Parts]:
    """The same, read back; {} for anything else."""
    try:
        return {str(name): Parts(**p) for name, p in said.items()}  # type: ignore[attr-defined]
    except (AttributeError, TypeError):
        return {}


def compare(predicted: Mapping[str, Parts], said: Mapping[str, Parts], measurement: Measurement | None = None) -> tuple[Row, ...]:
    """A row for each device that anybody names, in the plan's order, RAM last; `said`: by a dry run."""
    took = measured_parts(measurement) if measurement is not None else {}
    names = dict.fromkeys([*predicted, *said, *took])
    names.pop(RAM, None)
    return tuple(Row(name, predicted.get(name), said.get(name), took.get(name)) for name in [*names, RAM])


def comparison_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows for JSON; bytes, null where unknown. RAM is called CPU there."""
    return [
        {
            "name": "CPU" if row.name == RAM else row.name,
            "predicted": _parts_json(row.predicted),
            "dry_run": _parts_json(row.dry_run),
            "actual": None
            if row.actual is None
            else {
                "model": row.actual.model,
                "context": row.actual.context,
                "compute": row.actual.compute,
                "held": row.actual.held,
                "rest": row.actual.rest,
            },
        }
        for row in rows
    ]


def _parts_json(parts: Parts | None) -> dict[str, int] | None:
    return None if parts is None else {"model": parts.model, "context": parts.context, "compute": parts.compute}
