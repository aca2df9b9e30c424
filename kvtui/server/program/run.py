"""Run a program for its words: bounded in time and in output."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kvtui.server.program.short_lived import ShortLived

OUTPUT_LIMIT_BYTES = 4 * 2**20


@dataclass(frozen=True)
class Answer:
    """What a program said (stdout and stderr in one, decoded loosely) and how it ended (`None`: it was stopped)."""

    text: str
    returncode: int | None


def run_program(
    argv: Sequence[str], env: Mapping[str, str], timeout_seconds: float = 20.0, limit_bytes: int = OUTPUT_LIMIT_BYTES
) -> Answer:
    """Start, read up to `limit_bytes`, end. OSError if it cannot be started."""
    with ShortLived(argv, env, timeout_seconds) as program:
        output = b"".join(program.pieces(limit_bytes))
    return Answer(output.decode("utf-8", "replace"), program.returncode if program.ended else None)
