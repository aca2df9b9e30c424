"""What commands print: JSON, and lines for people."""

import json
import sys
from collections.abc import Sequence
from typing import Any

import click

from kvtui.cli.boundary import emit


def fetched(n_bytes: int) -> None:
    """Tells how much of a remote header was read."""
    if sys.stderr.isatty():
        click.echo(f"\rreading the header: {n_bytes / 1000:,.0f} kB", nl=False, err=True)


def print_json(value: dict[str, Any]) -> None:
    """One JSON object."""
    emit(json.dumps(value, ensure_ascii=True))


def echo_lines(lines: Sequence[str]) -> None:
    """Lines, made printable."""
    from kvtui.base.text import printable

    emit("\n".join(map(printable, lines)))
