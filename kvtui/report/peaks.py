"""A compute buffer's peak by terms: what is alive when it is largest, for people and programs."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from kvtui.base.build import Build
from kvtui.base.sizes import MIB
from kvtui.flags.context import ContextParams
from kvtui.hardware.device import Machine
from kvtui.memory.compute import ComputeModel, Term
from kvtui.memory.fits import RAM
from kvtui.model.spec import ModelSpec

if TYPE_CHECKING:
    from kvtui.memory.assignment import Assignment
    from kvtui.memory.described import Described
    from kvtui.placement.plan import Plan

Peaks = tuple[tuple[str, tuple[Term, ...]], ...]  # (device or RAM, its terms, the largest first)

_SHOWN_FROM_MIB = 1.0  # smaller terms are summed up


def peaks_of(
    model: ModelSpec,
    context: ContextParams,
    assignment: "Assignment",
    machine: Machine,
    build: Build,
    fa_quants: tuple[str, ...] | None,
) -> Peaks:
    """The terms of every buffer; () where formulas had to do."""
    found = ComputeModel(model, context, machine, build, fa_quants).terms(assignment)
    names = [*(d.name for d in machine.devices), RAM]
    return tuple((name, terms) for name, terms in zip(names, found, strict=False) if terms)


def plan_peaks(plan: "Plan") -> Peaks:
    """The peaks of a plan."""
    request = plan.request
    return peaks_of(request.model, request.context, plan.assignment, request.machine, request.build, request.fa_quants)


def described_peaks(described: "Described") -> Peaks:
    """The peaks of exact flags."""
    context, build = described.flags.context, described.build
    return peaks_of(described.model, context, described.assignment, described.machine, build, described.fa_quants)


def peak_lines(peaks: Peaks) -> Iterator[str]:
    """`CUDA0 compute 4,642.0 MiB: staged: blk.3.ffn_down_exps 4,410.0 MiB, KQ mask 64.0 MiB in 4 copies, ...`."""
    for name, terms in peaks:
        shown, rest = largest_first(terms)
        parts = [_said(t) for t in shown]
        parts += [f"others {rest / MIB:,.2f} MiB"] if rest else []
        yield f"{name} compute {sum(t.n_bytes for t in terms) / MIB:,.1f} MiB: {', '.join(parts)}"


def largest_first(terms: Sequence[Term]) -> tuple[tuple[Term, ...], int]:
    """The terms worth a line, and the bytes of all others together."""
    shown = tuple(t for t in terms if t.n_bytes >= _SHOWN_FROM_MIB * MIB)
    return shown, sum(t.n_bytes for t in terms) - sum(t.n_bytes for t in shown)


def _said(term: Term) -> str:
    copies = f" in {term.count}" if term.count > 1 else ""
    return f"{term.name} {term.n_bytes / MIB:,.1f} MiB{copies}"


def peaks_json(peaks: Peaks) -> list[dict[str, Any]]:
    """The same as values; the terms of a buffer add up to its compute_bytes."""
    return [{"device": name, "terms": [_term(t) for t in terms]} for name, terms in peaks]


def _term(term: Term) -> dict[str, Any]:
    return {"name": term.name, "bytes": term.n_bytes, "count": term.count}
