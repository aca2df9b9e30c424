"""`kvtui plan`: the best placement of a model."""

import sys
import time

import click

from kvtui.base.exit_codes import EXIT_NO, EXIT_OK
from kvtui.cli.boundary import say, say_over
from kvtui.cli.naming import named_model
from kvtui.cli.options import positive_seconds, shared_options
from kvtui.cli.printing import echo_lines, fetched, print_json
from kvtui.tasks.opening import load, request_of
from kvtui.tasks.options import Options

_BEYOND = 0.1  # of the time a plan may take: what its dry run may take beyond it


def _say_progress(seconds: float, bound: float) -> None:
    """The solver's distance, on one line that is written over where a person looks on."""
    line = f"proving: {seconds * 1e3:,.3f} ms a token, none below {bound * 1e3:,.3f} ms ({1 - bound / seconds:.2%} left)"
    if sys.stderr is not None and sys.stderr.isatty():
        say_over(line)
    else:
        say(line)


@click.command()
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
