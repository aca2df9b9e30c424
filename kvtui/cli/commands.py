"""The command line. Data goes to stdout, words to stderr; the heavy parts are imported by the command that needs them."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from kvtui import __version__
from kvtui.base.exit_codes import EXIT_NO, EXIT_OK
from kvtui.base.findings import UsageError
from kvtui.base.secrets import without_secrets
from kvtui.cli.boundary import say, say_over
from kvtui.cli.exporting import export
from kvtui.cli.machines import machine
from kvtui.cli.models import models
from kvtui.cli.naming import named_model
from kvtui.cli.options import address_options, in_environment, positive_seconds, shared_options
from kvtui.cli.picking import guide, table
from kvtui.cli.printing import echo_lines, fetched, print_json
from kvtui.cli.profiles import profile
from kvtui.cli.quality import quality
from kvtui.cli.reviewing import review
from kvtui.cli.serving import serve
from kvtui.cli.tuning import tune
from kvtui.header.address import ModelAddress
from kvtui.tasks.opening import address_of, beside_of, build_of, flags_of, load, machine_of, request_of
from kvtui.tasks.options import Options

if TYPE_CHECKING:
    from kvtui.flags.read import ServerFlags
    from kvtui.memory.described import Described
    from kvtui.placement.request import Request

_BEYOND = 0.1  # of the time a plan may take: what its dry run may take beyond it

COMMANDS = (
    "plan",
    "table",
    "guide",
    "estimate",
    "verify",
    "review",
    "quality",
    "tune",
    "devices",
    "serve",
    "profile",
    "machine",
    "export",
    "models",
    "demo",
)


class _App(click.Group):
    """A group whose first word may be a model: `kvtui MODEL` is the app."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ("--help", "--version")):
            args = ["app", *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS]


