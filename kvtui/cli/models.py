"""What there is to choose from."""

import sys

import click

from kvtui.base.exit_codes import EXIT_NO, EXIT_OK
from kvtui.cli.options import shared_options
from kvtui.cli.printing import echo_lines, fetched, print_json
from kvtui.tasks.options import Options


@click.command()
@click.argument("model", required=False, metavar="[hf:ORG/REPO]")
@shared_options
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def models(model: str | None, options: Options, as_json: bool) -> None:
    """The quantizations of a repository, or the models of this machine: sizes, and whether and how each fits here."""
    from kvtui.report.models import models_json, models_lines
    from kvtui.tasks.fitting import fittings, offers_of

    usual, offers = offers_of(model)
    rows = list(fittings(offers, options, fetched))
    if as_json:
        print_json(models_json(rows, usual))
    else:
        echo_lines(models_lines(rows, usual))
    sys.exit(EXIT_OK if not rows or any(row.fits for row in rows) else EXIT_NO)
