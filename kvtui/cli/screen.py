"""`kvtui [MODEL]` and `kvtui demo`: the terminal app."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from kvtui.cli.naming import named_model
from kvtui.cli.options import address_options, shared_options
from kvtui.cli.printing import fetched
from kvtui.header.address import ModelAddress
from kvtui.tasks.opening import address_of, load, machine_of, request_of
from kvtui.tasks.options import Options

if TYPE_CHECKING:
    from kvtui.placement.request import Request
    from kvtui.tui.keys.command import Command


def _app_options(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option("--lean/--no-lean", default=None, help="Fewer bytes on the line; on by itself over SSH.")(command)
    return click.option("--theme", metavar="NAME", help="Colours.")(command)


@click.command(name="app", hidden=True)
@click.argument("model", required=False)
@shared_options
@address_options
@_app_options
def app_command(model: str | None, options: Options, lean: bool | None, theme: str | None) -> None:
    """The terminal app."""
    from kvtui.tasks.last_request import given_parts
    from kvtui.tui.keys.commands import COMMANDS
    from kvtui.tui.run import run_app
    from kvtui.tui.session import Session

    commands = COMMANDS if options.config is None else _rebound(options.config)

    def opener(name: str) -> "Request":
        return request_of(load(named_model(name), options, fetched), options)

    address = ModelAddress(model) if model is not None else None
    listed = address is not None and address.is_hub and not address.hub.quant
    request = opener(model) if model is not None and not listed else None
    machine = request.machine if request is not None else machine_of(options)
    simulated = bool(options.device) and not all(d.endpoint for d in machine.devices)
    run_app(
        Session(
            path=address.path if address is not None and not address.is_remote else None,
            remote=address if address is not None and address.is_remote and not listed else None,
            asked=str(address) if listed else "",
            request=request,
            machine=machine,
            simulated=simulated,
            server=options.llama_server,
            lean=lean,
            theme=theme,
            address=address_of(options),
            build=options.build,
            opener=opener,
            given=given_parts(options),
            commands=commands,
            options=options,
        )
    )


def _rebound(config: str) -> "tuple[Command, ...]":
    from kvtui.tasks.config import keys_of
    from kvtui.tui.keys.commands import COMMANDS
    from kvtui.tui.keys.rebinding import rebound

    return rebound(COMMANDS, keys_of(config))


@click.command()
@_app_options
def demo(lean: bool | None, theme: str | None) -> None:
    """The app on a bundled model header and a simulated machine: needs no GPU, model or llama.cpp."""
    from kvtui.tasks.demo import demo_request
    from kvtui.tui.run import run_app
    from kvtui.tui.session import Session

    request = demo_request()
    run_app(Session(path=None, request=request, machine=request.machine, simulated=True, lean=lean, theme=theme, demo=True))
