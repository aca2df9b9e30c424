"""What a pair of cache types costs in quality: a label, and figures that people measured, each with model and source."""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from kvtui.flags.cache_types import CACHE_TYPES

_ORDER = ("reference", "as f16", "good", "fair", "risky")  # best first


@dataclass(frozen=True)
class Figure:
    """One measurement. `rotated`: made after llama.cpp rotates quantized K and V (PR #21038)."""

    type_k: str
    type_v: str
    metric: str
    value: float
    model: str
    rotated: bool
    source: str


@dataclass(frozen=True)
class Quality:
    """A pair's label and its figures; `why` explains a label that the pair's types alone would not have."""

    label: str
    figures: tuple[Figure, ...]
    why: str = ""


@cache
def _table() -> tuple[dict[str, str], tuple[Figure, ...]]:
    data = json.loads(files("kvtui.data").joinpath("quality.json").read_text())
    return data["labels"], tuple(Figure(**f) for f in data["figures"])


# families whose keys do not bear quantization (facts of their makers' k_proj biases, and runs named in the README)
_FRAGILE_KEYS = {"qwen2": "Qwen2 and Qwen2.5 break with a quantized K: huge biases in the first and last blocks"}
_WEAK = {
    "gpt-oss": "gpt-oss lost points on AIME25 below q8_0 in one report, none in another",
    "gemma4": "instruct models of Gemma 4 lose more than others with quantized caches",
}


def quality(type_k: str, type_v: str, architecture: str = "") -> Quality:
    """Label and figures of a pair; the worse of its two types decides, and K may not have fewer bits than V."""
    labels, figures = _table()
    label = max(labels[type_k], labels[type_v], key=_ORDER.index)
    why = ""
    if CACHE_TYPES[type_k].bits < CACHE_TYPES[type_v].bits:
        label = _ORDER[min(_ORDER.index(label) + 1, len(_ORDER) - 1)]
        why = "keys are the sensitive side: K should not have fewer bits than V"
    if CACHE_TYPES[type_k].quantized and architecture in _FRAGILE_KEYS:
        label, why = "risky", _FRAGILE_KEYS[architecture]
    elif (CACHE_TYPES[type_k].bits < 8 or CACHE_TYPES[type_v].bits < 8) and architecture in _WEAK:
        label, why = "risky", _WEAK[architecture]
    return Quality(label, tuple(f for f in figures if (f.type_k, f.type_v) == (type_k, type_v)), why)
