"""The command line: nothing but click and printing. `main` is the program, `cli` the click group for whoever embeds it."""

from typing import Any

from kvtui.cli.boundary import main

__all__ = ["cli", "main"]


def __getattr__(name: str) -> Any:
    """`cli`, on first use: what ends the program in order must stand before click and the commands are imported."""
    if name == "cli":
        from kvtui.cli.commands import cli

        return cli
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
