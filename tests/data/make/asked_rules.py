"""Rows of kvtui/data/asked-tensors.txt from what loads asked for (asked_tensors.py): a condition or a size is written
where it held in every load, and left open where none did."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, combinations_with_replacement, permutations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kvtui.model.tensor_rules import ANY, is_scale

if TYPE_CHECKING:
    from asked_tensors import Load

Mask = NDArray[np.bool_]
Dims = tuple[int, ...]

LEAST_SEEN = 2  # places at which a size was seen
MOST_STEP = 512  # blocks (src/llama-hparams.h, LLAMA_MAX_LAYERS)
TRIED_IN_THREES = 40  # conditions
_STEPS = ("interval", "step", "pattern", "every", "group_size", "period", "freq")  # in a key that may count blocks
_WINDOWED = "_length_swa"  # heads of blocks with a window, which every block of a small header may have:
_HEADS = ("key_length", "value_length")  # whose sizes are left open then
_BLOCK = re.compile(r"blk\.(\d+)\.(.*)")
_PAIRS = ("{0}*{1}", "{0}+{1}", "{0}*{1}*2", "{0}*2+{1}", "{0}+{1}*2", "{0}/{1}", "{1}/{0}")
_THREES = (
    "{0}/{1}*{2}",
    "{0}*{1}+{0}*{2}*2",
    "{0}*{1}+{0}*{2}",
    "{0}*{1}+{2}",
    "{0}+{1}+{2}",
    "{0}*{1}*{2}",
    "{0}+{1}*{2}*2",
    "{0}/{1}*{2}*2+{0}",
    "{0}*{1}*2+{2}",
)
_FOURS = ("{0}*{1}+{2}*{3}", "{0}*{1}+{0}*{2}+{3}", "{0}*{1}*2+{2}*{3}*2", "{0}*{1}+{2}*{3}*2", "{0}*{1}+{2}*{1}+{2}*{3}")


@dataclass(frozen=True)
class _Place:
    """A block of a load, or the load's model."""

    load: "Load"
    block: int
    prefix: str

    def asked(self, name: str) -> tuple[bool, Dims] | None:
        return self.load.asked.get(self.prefix + name)


def paragraph(loads: Sequence["Load"]) -> str:
    """The rows of an architecture."""
    names: dict[tuple[bool, str], None] = {}
    for load in loads:
        for name in load.asked:
            in_block = _BLOCK.match(name)
            if in_block is None:
                names[True, name] = None
            elif int(in_block[1]) < len(load.numbers.recurrent):
                names[False, in_block[2]] = None
    of_model = [_Place(x, 0, "") for x in loads if x.ended]
    of_blocks = [_Place(x, i, f"blk.{i}.") for x in loads for i in range(x.whole)]
    keys = sorted({k for x in loads for k, v in x.numbers.keys.items() if _is_number(v) and k != "block_count"})
    conditions = _conditions(of_blocks, keys)
    rows: dict[str, list[str]] = {}
    for model, name in names:
        places = of_model if model else of_blocks
        if places and not is_scale(name if model else f"blk.0.{name}") and "blk." not in name:
            kind, text = _row(name, places, {"": np.ones(len(places), bool)} if model else conditions, keys, model)
            rows.setdefault(kind, []).append(text)
    return "\n".join(f"{kind}: {' '.join(texts)}" for kind, texts in rows.items() if kind)


def _is_number(value: object) -> bool:
    return isinstance(value, int) or (isinstance(value, tuple) and all(isinstance(x, int) for x in value))


def _conditions(places: Sequence[_Place], keys: Sequence[str]) -> dict[str, Mask]:
    """Where each holds; of those that hold in the same places the first."""
    found: dict[bytes, tuple[str, Mask]] = {}
    for text in ("", "lead", "after", "recurrent", "but recurrent", *_of_keys(places, keys)):
        if text in ("lead", "after") and "leading_dense_block_count" not in keys:
            continue
        holds = np.array([not text or p.load.numbers.holds(text, p.block) for p in places], bool)
        found.setdefault(holds.tobytes(), (text, holds))
    return dict(found.values())


def _of_keys(places: Sequence[_Place], keys: Sequence[str]) -> Iterator[str]:
    for key in keys:
        yield from (key, f"no {key}")
        values = [p.load.numbers.keys.get(key) for p in places]
        if any(word in key for word in _STEPS) and all(v is None or (isinstance(v, int) and v <= MOST_STEP) for v in values):
            yield from (f"{but}{word} {key}" for word in ("each", "first") for but in ("", "but "))


