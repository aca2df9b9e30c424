"""Changes to a header that is sound: each makes another one of it, by the numbers it is given."""

import random

from odd_headers import FORMATS, STR, U32, Gguf, parsed

_ODD = (0, 1, 2, 3, 31, 63, 64, 255, 4096, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)


def scattered(rng: random.Random, head: bytes) -> bytes:
    changed = bytearray(head)
    for _ in range(rng.randint(1, 8)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def word(rng: random.Random, head: bytes) -> bytes:
    at = rng.randrange(len(head) - 8)
    return head[:at] + rng.choice(_ODD).to_bytes(8, "little") + head[at + 8 :]


def cut(rng: random.Random, head: bytes) -> bytes:
    return head[: rng.randrange(len(head))]


def moved(rng: random.Random, head: bytes) -> bytes:
    a, b, n = (rng.randrange(len(head)) for _ in range(3))
    return head[:a] + head[b : b + n % 200] + head[a:]


def key(rng: random.Random, head: bytes) -> bytes:
    g = parsed(head)
    name, kind, value = rng.choice(g.keys)
    if kind == U32:
        return g.key(name.decode(), U32, rng.choice(_ODD) % 2**32).head()[0]
    if kind == STR:
        return g.key(name.decode(), STR, rng.choice((b"", b"\xff\xfe", b"\n\x1b[31m", b"a" * 70_000))).head()[0]
    other = rng.choice(list(FORMATS))
    return g.key(name.decode(), other, rng.choice((0, 1))).head()[0] if len(value) <= 8 else g.without(name.decode()).head()[0]


def tensor(rng: random.Random, head: bytes) -> bytes:
    g: Gguf = parsed(head)
    chosen = rng.choice(g.tensors)
    if rng.random() < 0.3:
        g.tensors.remove(chosen)
    elif rng.random() < 0.5:
        chosen.name = rng.choice(
            (b"blk.99999999999999999999.x", b"blk.600.ffn_up_exps.weight", b"\xff" * 63, b"", chosen.name * 9)
        )
    else:
        chosen.dims = [rng.choice(_ODD) % 2**20 for _ in range(rng.randint(0, 4))]
    return g.head()[0]


CHANGES = (scattered, word, cut, moved, key, tensor)
