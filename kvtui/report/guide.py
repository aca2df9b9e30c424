"""The user's guide to K/V types, with exact figures beside its own: values that text, JSON and the app draw from."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from kvtui.base.sizes import GIB
from kvtui.cache.layout import cache_layout, flash_attention
from kvtui.flags.cache_types import CACHE_TYPES
from kvtui.flags.context import ContextParams
from kvtui.memory.refusals import refusals
from kvtui.model.spec import ModelSpec
from kvtui.model.tensor_split import NOT_SPLIT
from kvtui.placement.table import PairRow

_BLOCK_VALUES = 32  # values of a block of the quantised types
_F16_BITS = 16


@dataclass(frozen=True)
class TypeLine:
    """A type as the guide has it (`label`, `nominal_bits`, `nominal_memory`, `best_for`) and as it is: bits a value, bytes of
    32 values, and its share of f16's bytes."""

    name: str
    label: str
    nominal_bits: int
    nominal_memory: str
    best_for: str
    bits: float
    block_bytes: int
    of_f16: float


_OF_THE_GUIDE = (
    ("f32", "Highest", 32, "4x", "research, debugging"),
    ("f16", "High", 16, "2x", "the default"),
    ("bf16", "High", 16, "2x", "instead of f16"),
    ("q8_0", "Good", 8, "1x", "a balance of speed, memory and quality"),
    ("q4_0", "Acceptable", 4, "0.5x", "saving most memory"),
    ("q4_1", "Acceptable", 4, "0.5x", "another q4"),
    ("q5_0", "Good", 5, "0.625x", "between q4 and q8"),
    ("q5_1", "Good", 5, "0.625x", "between q4 and q8"),
    ("iq4_nl", "Good", 4, "0.5x", "better quality at q4's size"),
)


def type_lines() -> tuple[TypeLine, ...]:
    """The nine types in the guide's order."""
    return tuple([_type_line(*entry) for entry in _OF_THE_GUIDE])


def _type_line(name: str, label: str, bits: int, memory: str, best_for: str) -> TypeLine:
    t = CACHE_TYPES[name]
    return TypeLine(name, label, bits, memory, best_for, t.bits, t.row_bytes(_BLOCK_VALUES), t.bits / _F16_BITS)


@dataclass(frozen=True)
class Choice:
    """One of the guide's three trade-offs, or its mix. `nominal_saved`: as the guide has it."""

    key: str
    title: str
    type_k: str
    type_v: str
    nominal_saved: float
    guide_says: str


CHOICES = (
    Choice("F1", "Maximum performance", "f16", "f16", 0.0, "best quality, nothing to convert"),
    Choice("F2", "Balanced", "q8_0", "q8_0", 0.5, "good quality at hardly any cost of speed"),
    Choice("F3", "Maximum memory savings", "q4_0", "q4_0", 0.75, "acceptable quality, some cost of speed"),
    Choice("F4", "Mixed", "q4_0", "q8_0", 0.625, "its recommendation: K may be coarser, since it is used less"),
)
CHOICE_PAIRS = tuple((c.type_k, c.type_v) for c in CHOICES)


@dataclass(frozen=True)
class Cost:
    """A choice with its cost here. `against`: what speaks against it, a sentence each."""

    choice: Choice
    row: PairRow
    against: tuple[str, ...]


def costs(rows: Iterable[PairRow]) -> tuple[Cost, ...]:
    """The choices whose pairs are among `rows`."""
    by_pair = {r.pair: r for r in rows}
    found = [(c, by_pair.get((c.type_k, c.type_v)), by_pair.get((c.type_v, c.type_k))) for c in CHOICES]
    return tuple([Cost(c, row, _against(row, turned)) for c, row, turned in found if row is not None])


def _against(row: PairRow, turned: PairRow | None) -> tuple[str, ...]:
    """Refusals first, then how it runs, then what its quality says, with the same types the other way where they are known."""
    refused = next((f.message for f in row.findings if f.severity == "error"), "")
    if refused:
        return (f"llama-server refuses it: {refused}",)
    parts = [row.runs_because] if row.runs in ("converted", "cpu") else []
    parts += [row.quality.why] if row.quality.why else []
    if turned is not None and turned.pair != row.pair and turned.quality.expected < row.quality.expected:
        parts.append(
            f"{turned.type_k}/{turned.type_v} has the same bytes and is expected to lose less "
            f"(mean KL divergence {turned.quality.expected:.4f} against {row.quality.expected:.4f})"
        )
    return tuple(parts)


