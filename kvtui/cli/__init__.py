"""The command line: nothing but click and printing."""

from kvtui.cli.commands import cli, main

__all__ = ["cli", "main"]
