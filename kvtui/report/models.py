"""Models side by side, as JSON and as text."""

from collections.abc import Sequence
from typing import Any

from kvtui.base.sizes import amount, short_context
from kvtui.placement.fitting import Fitting
from kvtui.report.columns import NONE
from kvtui.report.grid import grid

_SCHEMA = 1
_HEADS = ("model", "size", "fits", "context", "tokens/s", "how")
_WORDS = (0, 2, 5)  # columns


def models_json(rows: Sequence[Fitting], usual: str) -> dict[str, Any]:
    """The JSON of `kvtui models`. `usual`: the name of the row that llama-server takes unasked, "" where there is none."""
    return {"schema": _SCHEMA, "default": usual or None, "rows": [_row(row) for row in rows]}


def _row(row: Fitting) -> dict[str, Any]:
    plan, offer = row.plan, row.offer
    shown: dict[str, Any] = {
        "name": offer.name,
        "model": offer.model,
        "place": offer.place,
        "size_bytes": offer.n_bytes,
        "files": offer.n_files,
        "fits": row.fits,
        "how": row.how,
        "architecture": None,
        "context": None,
        "device_bytes": None,
        "host_bytes": None,
        "tokens_per_second": None,
    }
    if plan is not None:
        shown |= {
            "architecture": plan.request.model.architecture,
            "context": plan.request.context.n_ctx,
            "device_bytes": sum(use.used_bytes for use in plan.estimate.devices),
            "host_bytes": plan.estimate.host.used_bytes,
            "tokens_per_second": plan.speed.low if plan.speed is not None else None,
        }
    return shown


def models_lines(rows: Sequence[Fitting], usual: str) -> list[str]:
    """A row a model."""
    if not rows:
        return ["no GGUF file in the usual places: name a repository of the Hub, hf:ORG/REPO"]
    lines = grid(_HEADS, [_cells(row) for row in rows], _WORDS)
    return [*lines, *(["", f"llama-server takes {usual} unless another is named"] if usual else [])]


def _cells(row: Fitting) -> tuple[str, ...]:
    plan = row.plan
    context = short_context(plan.request.context.n_ctx) if plan is not None and plan.request.context.n_ctx else NONE
    speed = f"{plan.speed.low:.1f}" if plan is not None and plan.fits and plan.speed is not None else NONE
    return row.offer.name, amount(row.offer.n_bytes), "yes" if row.fits else "no", context, speed, row.how