@click.group(cls=_App, context_settings={"help_option_names": ["--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="kvtui")
def cli() -> None:
    """Plan K/V cache types and tensor placement of a GGUF model for llama.cpp, and run llama-server with the plan.

    `kvtui [MODEL]` opens the app; `kvtui demo` shows it on a bundled model and a simulated machine.
    """


def _say_progress(seconds: float, bound: float) -> None:
    """The solver's distance, on one line that is written over where a person looks on."""
    line = f"proving: {seconds * 1e3:,.3f} ms a token, none below {bound * 1e3:,.3f} ms ({1 - bound / seconds:.2%} left)"
    if sys.stderr is not None and sys.stderr.isatty():
        say_over(line)
    else:
        say(line)


@cli.command()
@click.argument("model", required=False)
@shared_options
@click.option("--time", "seconds", type=float, callback=positive_seconds, help="How long to plan in all, in seconds.")
@click.option("--prove", is_flag=True, help="Go on until no plan can be better, with progress.")
@click.option("--explain", is_flag=True, help="Each figure's formula with its numbers, and what is alive at each peak.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def plan(model: str, options: Options, seconds: float | None, prove: bool, explain: bool, as_json: bool) -> None:
    """The best placement of MODEL."""
    from kvtui.placement.plan import make_plan
    from kvtui.report.as_json import plan_json
    from kvtui.tasks.checking import CHECK_SECONDS, checked
    from kvtui.tasks.first_ram_speed import with_ram_speed
    from kvtui.tasks.history import with_proof
    from kvtui.tasks.own_speed import known_rates, with_own_speed
    from kvtui.tasks.speeds_here import with_speed_here

    began = time.perf_counter()
    address = named_model(model)
    spec = load(address, options, fetched)
    read = time.perf_counter()
    deadline = None if seconds is None else time.monotonic() + seconds - (read - began)
    request = with_ram_speed(request_of(spec, options), say, deadline)
    made = with_proof(make_plan(request, deadline=deadline, prove=prove, progress=_say_progress if prove else None))
    planned = time.perf_counter()
    made = with_own_speed(with_speed_here(made, options.server_args), options.server_args, known_rates())
    left = CHECK_SECONDS
    if seconds is not None and deadline is not None:
        left = min(left, deadline + seconds * _BEYOND - time.monotonic())
    asked = checked(made, None if address.is_remote else address.path, options.llama_server, left)
    made = asked.plan
    timings = {"header_seconds": read - began, "estimate_seconds": 0.0, "plan_seconds": planned - read}
    timings |= {"dry_run_seconds": asked.answer.seconds} if asked.answer is not None else {}
    if as_json:
        value = plan_json(made, str(address), timings)
        if explain:
            from kvtui.report.peaks import peaks_json, plan_peaks

            value["peaks"] = peaks_json(plan_peaks(made))
        print_json(value)
    else:
        from kvtui.report.as_text import plan_lines

        echo_lines(plan_lines(made, address, explain=explain))
    sys.exit(EXIT_OK if made.fits else EXIT_NO)


@cli.command(context_settings={"ignore_unknown_options": False})
@click.argument("model", required=False)
@shared_options
@click.option("--explain", is_flag=True, help="Each figure's formula with its numbers.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.argument("flags", nargs=-1, type=click.UNPROCESSED)
def estimate(model: str, options: Options, explain: bool, as_json: bool, flags: Sequence[str]) -> None:
    """What llama-server would allocate for MODEL with exactly these FLAGS (after `--`): nothing is optimized."""
    from kvtui.flags.read import parse_flags
    from kvtui.placement.speed import no_ram_bandwidth, placed_speed
    from kvtui.report.as_json import estimate_json

    began = time.perf_counter()
    flags = in_environment(without_secrets(flags))
    server_flags = parse_flags(flags, flags_of(options), build_of(options))
    joined = replace(
        options,
        spec_type=",".join(server_flags.context.spec_types) or None,
        mmproj=server_flags.beside.mmproj,
        model_draft=server_flags.beside.draft,
    )
    address = named_model(model)
    spec = load(address, joined, fetched)
    read = time.perf_counter()
    request = replace(request_of(spec, options), context=server_flags.context)
    described = _described(request, server_flags)
    described = replace(described, findings=(*described.findings, *no_ram_bandwidth(request, described.assignment)))
    speed = placed_speed(request, described.assignment)
    timings = {"header_seconds": read - began, "estimate_seconds": time.perf_counter() - read, "plan_seconds": 0.0}
    if as_json:
        value = estimate_json(described, str(address), flags, timings, speed)
        if explain:
            from kvtui.report.peaks import described_peaks, peaks_json

            value["peaks"] = peaks_json(described_peaks(described))
        print_json(value)
    else:
        from kvtui.report.as_text import estimate_lines

        echo_lines(estimate_lines(described, str(address), speed, explain=explain))
    sys.exit(EXIT_OK if described.fits else EXIT_NO)


for _command in (table, guide, profile, quality, machine, serve, export, models, review, tune):
    cli.add_command(_command)


@cli.command()
@click.option("--llama-server", metavar="PATH", help="The llama-server to ask for devices that nothing else can see.")
@click.option("--rpc", metavar="HOST:PORT,...", help="Devices of ggml-rpc-servers, too.")
@click.option("--measure", is_flag=True, help="Measure RAM's bandwidth again, in a second, and keep it.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def devices(llama_server: str | None, rpc: str | None, measure: bool, as_json: bool) -> None:
    """What this machine has."""
    from kvtui.report.as_json import inventory_json
    from kvtui.tasks.held_now import held_now
    from kvtui.tasks.inventory import inventory_of
    from kvtui.tasks.ram_speed import CALLED_OFF, measure_ram
    from kvtui.tasks.remote_devices import rpc_devices

    found = inventory_of(llama_server)
    if measure:
        ram = measure_ram(found.machine.ram)
        if ram is None:
            raise UsageError(CALLED_OFF)
        found = replace(found, machine=replace(found.machine, ram=ram))
    if rpc is not None:
        far = rpc_devices(rpc, llama_server)
        found = replace(found, machine=replace(found.machine, devices=(*far, *found.machine.devices)))
    held = held_now(found.machine.devices)
    if as_json:
        print_json(inventory_json(found, held))
    else:
        from kvtui.report.as_text import inventory_lines

        echo_lines(inventory_lines(found, held))


@cli.command()
@click.argument("model", required=False)
@shared_options
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.argument("flags", nargs=-1, type=click.UNPROCESSED)
def verify(model: str, options: Options, as_json: bool, flags: Sequence[str]) -> None:
    """The plan (or exactly FLAGS), and llama-server's own dry run beside it."""
    from kvtui.flags.read import parse_flags
    from kvtui.memory.compute import ComputeModel
    from kvtui.placement.plan import make_plan
    from kvtui.report.as_json import verify_json
    from kvtui.server.binary.find import choose_server
    from kvtui.server.measure.dry_run import dry_run
    from kvtui.server.measure.measured import recall
    from kvtui.server.measure.over import OVER, over_findings
    from kvtui.tasks.history import gpus_of, request_key

    path = ModelAddress(model).path
    spec = load(ModelAddress(model), options, fetched)
    request = request_of(spec, options)
    server = choose_server(options.llama_server)
    flags = in_environment(without_secrets(flags))
    if flags:
        server_flags = parse_flags(flags, flags_of(options), build_of(options))
        described = _described(request, server_flags)
        predicted, where, context, argv = described.estimate, described.assignment, server_flags.context, flags
    else:
        made = make_plan(request)
        predicted, where, context, argv = made.estimate, made.assignment, made.request.context, made.argv
    answer = dry_run(server, path, argv, devices=[d.name for d in request.machine.devices if not d.endpoint])
    kept = recall(server.identity, request_key(request), gpus_of(request.machine), argv)
    found = over_findings(request.machine, request.margin_bytes, predicted, answer)
    derived = ComputeModel(spec, context, request.machine, request.build, fa_quants=request.fa_quants).dry_run_bytes(where)
    value = verify_json(request.machine, predicted, answer, str(server.path), kept, found, derived)
    if as_json:
        print_json(value)
    else:
        from kvtui.report.as_text import verify_lines

        echo_lines(verify_lines(value))
    is_over = any(f.code == OVER for f in found)
    sys.exit(EXIT_NO if answer.refused or answer.impossible or is_over else EXIT_OK)


def _described(request: "Request", flags: "ServerFlags") -> "Described":
    """What exact flags take on the request's machine."""
    from kvtui.memory.described import describe_flags

    beside = beside_of(flags.beside, flags.context.spec_types)
    return describe_flags(
        request.model,
        request.machine,
        request.margin_bytes,
        request.build,
        flags,
        beside,
        request.learned,
        request.fa_quants,
    )


def _app_options(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option("--lean/--no-lean", default=None, help="Fewer bytes on the line; on by itself over SSH.")(command)
    return click.option("--theme", metavar="NAME", help="Colours.")(command)


@cli.command(name="app", hidden=True)
@click.argument("model", required=False)
@shared_options
@address_options
@_app_options
def app_command(model: str | None, options: Options, lean: bool | None, theme: str | None) -> None:
    """The terminal app."""
    from kvtui.tasks.config import keys_of
    from kvtui.tasks.last_request import given_parts
    from kvtui.tui.keys.commands import COMMANDS
    from kvtui.tui.keys.rebinding import rebound
    from kvtui.tui.run import run_app
    from kvtui.tui.session import Session

    commands = rebound(COMMANDS, keys_of(options.config))

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


@cli.command()
@_app_options
def demo(lean: bool | None, theme: str | None) -> None:
    """The app on a bundled model header and a simulated machine: needs no GPU, model or llama.cpp."""
    from kvtui.tasks.demo import demo_request
    from kvtui.tui.run import run_app
    from kvtui.tui.session import Session

    request = demo_request()
    run_app(Session(path=None, request=request, machine=request.machine, simulated=True, lean=lean, theme=theme, demo=True))
