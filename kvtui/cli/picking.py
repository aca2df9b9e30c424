"""Commands for choosing K/V types."""

from dataclasses import replace
from typing import get_args

import click

from kvtui.base.findings import UsageError
from kvtui.cache.labels import Label
from kvtui.cli.naming import named_model
from kvtui.cli.options import shared_options
from kvtui.cli.printing import echo_lines, fetched, print_json
from kvtui.flags.cache_types import ALL_PAIRS
from kvtui.placement.goals import GOALS, parse_aim
from kvtui.tasks.opening import load, request_of
from kvtui.tasks.options import Options

_LABELS: tuple[Label, ...] = get_args(Label)


@click.command()
@click.argument("model", required=False)
@shared_options
@click.option("--all", "all_pairs", is_flag=True, help=f"All {ALL_PAIRS} pairs.")
@click.option("--sort", metavar="COLUMN", help="The best of a column first: cache_bytes, tokens_per_second, quality, ...")
@click.option("--only", multiple=True, type=click.Choice(["accepted", "fast", "fits"]), help="Only these pairs; repeatable.")
@click.option("--least", type=click.Choice(_LABELS), help="Only pairs of this quality or better.")
@click.option("--matrix", metavar="COLUMN", help=f"One figure of all {ALL_PAIRS} pairs, K down and V across.")
@click.option("--markdown", is_flag=True, help="A table to paste.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def table(
    model: str,
    options: Options,
    all_pairs: bool,
    sort: str | None,
    only: tuple[str, ...],
    least: Label | None,
    matrix: str | None,
    markdown: bool,
    as_json: bool,
) -> None:
    """One row for each pair of K and V types, and one sentence of advice."""
    from kvtui.placement.advice import advice, advised
    from kvtui.placement.plan import searched_plan
    from kvtui.placement.table import pair_rows
    from kvtui.report.as_json import table_json
    from kvtui.report.columns import column, filtered, sorted_by
    from kvtui.report.simulated import simulated_lines
    from kvtui.report.table_text import matrix_lines, measured_lines, table_lines

    by, figure = (column(name) if name is not None else None for name in (sort, matrix))
    if figure is not None and (as_json or by is not None):
        raise UsageError("--matrix is a picture of one column: leave out --sort and --json, whose rows have every figure")
    goal = parse_aim(options.goal).pair if options.goal is not None else GOALS[0]
    options = replace(options, goal=None)  # which of the pairs to take is what the table says
    shown = searched_plan(request_of(load(named_model(model), options, fetched), options))
    after = _marked(simulated_lines(shown.request.machine), markdown=markdown)
    contexts = figure is None or figure.slow
    evaluated = advised(pair_rows(shown, all_pairs=all_pairs or figure is not None, contexts=contexts))
    rows = filtered(evaluated, only, least)
    if figure is not None:
        echo_lines([*matrix_lines(rows, figure, markdown=markdown), *after])
        return
    rows = sorted_by(rows, by) if by is not None else rows
    said = advice(shown, evaluated, goal)
    if as_json:
        print_json(table_json(rows, said, goal, shown.request.machine))
    else:
        echo_lines([*table_lines(rows, markdown=markdown), "", said, *measured_lines(rows), *after])


def _marked(lines: list[str], *, markdown: bool) -> list[str]:
    """Lines under a table; in Markdown a paragraph of their own, as a line under a table would be a row of it."""
    return ["", *lines] if lines and markdown else lines


@click.command()
@click.argument("model", required=False)
@shared_options
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def guide(model: str | None, options: Options, as_json: bool) -> None:
    """The guide to K/V types beside exact figures; with MODEL, what its choices cost there."""
    from kvtui.report.guide_text import guide_json, guide_lines
    from kvtui.tasks.guide import guide_of

    plan = None
    if model is not None:
        from kvtui.placement.plan import searched_plan

        plan = searched_plan(request_of(load(named_model(model), options, fetched), options))
    made, formula = guide_of(plan)
    if as_json:
        print_json(guide_json(made))
    else:
        echo_lines(guide_lines(made, formula))
