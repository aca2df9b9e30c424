"""What is known of one pair of K/V types, in sentences: on its line in the table's pane, and all of it as a page."""

from kvtui.cache.quality import Figure, Kin
from kvtui.placement.advice import advice
from kvtui.placement.goals import GOALS
from kvtui.placement.table import PairRow
from kvtui.tui.lines import Line, line
from kvtui.tui.state import State

_NEAREST = 2  # figures on the pane; the page has all
Told = list[tuple[str, str]]  # (a sentence, its style)


def about_pair(row: PairRow) -> Told:
    """What beats it, why its label is what it is, and the nearest figures that somebody measured."""
    told: Told = []
    if row.dominated_by is not None:
        told.append((f"beaten by {'/'.join(row.dominated_by)}", "note"))
    if row.quality.why:
        told.append((row.quality.why, "warning"))
    return told + [(figure_text(figure, kin), "dim") for figure, kin in row.quality.figures[:_NEAREST]]


def figure_text(figure: Figure, kin: Kin) -> str:
    """A figure with how near its model is, that model, and who measured it."""
    return f"{figure.metric} {figure.value:g}, {kin}: {figure.model} ({figure.source})"


def pair_page(state: State, row: PairRow) -> tuple[Line, ...]:
    """The advice for each goal, and all that is known of the selected pair."""
    lines = []
    if state.plan is not None:
        for goal in GOALS:
            lines += [line((f"  best for {goal}", "strong")), line(f"    {advice(state.plan, state.pairs, goal)}")]
    lines += [line(""), line((f"  {row.type_k}/{row.type_v}", "strong"))]
    if row.dominated_by is not None:
        lines.append(line(("    beaten by ", "note"), f"{'/'.join(row.dominated_by)}: better or equal in all, and better in one"))
    because = f", {row.runs_because}" if row.runs_because else ""
    lines.append(line(f"    runs: {row.runs if row.accepted else 'refused'}{because}"))
    lines += [line(f"      {name}: {runs}") for name, runs in row.runs_devices]
    lines += [line((f"    {f.message}", "warning")) for f in row.findings]
    why = f", {row.quality.why}" if row.quality.why else ""
    by = ", by what other pairs cost here" if row.quality.scaled else ""
    expected = f"expected to add {row.quality.expected:.4f} of mean KL divergence to f16/f16{by}"
    lines.append(line(f"    quality: {row.quality.label}, {expected}{why}"))
    for figure, kin in row.quality.figures:
        made = f"{'with' if figure.rotated else 'before'} rotation{f', {figure.setup}' if figure.setup else ''}"
        lines.append(line((f"      {figure_text(figure, kin)}; {made}", "text")))
    if not row.quality.figures:
        lines.append(line(("      nobody measured this pair, as far as is known here", "dim")))
    if not row.quality.here and row.pair != ("f16", "f16"):
        lines.append(line(("      `kvtui quality MODEL` measures it on this model, here", "dim")))
    return tuple(lines)
