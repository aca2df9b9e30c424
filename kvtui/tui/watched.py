"""What is watched of a server that serves: figures of the screen, each absent where the build has no such figure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kvtui.base.late import Late
from kvtui.server.log.serving import Serving

if TYPE_CHECKING:
    from kvtui.server.http.client import Slot
    from kvtui.server.http.figures import cache_share, draft_share
    from kvtui.server.measure.grown import Grown
else:  # not needed by the first screen
    cache_share = Late("kvtui.server.http.figures", "cache_share")
    draft_share = Late("kvtui.server.http.figures", "draft_share")

SAMPLES = 30  # of the rate: the last minute at one each 2 s
_STEP_BYTES = 16 * 2**20  # of what grew: less moves all the time and says nothing


@dataclass(frozen=True)
class Watched:
    """`rates`: tokens a second of all slots together, each over the time since the look before, the newest last; () until
    the server counts. Shares are 0 to 1."""

    rates: tuple[float, ...] = ()
    slots: tuple["Slot", ...] = ()
    serving: Serving = field(default_factory=Serving)
    cached: float | None = None  # of prompt tokens, those taken from the cache
    accepted: float | None = None  # of drafted tokens
    grew: tuple["Grown", ...] = ()

    def after(self, rate: float | None, looks: int) -> "Watched":
        """With the rate over the last `looks` times a look was due; None: nothing is counted."""
        if rate is None:
            return self
        before = self.rates or (0.0,) * SAMPLES
        return replace(self, rates=(*before, *(rate,) * min(looks, SAMPLES))[-SAMPLES:])

    def seen(self, slots: Sequence["Slot"], counters: Mapping[str, float], grew: Sequence["Grown"]) -> "Watched":
        """With what /slots, /metrics and the driver tell now."""
        steps = tuple(replace(g, grew_bytes=max(round(g.grew_bytes / _STEP_BYTES), 0) * _STEP_BYTES) for g in grew)
        return replace(self, slots=tuple(slots), cached=cache_share(counters), accepted=draft_share(counters), grew=steps)
