"""Tensors that an architecture without a record in tensor_table.py asks for, as loads of llama.cpp b11434 asked for them
(src/llama-model-loader.cpp, check_tensor_dims): each was loaded with every key of its header changed in turn, and what is
here held in all of those loads. What could not be told so is left out: no file is refused for it.

`data/asked-tensors.txt` has a paragraph an architecture: its name, then lines `when: tensors`. `model` is asked once,
`block` in every block but MTP blocks where what follows holds; with `may` nothing is required. A tensor is
`name|instead[dimensions]`: not required where `instead` is in the file. Sizes are keys of the architecture, `vocab`, and
`*` for any."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from kvtui.model.tensor_rules import ANY, Dims, wrong_shape

_LEADING = "leading_dense_block_count"
_MODEL = "model"
_KEY = re.compile(r"[a-z][\w.]*")


@dataclass(frozen=True)
class _Asked:
    name: str
    instead: str
    dims: tuple[str, ...]


@dataclass(frozen=True)
class _Line:
    of_model: bool
    required: bool
    conditions: tuple[str, ...]
    tensors: tuple[_Asked, ...]


@dataclass(frozen=True)
class Numbers:
    """Of a header: `keys` without the architecture's name, `vocab` its tokens, `recurrent` its blocks but MTP blocks."""

    keys: Mapping[str, Any]
    vocab: int
    recurrent: tuple[bool, ...]

    def of(self, key: str, block: int) -> int | None:
        """A key's number in a block; None where there is none."""
        value = self.keys.get(key)
        if isinstance(value, tuple):
            value = value[block] if block < len(value) else None
        return int(value) if isinstance(value, int) else None

    def size(self, text: str, block: int) -> int:
        """`a`, `a*b`, `a/b` and sums of them; ANY where a key is missing or is 0 below."""
        total = 0
        for term in text.split("+"):
            product = 1
            for factor in term.split("*") if term != "*" else ():
                above, _, below = factor.partition("/")
                number, divisor = self._factor(above, block), self._factor(below or "1", block)
                if number is None or not divisor:
                    return ANY
                product *= number // divisor
            total += product
        return ANY if text == "*" else total

    def _factor(self, text: str, block: int) -> int | None:
        if text.isdecimal():
            return int(text)
        return self.vocab if text == "vocab" else self.of(text, block)

    def holds(self, condition: str, block: int) -> bool:
        """Of a block: `lead` and `after` the leading dense ones, `recurrent`, `key` and `no key`; `each key`: the last of
        so many blocks, `first key`: the first of them; `but ...`: the others."""
        word, _, rest = condition.partition(" ")
        if word == "but":
            return not self.holds(rest, block)
        if word in ("lead", "after"):
            return (block < (self.of(_LEADING, block) or 0)) == (word == "lead")
        if word == "recurrent":
            return self.recurrent[block]
        if word == "no":
            return not self.of(rest, block)
        if word in ("each", "first"):
            step = self.of(rest, block) or 0
            return step > 0 and (block + (word == "each")) % step == 0
        return bool(self.of(condition, block))


@cache
def _paragraphs() -> Mapping[str, str]:
    text = files("kvtui.data").joinpath("asked-tensors.txt").read_text("utf-8")
    return {name: rest for name, _, rest in (paragraph.partition("\n") for paragraph in text.strip().split("\n\n"))}


@cache
def _lines(architecture: str) -> tuple[_Line, ...]:
    found = []
    for line in _paragraphs().get(architecture, "").splitlines():
        when, _, tensors = line.partition(": ")
        first, *conditions = when.removeprefix("may ").split(", ")
        asked = tuple(map(_asked, tensors.split(" ")))
        found.append(_Line(first == _MODEL, not when.startswith("may "), tuple(conditions), asked))
    return tuple(found)


def _asked(text: str) -> _Asked:
    name, _, dims = text.removesuffix("]").partition("[")
    name, _, instead = name.partition("|")
    return _Asked(name, instead, tuple(dims.split(",")))


def asked_misfit(architecture: str, numbers: Numbers, there: Mapping[str, Dims]) -> tuple[str, str] | None:
    """(code, sentence) of a tensor for which llama.cpp would refuse to load the file, or None. `there`: its tensors."""
    for line in _lines(architecture):
        places = [
            place
            for place in ([(0, "")] if line.of_model else _blocks(len(numbers.recurrent)))
            if all(numbers.holds(condition, place[0]) for condition in line.conditions)
        ]
        for asked in line.tensors:
            if fault := next(_faults(asked, line.required, places, numbers, there), None):
                return fault
    return None


@cache
def _blocks(count: int) -> Sequence[tuple[int, str]]:
    return [(block, f"blk.{block}.") for block in range(count)]


def _faults(
    asked: _Asked, required: bool, places: Sequence[tuple[int, str]], numbers: Numbers, there: Mapping[str, Dims]
) -> Iterator[tuple[str, str]]:
    alike = not any(isinstance(numbers.keys.get(key), tuple) for size in asked.dims for key in _KEY.findall(size))
    known: Dims | None = None
    for block, prefix in places:
        name = prefix + asked.name
        have = there.get(name)
        if have is None:
            if required and not (asked.instead and prefix + asked.instead in there):
                yield "missing-tensor", f"tensor '{name}' not found"
            continue
        if known is None or not alike:  # a key that has a value a block
            known = tuple(numbers.size(size, block) for size in asked.dims)
        if have != known and (wrong := wrong_shape(name, known, have)):
            yield "wrong-shape", wrong
