"""What a pair of cache types costs in quality: a label, and the figures that people measured, the nearest to this model first.

What was measured on this very model, on this machine, stands above all else. Otherwise the label follows from one number,
the mean KL divergence a pair is expected to add to that of f16/f16: the cost of its K type and that of its V type, from a
measured series with or without llama.cpp's rotation of quantized keys and values. So no pair has a better label than one
that measured better in the same series."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from kvtui.cache.measured_here import MeasuredHere, expected_here, of_pair
from kvtui.flags.cache_types import CACHE_TYPES
from kvtui.model.spec import ModelSpec

Label = Literal["reference", "as f16", "good", "fair", "risky"]
Kin = Literal["measured here", "this model", "a relative of this model", "another family"]

# The most mean KL divergence above f16/f16 that each label stands for. The steps are this program's own choice: 0.001 holds
# every 8-bit pair of both series, 0.002 what Qwen3.5-9B lost at q8_0/q4_0, 0.01 what it lost at q4_0/q4_0.
LABELS: tuple[tuple[float, Label], ...] = ((0.0, "reference"), (0.001, "as f16"), (0.002, "good"), (0.01, "fair"))
HERE: Kin = "measured here"
_KIN: tuple[Kin, ...] = (HERE, "this model", "a relative of this model", "another family")
_EXACT = {"f16", "f32"}  # types that lose nothing of what f16/f16 holds
_ROTATED_HEAD = 64  # src/llama-kv-cache.cpp, llama_kv_cache: heads of a multiple of it are rotated
_MEAN = "mean KL divergence"
_KEYS_FIRST = "keys are the sensitive side: K should not have fewer bits than V"


@dataclass(frozen=True)
class Figure:
    """One measurement of a pair. `families`: the architectures its model is a relative of; `rotated`: made since
    llama.cpp rotates quantized keys and values (PR #21038); `setup`: how it was measured."""

    type_k: str
    type_v: str
    metric: str
    value: float
    model: str
    rotated: bool
    families: tuple[str, ...]
    source: str
    setup: str = ""


@dataclass(frozen=True)
class Risk:
    """A family that bears less than others: types of `from_bits` or fewer on `side` ("k", or "both": either) are risky.
    `at_most_embd`: only models of that n_embd or less."""

    families: tuple[str, ...]
    side: str
    from_bits: float
    why: str
    at_most_embd: int | None = None

    def holds(self, model: ModelSpec, bits_k: float, bits_v: float) -> bool:
        """Whether a pair of these bits a value is risky for `model`."""
        if model.architecture not in self.families or (self.at_most_embd is not None and model.n_embd > self.at_most_embd):
            return False
        return bits_k <= self.from_bits or (self.side == "both" and bits_v <= self.from_bits)


@dataclass(frozen=True)
class Quality:
    """A pair's label, its figures with the kin of each (nearest first), the mean KL divergence it is expected to add to
    that of f16/f16, and `why` where the label or the pair needs a reason. `typical`: what the series alone let expect;
    `scaled`: other pairs were measured here, and `expected` follows them."""

    label: Label
    figures: tuple[tuple[Figure, Kin], ...]
    expected: float
    why: str = ""
    typical: float = 0.0
    scaled: bool = False

    @property
    def here(self) -> tuple[Figure, ...]:
        """The figures that were measured on this model, on this machine."""
        return tuple(f for f, kin in self.figures if kin == HERE)


@dataclass(frozen=True)
class _Table:
    figures: tuple[Figure, ...]
    costs: dict[str, dict[str, dict[str, float]]]
    risks: tuple[Risk, ...]
    noise: dict[str, float]  # of f16/f16 in the series of a kind


@cache
def _table() -> _Table:
    data = json.loads(files("kvtui.data").joinpath("quality.json").read_text())
    figures = tuple(Figure(**{**f, "families": tuple(f["families"])}) for f in data["figures"])
    plain = {f.model: f.value for f in figures if f.type_k == f.type_v == "f16" and f.metric == _MEAN}
    noise = {kind: plain[data["costs"][kind]["model"]] for kind in ("rotated", "plain")}
    return _Table(figures, data["costs"], tuple(Risk(**{**r, "families": tuple(r["families"])}) for r in data["risks"]), noise)


def all_figures() -> tuple[Figure, ...]:
    """Every figure there is."""
    return _table().figures


def rotated(model: ModelSpec) -> tuple[bool, bool]:
    """Whether quantized keys, and values, are rotated: heads all alike and a multiple of 64, not under MLA
    (src/llama-kv-cache.cpp, llama_kv_cache; src/llama-graph.cpp, build_attn of llm_graph_input_attn_k has none)."""
    cached = [x for x in model.layers if x.has_cache]
    keys, values = ({getattr(x, side) for x in cached} for side in ("head_k", "head_v"))
    return tuple(not model.is_mla and len(h) == 1 and min(h) % _ROTATED_HEAD == 0 for h in (keys, values))  # type: ignore[return-value]


def quality(type_k: str, type_v: str, model: ModelSpec, here: Sequence[MeasuredHere] = ()) -> Quality:
    """Label and figures of a pair for `model`; `here`: what was measured on it on this machine. A family's risk stays: it
    is known from tasks that the text of a measurement has none of."""
    table = _table()
    kinds = tuple("rotated" if turned else "plain" for turned in rotated(model))
    typical = _series((type_k, type_v), kinds)
    exact, expected = {type_k, type_v} <= _EXACT, typical
    if here and not exact:
        expected = expected_here((type_k, type_v), here, lambda pair: _series(pair, kinds, as_run=True))
    label: Label = next((name for most, name in LABELS if expected <= most), "risky")
    if label == "reference" and not exact:
        label = "as f16"
    bits_k, bits_v = CACHE_TYPES[type_k].bits, CACHE_TYPES[type_v].bits
    why = _KEYS_FIRST if bits_k < bits_v else ""
    risk = next((r for r in table.risks if r.holds(model, bits_k, bits_v)), None)
    if risk is not None:
        label, why = "risky", risk.why
    mine = of_pair(type_k, type_v, here)
    if lost := next((m.lost for m in mine if m.lost), ""):
        label, why = "risky", lost
    own = [(f, HERE) for m in mine for f in _figures(m, model, any(rotated(model)))]
    own += [(f, kin(f, model)) for f in table.figures if (f.type_k, f.type_v) == (type_k, type_v)]
    own.sort(key=lambda entry: (_KIN.index(entry[1]), entry[0].rotated != any(rotated(model))))
    return Quality(label, tuple(own), expected, why, typical, scaled=bool(here) and not mine and expected > 0)


def _series(pair: tuple[str, str], kinds: tuple[str, ...], *, as_run: bool = False) -> float:
    """What a pair adds in the published series; `as_run`: with what f16/f16 itself shows there, half for each side that loses
    anything. That much any two runs differ, so a measurement here has it too, and no side's cost is nearly nothing."""
    table, total = _table(), 0.0
    for name, side, kind in zip(pair, ("k", "v"), kinds, strict=True):
        if (cost := table.costs[kind][side].get(name)) is not None:
            total += cost + (table.noise[kind] / 2 if as_run else 0.0)
    return total


def _figures(m: MeasuredHere, model: ModelSpec, turned: bool) -> list[Figure]:
    """A measurement as figures: of KL divergence (in nats), of agreement, of finding what is far back."""
    d, (found, asked) = m.divergence, m.needles
    bound = "" if d.exact else ", at least"
    told = (
        (f"{_MEAN}{bound}", d.mean),
        (f"KL divergence at the 99.9 % tail{bound}", d.tail),
        ("top-1 agreement with f16/f16, %", d.top_1 * 100),
        (f"numbers found of {asked} in {m.context:,} tokens", float(found)),
    )
    setup = f"{d.positions} positions of {m.text}"
    return [
        Figure(m.type_k, m.type_v, metric, value, model.name, turned, (model.architecture,), f"kvtui quality, {m.build}", setup)
        for metric, value in told
    ]


def kin(figure: Figure, model: ModelSpec) -> Kin:
    """How near the model of a figure is to this one: by name, then by architecture."""
    name, measured = (_plain(x) for x in (model.name, figure.model))
    if measured and measured in name:
        return "this model"
    return "a relative of this model" if model.architecture in figure.families else "another family"


def _plain(name: str) -> str:
    """A model's name with letters and digits alone, for comparison."""
    return "".join(c for c in name.lower() if c.isalnum()).removesuffix("instruct")
