"""`kvtui tune`: the best few plans, measured on the real server."""

import sys
from dataclasses import replace

import click

from kvtui.base.exit_codes import EXIT_NO, EXIT_OK
from kvtui.base.findings import UsageError
from kvtui.cli.boundary import say
from kvtui.cli.options import shared_options
from kvtui.cli.printing import StageLine, echo_lines, fetched, print_json
from kvtui.hardware.simulated import refuse_simulated
from kvtui.header.address import ModelAddress
from kvtui.tasks.last_request import given_parts
from kvtui.tasks.opening import build_of, load, request_of
from kvtui.tasks.options import Options

FEWEST, MOST = 3, 5  # plans that are worth a load each


@click.command()
@click.argument("model", required=False)
@shared_options
@click.option("--prompt", type=click.IntRange(1), metavar="N", help="Tokens of the prompt [default: 2048, or what a slot holds].")
@click.option("--generate", type=click.IntRange(1), metavar="N", help="Tokens of the answer [default: 128].")
@click.option("--plans", type=click.IntRange(FEWEST, MOST), default=MOST, show_default=True, help="Plans to try at most.")
@click.option("--again", is_flag=True, help="Measure anew what was measured before.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def tune(model: str, options: Options, prompt: int | None, generate: int | None, plans: int, again: bool, as_json: bool) -> None:
    """The best few plans of MODEL measured on the real llama-server, the fastest kept."""
    from kvtui.placement.plan import make_plan
    from kvtui.placement.variants import variants
    from kvtui.report.tuning import tuning_json, tuning_lines
    from kvtui.server.binary.find import choose_server
    from kvtui.server.measure.tuned import Bench, best_of
    from kvtui.tasks.quality import bundled_text
    from kvtui.tasks.speeds_here import asked_digest, speed_setting
    from kvtui.tasks.tuning import try_all, turn_of

    path = ModelAddress(model).path
    server = choose_server(options.llama_server)
    options = replace(options, llama_server=str(server.path))
    if options.build is not None and build_of(options) != server.rules:
        raise UsageError(f"--build {options.build}: llama-server {server.build or server.path} is what runs: leave it out")
    request = request_of(load(ModelAddress(model), options, fetched), options)
    refuse_simulated(request.machine)
    made = make_plan(request)
    if not made.fits:
        say("; ".join(f.message for f in made.findings if f.severity == "error"))
        sys.exit(EXIT_NO)
    request = made.request
    turn = turn_of(prompt, generate, request.context.cells_per_slot(request.model.n_ctx_train))
    found = variants(made, turn, given_parts(options), plans)
    setting, asked = speed_setting(request), asked_digest(request, options.server_args)
    bench = Bench(server, path, setting, asked, turn, bundled_text(), options.server_args)
    progress = StageLine()
    try:
        outcomes = try_all(bench, found, progress, again=again)
    except OSError as e:
        raise UsageError(f"nothing can be measured: {e.strerror or e}") from None
    finally:
        progress.end()
    if as_json:
        print_json(tuning_json(bench, outcomes))
    else:
        echo_lines(tuning_lines(bench, outcomes))
    sys.exit(EXIT_OK if best_of(outcomes) is not None else EXIT_NO)
