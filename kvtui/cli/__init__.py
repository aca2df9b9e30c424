"""The command line: nothing but click and printing."""

from kvtui.cli.boundary import main

__all__ = ["main"]
