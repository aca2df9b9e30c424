"""What a plan, and a pair of K/V types, can be best at."""

from dataclasses import dataclass
from typing import Literal, get_args

from kvtui.base.findings import UsageError

Goal = Literal["decode", "context", "memory"]  # of a pair; a turn asks of it what decoding does
GOALS: tuple[Goal, ...] = get_args(Goal)
_FORMS = "decode, turn:PROMPT,REUSED,GENERATED, context, context:TOKENS_A_SECOND or memory"


@dataclass(frozen=True)
class Turn:
    """Tokens of one turn: `prompt` of which `reused` are in the cache already, and `generated`."""

    prompt: int
    reused: int
    generated: int


@dataclass(frozen=True)
class Aim:
    """What a plan is to be best at. `turn`: the shortest of this kind; `least_speed`: tokens a second that the largest context
    must keep at its end, 0: any."""

    pair: Goal = "decode"
    turn: Turn | None = None
    least_speed: float = 0.0

    def __str__(self) -> str:
        if self.turn is not None:
            return f"turn:{self.turn.prompt},{self.turn.reused},{self.turn.generated}"
        return f"{self.pair}:{self.least_speed:g}" if self.least_speed else self.pair


def parse_aim(text: str) -> Aim:
    """`decode`, `turn:8000,7000,300`, `context`, `context:20`, `memory`. Raises UsageError."""
    name, colon, figures = text.partition(":")
    if name == "turn" and colon:
        return Aim(turn=_turn(text, figures))
    if name == "context" and colon:
        return Aim("context", least_speed=_speed(text, figures))
    pair = next((g for g in GOALS if g == name), None)
    if pair is None or colon:
        raise UsageError(f"--goal {text}: write {_FORMS}")
    return Aim(pair)


def _turn(text: str, figures: str) -> Turn:
    try:
        prompt, reused, generated = (int(part) for part in figures.split(","))
    except ValueError:
        raise UsageError(f"--goal {text}: a turn is three numbers of tokens, as in turn:8000,7000,300") from None
    if not 0 <= reused <= prompt or generated < 0 or prompt + generated == 0:
        raise UsageError(f"--goal {text}: a turn reuses at most its prompt, and has some tokens")
    return Turn(prompt, reused, generated)


def _speed(text: str, figures: str) -> float:
    try:
        speed = float(figures)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise UsageError(f"--goal {text}: a speed is more than 0 tokens a second")
    return speed