def _row(name: str, places: Sequence[_Place], conditions: dict[str, Mask], keys: Sequence[str], model: bool) -> tuple[str, str]:
    """(when, the tensor); "" where nothing is known of it."""
    required = np.array([bool((asked := p.asked(name)) and asked[0]) for p in places], bool)
    when, instead = _required(required, places, conditions) if required.any() else (None, "")
    sizes = _sizes([(p, asked[1]) for p in places if (asked := p.asked(name))], keys, model)
    text = f"{name}{f'|{instead}' if instead else ''}[{','.join(sizes)}]"
    kind = "model" if model else "block"
    if when is not None:
        return ", ".join(filter(None, (kind, when))), text
    return ("" if set(sizes) == {"*"} else f"may {kind}"), text


def _required(required: Mask, places: Sequence[_Place], conditions: dict[str, Mask]) -> tuple[str | None, str]:
    """(the condition, what may be there instead); None where no condition says it."""
    if (when := _fitting(required, np.ones(len(places), bool), conditions)) is not None:
        return when, ""
    plain = np.array([p.load.what[0] != "with" for p in places], bool)
    when = _fitting(required, plain, conditions)
    if when is None:
        return None, ""
    holds = np.all([conditions[c] for c in when.split(", ")], axis=0)
    instead = {p.load.what[1] for p, r, h, n in zip(places, required, holds, plain, strict=True) if h and not n and not r}
    if len(instead) != 1 or bool((required & ~holds).any()):
        return None, ""
    return when, instead.pop().removeprefix("blk.#.")


def _fitting(required: Mask, among: Mask, conditions: dict[str, Mask]) -> str | None:
    """One to three conditions that hold, among these places, just where it is required."""
    wanted = required[among]
    cut = {text: holds[among] for text, holds in conditions.items()}
    if alone := next((t for t, h in cut.items() if np.array_equal(h, wanted)), None) or ("" if wanted.all() else None):
        return alone
    if wanted.all():
        return ""
    wider = [t for t, h in cut.items() if t and h[wanted].all()]
    for two in combinations(wider, 2):
        if np.array_equal(cut[two[0]] & cut[two[1]], wanted):
            return ", ".join(two)
    for three in combinations(wider[:TRIED_IN_THREES], 3):
        if np.array_equal(cut[three[0]] & cut[three[1]] & cut[three[2]], wanted):
            return ", ".join(three)
    return None


def _sizes(seen: Sequence[tuple[_Place, Dims]], keys: Sequence[str], model: bool) -> list[str]:
    if len({len(dims) for _, dims in seen}) != 1:
        return ["*"]
    sizes = [_size([(p, dims[i]) for p, dims in seen], keys, model) for i in range(len(seen[0][1]))]
    if any(k.endswith(_WINDOWED) for k in keys):
        return ["*" if any(head in size for head in _HEADS) else size for size in sizes]
    return sizes


def _size(seen: Sequence[tuple[_Place, int]], keys: Sequence[str], model: bool) -> str:
    def held(text: str) -> bool:
        count = 0
        for place, size in seen:
            said = place.load.numbers.size(text, place.block)
            if said not in (ANY, size):
                return False
            count += said != ANY
        return count >= LEAST_SEEN

    if model and held("vocab"):
        return "vocab"
    if all(size == 1 for _, size in seen):
        return "1"
    return next(filter(held, _expressions([k for k in keys if _matters(k, seen)])), "*")


def _matters(key: str, seen: Sequence[tuple[_Place, int]]) -> bool:
    """Whether a size is another one where that key alone is."""
    before = {(p.load.header, p.block): size for p, size in seen if p.load.what[0] == "base"}
    changed = ((p, size) for p, size in seen if p.load.what == ("key", key))
    return any(before.get((p.load.header, p.block), size) != size for p, size in changed)


def _expressions(keys: Sequence[str]) -> Iterator[str]:
    yield from keys
    yield from (f"{key}{more}" for key in keys for more in ("/2", "/4", "/8", "/16", "*2", "*3", "*4"))
    yield from (form.format(*two) for two in combinations_with_replacement(keys, 2) for form in _PAIRS)
    yield from (form.format(*three) for three in permutations(keys, 3) for form in _THREES)
    yield from (form.format(*four) for four in permutations(keys, 4) for form in _FOURS)
