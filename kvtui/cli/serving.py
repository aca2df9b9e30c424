"""`kvtui serve`: a plan and its llama-server, without a screen."""

import json
import os
import sys
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import click

from kvtui.base.exit_codes import EXIT_NO
from kvtui.base.findings import UsageError
from kvtui.cli.boundary import say
from kvtui.cli.options import address_options, positive_seconds, shared_options
from kvtui.cli.printing import fetched
from kvtui.header.address import ModelAddress
from kvtui.tasks.opening import address_of, load, request_of
from kvtui.tasks.options import Options

if TYPE_CHECKING:
    from kvtui.placement.plan import Plan
    from kvtui.server.binary.inspect import ServerBinary
    from kvtui.server.process.preflight import Preflight
    from kvtui.server.process.settling import Wait
    from kvtui.server.process.start import ServerProcess

EVERY_SECONDS = 10.0


@click.command()
@click.argument("model", required=False)
@shared_options
@address_options
@click.option("--watch", "watched", is_flag=True, help="Its state as JSON on stdout, a line each; the app can look on.")
@click.option(
    "--every",
    type=float,
    callback=positive_seconds,
    metavar="SECONDS",
    help="Between lines of --watch [default: 10].",
)
def serve(model: str, options: Options, watched: bool, every: float | None) -> None:
    """Plan, and run llama-server in the foreground; its exit code is this command's."""
    from kvtui.placement.plan import make_plan
    from kvtui.server.binary.find import choose_server
    from kvtui.server.process.foreground import run_foreground
    from kvtui.server.process.preflight import preflight
    from kvtui.server.process.settling import settled, since_last_end
    from kvtui.tasks.launch import needs_of

    if every is not None and not watched:
        raise UsageError("--every is for --watch: give both")
    path = ModelAddress(model).path
    server = choose_server(options.llama_server)
    made = make_plan(request_of(load(ModelAddress(model), options, fetched), options))
    if not made.fits:
        say("; ".join(f.message for f in made.findings if f.severity == "error"))
        sys.exit(EXIT_NO)
    address = address_of(options)
    port = address.port_of(server)
    try:
        needs = needs_of(made)
        said = _Countdown()
        found = settled(lambda: preflight(server, needs, port, address.host), since_last_end(), said, Event())
    except OSError as e:
        raise UsageError(f"--host {address.host}: {e.strerror or e}") from None
    if found.missing:
        say(f"{server.path} has no {', '.join(found.missing)}")
        sys.exit(EXIT_NO)
    if found.port.taken_by:
        say(f"port {port} is taken by {found.port.taken_by}; {found.port.port} is free")
        sys.exit(EXIT_NO)
    for sentence in (*map(str, found.shortages), *found.notes):
        say(sentence)
    argv = (*made.argv, *address.args)
    try:
        if watched:
            code = _watch(server, path, made, address.args, found, every or EVERY_SECONDS)
        else:
            code = run_foreground(server, path, argv, dict(made.env), address.host, port, found.is_open, say)
    except OSError as e:
        raise UsageError(f"{server.path} cannot be started: {e.strerror or e}") from None
    sys.exit(code)


def _watch(
    server: "ServerBinary", path: Path, made: "Plan", more: tuple[str, ...], found: "Preflight", every_seconds: float
) -> int:
    from kvtui.server.process.preflight import new_key
    from kvtui.server.process.start import ServerProcess
    from kvtui.tasks.launch import record_plan
    from kvtui.tasks.watching import signals_for, watch

    key = os.environ.get("LLAMA_API_KEY") or (new_key() if found.is_open else None)
    kept = record_plan(made, path, more=more)

    def launch() -> "ServerProcess":
        return ServerProcess.launch(server, path, (*made.argv, *more), found.port.port, found.host, key, dict(made.env), kept)

    with signals_for(launch) as process:
        for note in process.record.notes:
            say(note)
        say(f"log: {process.record.log}" + (f"; API key: in {process.record.key_file}" if key else ""))
        return watch(process, made.request.machine.devices, every_seconds, _Lines())


class _Countdown:
    """What a launch waits for, on stderr: at first, and each second that goes by."""

    def __init__(self) -> None:
        self._said = -1

    def __call__(self, wait: "Wait") -> None:
        if int(wait.seconds) != self._said:
            self._said = int(wait.seconds)
            say(str(wait))


class _Lines:
    """JSON lines on stdout, each told at once; where they can't be written any more none is, and the server goes on."""

    def __init__(self) -> None:
        self._heard = True

    def __call__(self, value: dict[str, Any]) -> None:
        if not self._heard:
            return
        try:
            print(json.dumps(value), flush=True)
        except OSError as e:
            self._heard = False
            if not isinstance(e, BrokenPipeError):
                say(f"the output cannot be written: {e.strerror}; the server goes on")
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is buffered is not tried again at the end
