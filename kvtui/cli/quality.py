"""`kvtui quality`: what cache types cost on one model, measured on this machine."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kvtui.base.exit_codes import EXIT_NO, EXIT_OK
from kvtui.base.findings import UsageError
from kvtui.base.secrets import without_secrets
from kvtui.cache.divergence import EXACT_POSITIONS, MOST_POSITIONS, POSITIONS
from kvtui.cli.boundary import say
from kvtui.cli.options import in_environment, shared_options
from kvtui.cli.printing import StageLine, echo_lines, fetched, print_json
from kvtui.hardware.simulated import refuse_simulated
from kvtui.header.address import ModelAddress
from kvtui.tasks.opening import load, request_of
from kvtui.tasks.options import Options

if TYPE_CHECKING:
    from kvtui.placement.request import Request


@click.command()
@click.argument("model", required=False)
@shared_options
@click.option("--pair", "pairs", multiple=True, metavar="K/V", help="A pair to measure, as q8_0/q4_0; repeatable.")
@click.option("--text", metavar="FILE", help="Measure on this text too, beside the one that comes with kvtui.")
@click.option(
    "--positions",
    type=click.IntRange(1, MOST_POSITIONS),
    help=f"Places in a text to compare [default: {POSITIONS}; with llama-perplexity {EXACT_POSITIONS}, or all the text has].",
)
@click.option(
    "--llama-perplexity",
    metavar="PATH",
    help="The llama-perplexity that compares [default: LLAMA_PERPLEXITY, or the one beside the llama-server]; 'none': "
    "llama-server alone.",
)
@click.option("--again", is_flag=True, help="Measure anew what was measured before.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.argument("flags", nargs=-1, type=click.UNPROCESSED)
def quality(
    model: str,
    options: Options,
    pairs: Sequence[str],
    text: str | None,
    positions: int | None,
    llama_perplexity: str | None,
    again: bool,
    as_json: bool,
    flags: Sequence[str],
) -> None:
    """What K/V pairs cost in quality on MODEL, measured here (run as planned, or with exactly FLAGS)."""
    from kvtui.header.identity import model_identity
    from kvtui.report.quality import quality_json, quality_lines
    from kvtui.server.binary.find import choose_server
    from kvtui.server.binary.perplexity import perplexity_of
    from kvtui.server.measure.exact import Comparer
    from kvtui.server.measure.pairs import Bench, measure
    from kvtui.server.measure.quality_kept import bases_folder
    from kvtui.server.process.passing import NotServed
    from kvtui.tasks.history import gpus_of
    from kvtui.tasks.quality import PAIRS, bundled_text, given_text, own_flags, parse_pair, refuse_plan_options

    wanted = tuple(dict.fromkeys(map(parse_pair, pairs))) or PAIRS
    texts = [bundled_text(), *([given_text(Path(text))] if text is not None else [])]
    path = ModelAddress(model).path
    flags = in_environment(without_secrets(flags))
    if flags:
        refuse_plan_options(options)
        argv = own_flags(flags, options.ctx_size)
    server = choose_server(options.llama_server)
    perplexity, unused = perplexity_of(server, llama_perplexity)
    request = _request(model, options)
    env: dict[str, str] = {}
    if not flags:
        argv, env = _planned(request, options.server_args)
    comparer = None
    if perplexity is not None:
        comparer = Comparer(perplexity, path, argv, env, bases_folder(), request.model.n_vocab)
    places = positions or (EXACT_POSITIONS if comparer else POSITIONS)
    identity, gpus = model_identity(request.model.header), gpus_of(request.machine)
    bench = Bench(server, path, identity, gpus, argv, env, places, comparer)
    if unused:
        say(f"{unused}; divergences are lower bounds")
    progress = StageLine()
    try:
        outcomes = measure(bench, wanted, texts, progress, again=again)
    except NotServed as e:
        progress.end()
        say(f"f16/f16, with which the others are compared: {e}")
        sys.exit(EXIT_NO)
    except OSError as e:
        raise UsageError(f"nothing can be measured: {e.strerror or e}") from None
    finally:
        progress.end()
    if as_json:
        print_json(quality_json(bench, str(path), outcomes))
    else:
        echo_lines(quality_lines(bench, outcomes))
    sys.exit(EXIT_OK if all(o.measured for o in outcomes) else EXIT_NO)


def _request(model: str, options: Options) -> "Request":
    """What is planned with f16/f16, which takes most: the same placement then holds every pair. Raises UsageError."""
    from kvtui.tasks.quality import CONTEXT_TOKENS

    sized = replace(options, ctx_size=options.ctx_size or str(CONTEXT_TOKENS))
    request = request_of(load(ModelAddress(model), sized, fetched), sized)
    refuse_simulated(request.machine)
    return request


def _planned(request: "Request", more: Sequence[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """(flags but for the types, environment) of the best plan, with a config's `more`. Flash attention is on unless a
    person said otherwise, so that all pairs run the same way: a quantized V needs it. Exits where nothing fits."""
    from kvtui.placement.plan import make_plan
    from kvtui.tasks.quality import without_types

    flash = "on" if request.context.flash_attn == "auto" else request.context.flash_attn
    made = make_plan(replace(request, context=replace(request.context, flash_attn=flash)))
    if not made.fits:
        say("; ".join(f.message for f in made.findings if f.severity == "error"))
        sys.exit(EXIT_NO)
    return without_types((*made.argv, *more)), dict(made.env)
