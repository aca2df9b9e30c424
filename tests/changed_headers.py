"""One change to a sound header, as a line of tests/data/judged-headers.jsonl says it: what, of which key or tensor, and how."""

import random
import struct
from collections.abc import Sequence
from typing import Any

from odd_headers import ARR, BLOCKS, BOOL, FORMATS, STR, U32, Gguf, Tensor

_ODD = (0, 1, 2, 3, 7, 64, 128, 255, 4096, 2**31 - 1, 2**32 - 1)
_MOST_VALUES = 200  # of a key that is changed value by value

Change = Sequence[Any]


def apply(g: Gguf, change: Change) -> Gguf:
    """`g` itself, changed."""
    what, name, *how = change
    if what == "lost":
        g.tensors = [t for t in g.tensors if t.name != name.encode()]
    elif what == "renamed":
        g.named(name).name = how[0].encode()
    elif what == "shape":
        g.shape(name, *how[0])
    elif what == "key":
        g.key(name, how[0], how[1])
    elif what == "without":
        g.without(name)
    return g


def drawn(rng: random.Random, g: Gguf, architecture: str) -> Change:
    """A change that can be made to `g`: of a key of the architecture, or of a tensor."""
    keys = [k for k in g.keys if k[0].startswith(f"{architecture}.".encode())]
    return _of_key(rng, *rng.choice(keys)) if rng.random() < 0.4 else _of_tensor(rng, g, rng.choice(g.tensors))


def _of_key(rng: random.Random, key: bytes, kind: int, value: bytes) -> Change:
    name = key.decode()
    if rng.random() < 0.3:
        return ["without", name]
    if kind == U32:
        (x,) = struct.unpack("<I", value)
        return ["key", name, U32, rng.choice((*_ODD, (x + 1) % 2**32, x // 2, x * 2 % 2**32))]
    if kind == BOOL:
        return ["key", name, BOOL, not value[0]]
    inner, count = struct.unpack("<IQ", value[:12]) if kind == ARR else (STR, 0)
    if inner not in FORMATS or not 0 < count < _MOST_VALUES:
        return ["key", name, U32, 1]
    step = struct.calcsize(FORMATS[inner])
    values = [struct.unpack_from(FORMATS[inner], value, 12 + i * step)[0] for i in range(count)]
    how = rng.randrange(3)
    values[rng.randrange(count)] = type(values[0])(rng.choice((0, 1, 2)))
    return ["key", name, ARR, [inner, (values[:-1], [*values, values[-1]], values)[how]]]


def _of_tensor(rng: random.Random, g: Gguf, tensor: Tensor) -> Change:
    name, how = tensor.name.decode(), rng.random()
    if how < 0.35:
        return ["lost", name]
    if how < 0.45:
        other = name.replace("blk.0.", "blk.1.")
        return ["renamed", name, f"{name}x" if any(t.name.decode() == other for t in g.tensors) else other]
    dims, how = list(tensor.dims), rng.random()
    if how < 0.3:
        dims.reverse()
    elif how < 0.5:
        dims = [*dims, 2][:4]
    else:
        at = rng.randrange(len(dims))
        dims[at] = max(1, dims[at] * 2 if rng.random() < 0.5 else dims[at] // 2)
    values = BLOCKS.get(tensor.kind, (1, 4))[0]
    dims[0] = max(values, dims[0] // values * values)  # else the reader refuses it, whatever the architecture
    return ["shape", name, dims] if dims != tensor.dims else ["lost", name]
