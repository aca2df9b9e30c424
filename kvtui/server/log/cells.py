"""What the slots of a server share: one cache for all, or a part each."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kvtui.server.log.breakdown import genuine
from kvtui.server.log.own import START, of_load

if TYPE_CHECKING:
    from kvtui.server.http.client import Slot

_N_CTX = re.compile(START + r"llama_context: n_ctx\s+= (\d{1,18})$")  # src/llama-context.cpp, the constructor
# tools/server/server-context.cpp, load_model
_SLOTS = re.compile(START + r"load_model: initializing, n_slots = \d+, n_ctx_slot = \d+, kv_unified = '(true|false)'$")
_UNIFIED = re.compile(START + r"llama_context: kv_unified\s+= (true|false)$")


@dataclass(frozen=True)
class CacheCells:
    """`n_ctx`: cells of the whole cache (all streams); `unified`: every slot may take any of them."""

    n_ctx: int
    unified: bool

    def of(self, slots: "Sequence[Slot]") -> int:
        """Tokens that all slots together can hold: a slot's own n_ctx is its limit, not its share
        (server_context_impl::n_ctx_slot), so the limits of slots of one cache do not add up."""
        limits = sum(s.context for s in slots)
        return min(limits, self.n_ctx) if self.unified else limits


def cache_cells(lines: Iterable[str]) -> CacheCells | None:
    """From the log of a start (-lv 4): the first context is the model's, later ones a draft's. `None` where it does
    not tell."""
    n_ctx: int | None = None
    unified: bool | None = None
    for line in of_load(genuine(lines)[0]):
        if n_ctx is None and (found := _N_CTX.match(line)):
            n_ctx = int(found[1])
        elif unified is None and (found := _UNIFIED.match(line) or _SLOTS.match(line)):
            unified = found[1] == "true"
        if n_ctx is not None and unified is not None:
            return CacheCells(n_ctx, unified)
    return None
