"""A llama.cpp build as a value: its number, what is known to differ between builds, and how one stands to those whose
figures were measured."""

import re
from dataclasses import dataclass
from typing import Literal

from kvtui.base.findings import UsageError

_TEXT = re.compile(r"b?(\d{1,9})")

Trait = Literal[
    "kept_for_kernels",
    "mixed_input",
    "idle_inputs",
    "states_at_once",
    "expert_cache",
    "port_9931",
    "early_rows",
    "own_rows_first",
]
# The first build that is known to have each. Where the commit's own number is not known, that is the first that was
# measured with it: builds before it are taken for the earlier measured one.
SINCE: dict[Trait, int] = {
    "kept_for_kernels": 10752,  # ggml-cuda.cu, ggml_backend_cuda_graph_optimize: what one kernel reads stays alive for it
    "mixed_input": 11401,  # llama-graph.cpp, build_inp_embd: text and embeddings in one batch
    "idle_inputs": 11434,  # ggml-backend.cpp, ggml_backend_sched_split_graph: its sixth pass copies inputs that nothing reads
    "states_at_once": 11434,  # llama-graph.cpp, build_rs: one gather for all slots' states
    "expert_cache": 11549,  # llama-moe-cache.cpp, --moe-cache-mib
    "early_rows": 11549,  # llama-graph.h, crop_before_nextn: without an MTP context all models drop rows in the last block
    "own_rows_first": 11549,  # gemma4.cpp: blocks' own embeddings are looked up before all else, in RAM
    "port_9931": 11549,  # common/common.h, common_params::port
}


@dataclass(frozen=True, order=True)
class Build:
    """Build `number` counts the commits of llama.cpp; b11434 as it calls itself."""

    number: int

    def __str__(self) -> str:
        return f"b{self.number}"

    def has(self, trait: Trait) -> bool:
        """Whether this build does what `SINCE` says of its builds."""
        return self.number >= SINCE[trait]

    @property
    def port(self) -> int:
        """The port that llama-server listens on where no --port says otherwise."""
        return 9931 if self.has("port_9931") else 8080

    @property
    def stand_in(self) -> "Build":
        """The measured build whose figures count for this one: itself, the last before it, or the first."""
        return max((k for k in KNOWN if k <= self), default=min(KNOWN))

    @property
    def standing(self) -> str:
        """Where figures are not this very build's own, which build's rules stand in for them; "" where they are its own."""
        if self in KNOWN:
            return ""
        before = max((k for k in KNOWN if k < self), default=None)
        after = min((k for k in KNOWN if k > self), default=None)
        if before is not None and after is not None:
            return (
                f"{self} lies between {before} and {after}, which were measured: figures are those of {before}"
                + self._known_between(before)
            )
        if before is not None:
            return f"{self} lies after {before}, the newest that was measured: figures are those of {before}"
        return f"{self} lies before {after}, the oldest that was measured: figures are those of {after}"

    def _known_between(self, before: "Build") -> str:
        passed = sorted({number for number in SINCE.values() if before.number < number <= self.number})
        return f" with what {' and '.join(map(str, map(Build, passed)))} changed" if passed else ""


# builds whose memory and refusals were measured with a server of theirs, and whose rules are modelled
KNOWN = (Build(10644), Build(11434), Build(11549))
DEFAULT_BUILD = Build(11434)


def parse_build(text: str) -> Build:
    """`b11434` or `11434`. Raises UsageError."""
    found = _TEXT.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"--build {text}: a build is a number, as in {DEFAULT_BUILD}")
    return Build(int(found[1]))


def build_in(text: str) -> Build | None:
    """The build that a server or a record names; None where it names none."""
    found = _TEXT.fullmatch(text)
    return Build(int(found[1])) if found else None
