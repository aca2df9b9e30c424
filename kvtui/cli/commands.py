"""The command line. Data goes to stdout, words to stderr; a command's module is imported when that command is asked for."""

from collections.abc import Iterator, MutableMapping
from importlib import import_module

import click

from kvtui import __version__

# Commands in the order of --help: the module of each, and its name there
_WHERE = {
    "plan": ("planning", "plan"),
    "table": ("picking", "table"),
    "guide": ("picking", "guide"),
    "estimate": ("estimating", "estimate"),
    "verify": ("estimating", "verify"),
    "review": ("reviewing", "review"),
    "quality": ("quality", "quality"),
    "tune": ("tuning", "tune"),
    "devices": ("listing", "devices"),
    "serve": ("serving", "serve"),
    "profile": ("profiles", "profile"),
    "machine": ("machines", "machine"),
    "export": ("exporting", "export"),
    "models": ("models", "models"),
    "demo": ("screen", "demo"),
    "app": ("screen", "app_command"),
}


class _Commands(MutableMapping[str, click.Command]):
    """Every command by its name: the first screen waits for no other command's imports."""

    def __init__(self) -> None:
        self._known: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._known:
            module, attribute = _WHERE[name]
            self._known[name] = getattr(import_module(f"{__package__}.{module}"), attribute)
        return self._known[name]

    def __contains__(self, name: object) -> bool:
        return name in _WHERE or name in self._known

    def __iter__(self) -> Iterator[str]:
        return iter({**_WHERE, **self._known})

    def __len__(self) -> int:
        return len({**_WHERE, **self._known})

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._known[name] = command

    def __delitem__(self, name: str) -> None:
        del self._known[name]


class _App(click.Group):
    """A group whose first word may be a model: `kvtui MODEL` is the app."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ("--help", "--version")):
            args = ["app", *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in self.commands if name != "app"]


@click.group(cls=_App, commands=_Commands(), context_settings={"help_option_names": ["--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="kvtui")
def cli() -> None:
    """Plan K/V cache types and tensor placement of a GGUF model for llama.cpp, and run llama-server with the plan.

    `kvtui [MODEL]` opens the app; `kvtui demo` shows it on a bundled model and a simulated machine.
    """
