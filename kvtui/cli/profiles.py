"""Profiles on the command line: saved, listed, compared, deleted."""

import click

from kvtui.cli.options import shared_options
from kvtui.cli.printing import echo_lines, print_json
from kvtui.report.columns import NONE
from kvtui.report.grid import Rows, grid
from kvtui.tasks.options import Options


@click.group()
def profile() -> None:
    """Sets of options with a name, for --profile NAME."""


@profile.command()
@click.argument("name")
@click.argument("model", required=False)
@shared_options
def save(name: str, model: str | None, options: Options) -> None:
    """Keep MODEL and the options given as NAME."""
    from kvtui.tasks.profiles import Profile, save_profile

    save_profile(name, Profile(model, options))


@profile.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def list_profiles(as_json: bool) -> None:
    """What is saved."""
    from kvtui.tasks.profiles import profiles, settings

    found = {name: settings(p) for name, p in profiles().items()}
    if as_json:
        print_json({"schema": 1, "profiles": found})
        return
    lines = [f"{name}: {', '.join(f'{k} {v}' for k, v in said.items()) or 'no option'}" for name, said in found.items()]
    echo_lines(lines or ["no profile is saved yet"])


@profile.command()
@click.argument("name")
@click.argument("other")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def diff(name: str, other: str, as_json: bool) -> None:
    """What two profiles say differently."""
    from kvtui.tasks.profiles import difference, read_profile

    found = difference(read_profile(name), read_profile(other))
    if as_json:
        print_json({"schema": 1, "differences": {key: list(pair) for key, pair in found.items()}})
        return
    rows: Rows = [(key, a or NONE, b or NONE) for key, (a, b) in found.items()]
    echo_lines(grid(("", name, other), rows, left=(0, 1, 2)) if rows else [f"{name} and {other} say the same"])


@profile.command()
@click.argument("name")
def delete(name: str) -> None:
    """Forget a profile."""
    from kvtui.tasks.profiles import delete_profile

    delete_profile(name)