@dataclass(frozen=True)
class KimiLine:
    """A row of the guide's table for 132k tokens of Kimi. `guide_gb` as it is printed there; `hidden_bytes`: as if each block
    cached K and V as wide as the model; `true_bytes`: what llama-server takes, None where it refuses the pair."""

    type_k: str
    type_v: str
    guide_gb: float
    guide_total_gb: float
    hidden_bytes: float
    true_bytes: int | None
    refused: str


_KIMI_TOKENS = 132_000
_OF_KIMI = (
    ("f16", "f16", 215.0, 258.5),
    ("q8_0", "q8_0", 107.5, 129.5),
    ("q4_0", "q4_0", 53.8, 65.0),
    ("q4_0", "q8_0", 80.6, 97.3),
)


def kimi_lines(kimi: ModelSpec) -> tuple[KimiLine, ...]:
    """The guide's table both ways. `kimi`: a model of Kimi K2's shapes."""
    nominal = {t[0]: t[2] for t in _OF_THE_GUIDE}
    lines = []
    for type_k, type_v, cache, total in _OF_KIMI:
        context = ContextParams(n_ctx=_KIMI_TOKENS, n_parallel=1, type_k=type_k, type_v=type_v)
        hidden = kimi.n_layer * kimi.n_embd * _KIMI_TOKENS * (nominal[type_k] + nominal[type_v]) / 8
        refused = next((f.message for f in refusals(kimi, context) if f.severity == "error"), "")
        true = None if refused else cache_layout(kimi, context).cache_bytes
        lines.append(KimiLine(type_k, type_v, cache, total, hidden, true, refused))
    return tuple(lines)


@dataclass(frozen=True)
class Need:
    """Something `-sm tensor` asks for, and whether it is there."""

    what: str
    met: bool


def tensor_split_needs(model: ModelSpec, context: ContextParams, n_devices: int) -> tuple[Need, ...]:
    """What llama-server needs for `-sm tensor` (src/llama-context.cpp, llama_init_from_model; src/llama-model.cpp,
    llama_model_create; common/fit.cpp, which does not fit it)."""
    return (
        Need("flash attention: -fa on, or auto, which turns it on", flash_attention(model, context)),
        Need(f"an architecture that llama.cpp splits by tensors ({model.architecture})", model.architecture not in NOT_SPLIT),
        Need("two devices or more; one alone gains nothing", n_devices > 1),
        Need("--fit off and a context that you choose: nothing is fitted, and no breakdown of memory is printed", True),
    )


@dataclass(frozen=True)
class FullWindow:
    """What --swa-full costs and gives a model with windows. Bytes of all caches without and with it."""

    n_swa: int
    window_bytes: int
    full_bytes: int

    @property
    def cost_bytes(self) -> int:
        """What it takes more."""
        return self.full_bytes - self.window_bytes


FULL_WINDOW_GAIN = (
    "a slot may go back to any token it has seen; without it llama-server goes back to a checkpoint, or reads the prompt again"
)


def full_window(model: ModelSpec, context: ContextParams) -> FullWindow | None:
    """None for a model without windows."""
    if not model.n_swa:
        return None
    window, full = (cache_layout(model, replace(context, swa_full=x)).cache_bytes for x in (False, True))
    return FullWindow(model.n_swa, window, full)


@dataclass(frozen=True)
class Guide:
    """All pages; those of a model are empty without one."""

    types: tuple[TypeLine, ...]
    kimi: tuple[KimiLine, ...]
    costs: tuple[Cost, ...] = ()
    tensor_split: tuple[Need, ...] = ()
    full_window: FullWindow | None = None


def hidden_formula(kimi: ModelSpec) -> str:
    """Where the guide's figure comes from."""
    size = 2 * kimi.n_layer * kimi.n_embd * _KIMI_TOKENS * 2
    return (
        f"2 x {kimi.n_layer} blocks x {kimi.n_embd:,} values x {_KIMI_TOKENS:,} tokens x 2 B = {size / GIB:,.1f} GiB, "
        "as if each block kept K and V as wide as the model"
    )
