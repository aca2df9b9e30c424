"""What a file of families/ says of itself: which architectures it covers, and what is special in how they are built."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from kvtui.memory.compute.build import Build
from kvtui.memory.compute.collapse import KEPT
from kvtui.model.spec import ModelSpec

Expand = Callable[[Build], None]  # expands a whole graph


@dataclass(frozen=True)
class Family:
    """`architectures`: by general.architecture. `graph`: the main context's. `mtp_graph`: the MTP context's, of `drafts` where
    not all of the architectures have one. `repeats`: whether equal blocks are built alike. `stepped`: architectures that tell
    every fourth block from the others. `alone`: those for which a batch of one slot is reserved for too
    (src/llama-context.cpp, sched_reserve). `turns`: of a run, that are built. `alibi`: whether attention is biased where the
    header does not say so. `across`: those whose blocks attend to rows that are there beside the batch."""

    architectures: tuple[str, ...]
    graph: Expand
    mtp_graph: Expand | None = None
    drafts: Collection[str] | None = None
    repeats: Callable[[ModelSpec], bool] = lambda _: True
    stepped: Collection[str] = ()
    alone: Collection[str] = ()
    turns: int = KEPT
    alibi: Callable[[ModelSpec], bool] = lambda _: False
    across: Collection[str] = ()

    def draws(self, architecture: str) -> Expand | None:
        """What expands the MTP context's graph; None where there is none."""
        return self.mtp_graph if architecture in (self.architectures if self.drafts is None else self.drafts) else None
