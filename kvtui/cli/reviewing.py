"""`kvtui review`: a llama-server command looked over, our plan beside it."""

import sys
import time
from pathlib import Path

import click

from kvtui.base.exit_codes import EXIT_NO, EXIT_OK
from kvtui.base.findings import UsageError
from kvtui.cli.naming import named_model
from kvtui.cli.options import shared_options
from kvtui.cli.printing import echo_lines, fetched, print_json
from kvtui.tasks.options import Options

_WORDS = "kvtui.review.words"  # of click's context: what stands after `--`, None without it


class _Reviewing(click.Command):
    """What stands after `--` is the command and nothing else: the first word there is no MODEL."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        at = args.index("--") if "--" in args else len(args)
        ctx.meta[_WORDS] = args[at + 1 :] if at < len(args) else None
        return super().parse_args(ctx, args[:at])


@click.command(cls=_Reviewing, options_metavar="[OPTIONS] [-- LLAMA-SERVER COMMAND LINE]")
@click.argument("model", required=False)
@shared_options
@click.option("--pid", type=click.IntRange(1), metavar="N", help="The command of the llama-server that runs under this pid.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_context
def review(ctx: click.Context, model: str | None, options: Options, pid: int | None, as_json: bool) -> None:
    """What a llama-server command would hold and do, beside our plan for the same model, context and types.

    The command stands after `--`, as it is typed or as one quoted text; --pid takes that of a running server; without either
    it is that of the llama-server that runs here. MODEL wins over the command's own -m.
    """
    from kvtui.flags.command_line import read_command
    from kvtui.report.review import review_json, review_lines
    from kvtui.tasks.review import reviewed, the_running_server

    began = time.perf_counter()
    words = ctx.meta[_WORDS]
    if words is None and model is not None and any(c.isspace() for c in model.strip()) and not Path(model).exists():
        words, model = [model], None  # a command pasted in quotes, without the `--`
    if words is not None and pid is not None:
        raise UsageError("--pid and a command: give one of them")
    command = read_command(words) if words is not None else the_running_server(pid)
    made, address = reviewed(model, options, command, named_model, fetched)
    if as_json:
        timings = {"header_seconds": 0.0, "estimate_seconds": 0.0, "plan_seconds": 0.0, "seconds": time.perf_counter() - began}
        print_json(review_json(made, str(address), timings))
    else:
        echo_lines(review_lines(made, address.flags))
    sys.exit(EXIT_OK if made.described.fits else EXIT_NO)
