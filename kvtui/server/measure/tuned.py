"""Plans that were tried one after the other on the real server: with what, and what came of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kvtui.placement.turn import Turn
from kvtui.placement.variants import Variant
from kvtui.server.binary.inspect import ServerBinary
from kvtui.server.measure.forced import Text
from kvtui.server.measure.speeds import MeasuredSpeed, SpeedSetting


@dataclass(frozen=True)
class Bench:
    """What to measure with. `more`: arguments of a config; `asked`: a digest of the request."""

    binary: ServerBinary
    path: Path
    setting: SpeedSetting
    asked: str
    turn: Turn
    text: Text
    more: tuple[str, ...] = ()
    state: Path | None = None

    def argv(self, variant: Variant) -> tuple[str, ...]:
        """All that the server is given after `-m MODEL`."""
        return (*variant.plan.argv, *self.more)


@dataclass(frozen=True)
class Outcome:
    """A plan with what came of it: measured now or `before`, or the `problem` with it, or the seconds that `beat` the `least`
    it could take, so that it was not loaded."""

    variant: Variant
    argv: tuple[str, ...]
    expected: float  # seconds a turn
    least: float
    measured: MeasuredSpeed | None = None
    before: bool = False
    problem: str = ""
    beaten_by: float | None = None

    @property
    def seconds(self) -> float:
        """A turn, as measured; without end where it was not."""
        return self.measured.turn_seconds if self.measured is not None else float("inf")


def best_of(outcomes: Sequence[Outcome]) -> Outcome | None:
    """The fastest that was measured."""
    return min((o for o in outcomes if o.measured is not None), key=lambda o: o.seconds, default=None)
