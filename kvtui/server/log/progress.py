"""How far a load has come, by the log's own lines. That it is ready no log is believed: the server answers for itself."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from kvtui.server.log.own import READY, START

LOADED = 0.99  # the share of a load that its log tells
# Where each stage begins (their functions: tools/server/server-context.cpp, load_model; src/llama-model-loader.cpp;
# src/llama-model.cpp, load_tensors; src/llama-context.cpp; common/common.cpp, common_init_from_params). The shares
# are of a load where weights take nearly all the time.
STAGES: tuple[tuple[re.Pattern[str], str, float], ...] = (
    (re.compile(START + r"\w+: loading model '"), "opening the model", 0.0),
    (re.compile(START + r"\w+: loaded meta data with"), "reading the header", 0.02),
    (re.compile(START + r"\w+: loading model tensors"), "loading weights", 0.10),
    (re.compile(START + r"\w+: constructing llama_context"), "making the context", 0.85),
    (re.compile(START + r"(?:sched_reserve: reserving|\w*reserve_worst_case)"), "reserving compute buffers", 0.90),
    (re.compile(START + r"\w+: warming up the model"), "warming up", 0.93),
    (READY, "loaded", LOADED),
)
_DOTS = re.compile(r"^\.+$")  # older builds print one for each hundredth of the weights (src/llama.cpp)
WEIGHTS = 2


@dataclass(frozen=True)
class LoadProgress:
    """The stage a load is in; `fraction` from 0 to 1, by stages (and dots, where the build prints them)."""

    stage: str = "starting"
    fraction: float = 0.0

    @property
    def ready(self) -> bool:
        """Whether it answers requests, by its own answer to one."""
        return self.fraction >= 1.0

    def answered(self) -> "LoadProgress":
        """It says so at /health."""
        return LoadProgress("ready", 1.0)

    def after(self, lines: Iterable[str]) -> "LoadProgress":
        """Progress after these further lines; it never goes back."""
        now = self
        if now.ready:
            return now
        for line in lines:
            if now.fraction >= LOADED:
                break  # no line tells more
            if _DOTS.match(line):
                begin, end = STAGES[WEIGHTS][2], STAGES[WEIGHTS + 1][2]
                fraction = begin + (end - begin) * min(len(line), 100) / 100
                now = LoadProgress(STAGES[WEIGHTS][1], max(now.fraction, fraction))
            for pattern, stage, fraction in STAGES:
                if (fraction > now.fraction or now.stage == "starting") and pattern.search(line):
                    now = LoadProgress(stage, fraction)
        return now
