"""`kvtui estimate` and `kvtui verify`: what exact flags take, by this program and by llama-server itself."""

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from kvtui.base.exit_codes import EXIT_NO, EXIT_OK
from kvtui.base.secrets import without_secrets
from kvtui.cli.naming import named_model
from kvtui.cli.options import in_environment, shared_options
from kvtui.cli.printing import echo_lines, fetched, print_json
from kvtui.header.address import ModelAddress
from kvtui.tasks.opening import beside_of, build_of, flags_of, load, request_of
from kvtui.tasks.options import Options

if TYPE_CHECKING:
    from kvtui.flags.read import ServerFlags
    from kvtui.memory.described import Described
    from kvtui.placement.request import Request


@click.command(context_settings={"ignore_unknown_options": False})
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


@click.command()
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
