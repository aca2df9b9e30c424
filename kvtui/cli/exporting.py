"""`kvtui export`: a plan in the form that another program runs."""

import sys

import click

from kvtui.base.exit_codes import EXIT_NO
from kvtui.base.findings import UsageError
from kvtui.cli.boundary import emit, say
from kvtui.cli.options import address_options, shared_options
from kvtui.cli.printing import fetched
from kvtui.header.address import ModelAddress
from kvtui.tasks.opening import address_of, load, request_of
from kvtui.tasks.options import Options

FORMATS = ("command", "script", "systemd", "llama-swap", "preset", "environment", "compose", "router")

_OF_THE_READER = "a preset has no address, the llama-server that reads it has"
# Of the address, what a format cannot carry, and why.
_UNHEARD = {
    "preset": {"host": _OF_THE_READER, "port": _OF_THE_READER},
    "llama-swap": {"port": "llama-swap gives each llama-server a port of its own"},
}


@click.command()
@click.argument("form", metavar="FORMAT", type=click.Choice(FORMATS))
@click.argument("models", metavar="[MODEL]...", nargs=-1)
@shared_options
@address_options
def export(form: str, models: tuple[str, ...], options: Options) -> None:
    """The plan of MODEL for a shell, systemd, llama-swap, docker compose or llama-server's presets, on stdout.

    FORMAT is one of command, script, systemd, llama-swap, preset, environment, compose and router. A router takes several
    models, each planned in the memory that those before it leave.
    """
    from kvtui.server.binary.find import choose_server
    from kvtui.tasks.exporting import ALL_FORMATS, ROUTER, exported, exported_router, unguarded
    from kvtui.tasks.together import plans_together

    wanted = next(f for f in ALL_FORMATS if f.word == form)
    if len(models) > 1 and wanted != ROUTER:
        raise UsageError(f"{form} takes one MODEL; several live in one llama-server as router")
    for name, reason in _UNHEARD.get(form, {}).items():
        if getattr(options, name) is not None:
            raise UsageError(f"--{name}: {reason}")
    binary = choose_server(options.llama_server)
    addresses = [ModelAddress(model) for model in models]
    specs = [(address.path.absolute(), load(address, options, fetched)) for address in addresses]
    plans = plans_together(specs, options, request_of)
    path, plan = plans[-1]
    if not plan.fits:
        say(f"{path.name}: {'; '.join(f.message for f in plan.findings if f.severity == 'error')}")
        sys.exit(EXIT_NO)
    address = address_of(options)
    if wanted == ROUTER:
        text = exported_router(plans, address, binary)
    else:
        text = exported(wanted, plan, path, address, binary)
    if said := unguarded(wanted, address):
        say(said)
    emit(text.rstrip("\n"))
