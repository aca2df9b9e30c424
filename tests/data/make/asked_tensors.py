"""Write kvtui/data/asked-tensors.txt by experiment: each header of tests/data is loaded by llama.cpp as it is, with each key
of its architecture changed or gone, and with each optional tensor there or not. What was asked for in all of these loads
under one condition is a row with it, and a size is the first expression of keys that held in all.

python tests/data/make/asked_tensors.py ASKER [ARCHITECTURE ...]

ASKER: asked_tensors.cpp, built; without a name all architectures are asked for."""

import contextlib
import os
import re
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headers import read_archive

from kvtui.header.reader import HeaderError
from kvtui.model.asked import Numbers
from kvtui.model.load import load_model
from kvtui.model.tensor_rules import has_all_rules

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "tests"))
from odd_headers import ARR, BOOL, F32, FORMATS, I32, U32, Gguf, Tensor, parsed  # noqa: E402

DATA = ROOT / "kvtui" / "data" / "asked-tensors.txt"
ARCHIVES = ("headers", "headers-hybrids", "headers-mixtures", "headers-beside")
SMALL_BYTES, MOST_HEADERS = 120_000, 3  # of an architecture's headers the smallest are changed
MOST_BLOCKS = 200  # of a key that has a value a block
_BLOCK = re.compile(r"blk\.(\d+)\.(.*)")

Dims = tuple[int, ...]


@dataclass
class Load:
    """One. `what`: base, key, with or without, and of what; `asked`: required or not, and dimensions, by name."""

    header: str
    what: tuple[str, str]
    numbers: Numbers
    whole: int  # blocks that were told to their end
    ended: bool
    asked: dict[str, tuple[bool, Dims]]


class Asker:
    """The program; a header in, what was asked for out."""

    def __init__(self, program: str, folder: Path) -> None:
        environment = {**os.environ, "GGML_NO_BACKTRACE": "1"}
        self._child = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self._path = folder / "x.gguf"

    def __call__(self, header: str, what: tuple[str, str], g: Gguf, recurrent: tuple[bool, ...] = ()) -> Load:
        """`recurrent`: of the blocks, where kvtui refuses the header and can't say it."""
        g.write(self._path)
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        print(self._path, file=self._child.stdin, flush=True)
        ended = self._child.stdout.readline() == "0\n"
        asked: dict[str, tuple[bool, Dims]] = {}
        for line in Path(f"{self._path}.asked").read_text().splitlines():
            name, required, *dims = line.split()
            before = asked.get(name, (False, ()))[0]
            asked[name] = (before or required == "1", tuple(map(int, dims)))
        with contextlib.suppress(HeaderError):
            model = load_model(self._path)
            recurrent = tuple(layer.is_recurrent for layer in model.layers[: model.n_layer])
        start = next(value[8:] + b"." for key, _, value in g.keys if key == b"general.architecture")
        keys = {key.removeprefix(start).decode(): _number(kind, value) for key, kind, value in g.keys if key.startswith(start)}
        vocab = next((dims[1] for dims in (asked.get("token_embd.weight", (0, ()))[1],) if len(dims) > 1), 0)
        last = max((int(m[1]) for name in asked if (m := _BLOCK.match(name))), default=0)
        whole = len(recurrent) if ended else min(last, len(recurrent))
        return Load(header, what, Numbers(keys, vocab, recurrent), whole, ended, asked)


def _number(kind: int, value: bytes) -> Any:
    """A number, or one a block, as kvtui reads it; None for anything else."""
    if kind in (U32, I32):
        return struct.unpack("<I", value)[0]
    if kind == BOOL:
        return bool(value[0])
    inner, count = struct.unpack("<IQ", value[:12]) if kind == ARR else (F32, 0)
    if inner not in (U32, I32, BOOL) or count >= MOST_BLOCKS:
        return None
    step = struct.calcsize(FORMATS[inner])
    return tuple(struct.unpack_from(FORMATS[inner], value, 12 + i * step)[0] for i in range(count))


def _alike(name: str) -> str:
    return re.sub(r"\d+", "#", name)


def _others(kind: int, value: bytes) -> Iterator[tuple[int, Any]]:
    """Other values of a key."""
    if kind in (U32, I32):
        (x,) = struct.unpack("<I", value)
        yield from ((kind, y) for y in sorted({0, x * 2 % 2**31, (x + 1) % 2**31} - {x}))
    elif kind == BOOL:
        yield kind, not value[0]
    elif kind == ARR:
        inner, count = struct.unpack("<IQ", value[:12])
        if inner in (U32, I32, BOOL) and 0 < count < MOST_BLOCKS:
            step = struct.calcsize(FORMATS[inner])
            xs = [struct.unpack_from(FORMATS[inner], value, 12 + i * step)[0] for i in range(count)]
            yield from ((kind, (inner, ys)) for ys in ([*xs[1:], xs[0]], [type(xs[0])(0)] * count))
            yield kind, (inner, [True if inner == BOOL else x * 2 % 2**31 for x in xs])


def changed(name: str, base: Gguf, asked: dict[str, tuple[bool, Dims]]) -> Iterator[tuple[tuple[str, str], Gguf]]:
    """(what was changed, the header)."""
    there = {t.name.decode() for t in base.tensors}
    optional = dict.fromkeys(_alike(n) for n, (required, _) in asked.items() if not required)
    for alike in optional:
        more = [n for n in asked if _alike(n) == alike and n not in there]
        if more:
            further = [Tensor(n.encode(), [max(1, d) for d in asked[n][1]] or [1]) for n in more]
            yield ("with", alike), Gguf(list(base.keys), [*base.tensors, *further])
        if len(more) < sum(_alike(n) == alike for n in asked):
            left = [t for t in base.tensors if _alike(t.name.decode()) != alike]
            yield ("without", alike), Gguf(list(base.keys), left)
    for key, kind, value in base.keys:
        text = key.decode()
        if text.startswith(f"{name}.") and not text.endswith(".block_count"):
            for other, new in _others(kind, value):
                yield ("key", text.removeprefix(f"{name}.")), Gguf(list(base.keys), base.tensors).key(text, other, new)
            yield ("key", text.removeprefix(f"{name}.")), Gguf(list(base.keys), base.tensors).without(text)


def loads(ask: Asker, name: str, heads: Sequence[tuple[str, bytes]]) -> list[Load]:
    """All experiments on an architecture."""
    small = sorted(heads, key=lambda x: len(x[1]))
    used = [h for h in small if len(h[1]) < SMALL_BYTES][:MOST_HEADERS] or small[:1]
    found = []
    for header, head in used:
        base = parsed(head)
        first = ask(header, ("base", ""), base)
        found.append(first)
        found += [ask(header, what, g, first.numbers.recurrent) for what, g in changed(name, base, first.asked)]
    return found


def _heads() -> dict[str, list[tuple[str, bytes]]]:
    """By architecture, those whose tensors tensor_table.py does not know to the last."""
    found: dict[str, list[tuple[str, bytes]]] = {}
    for archive in ARCHIVES:
        for name, head in read_archive(ROOT / "tests" / "data" / f"{archive}.tar.xz")[0].items():
            architecture = next(v[8:].decode() for k, _, v in parsed(head).keys if k == b"general.architecture")
            if architecture != "clip" and not has_all_rules(architecture):
                found.setdefault(architecture, []).append((name, head))
    return found


def main() -> None:
    """As the module's text says."""
    from asked_rules import paragraph

    wanted = sys.argv[2:]
    written = dict(p.split("\n", 1) for p in DATA.read_text().strip().split("\n\n")) if wanted else {}
    with tempfile.TemporaryDirectory() as name:
        ask = Asker(sys.argv[1], Path(name))
        for architecture, heads in sorted(_heads().items()):
            if not wanted or architecture in wanted:
                written[architecture] = paragraph(loads(ask, architecture, heads))
                print(architecture, flush=True)
    DATA.write_text("\n\n".join(f"{name}\n{rows}" for name, rows in sorted(written.items()) if rows) + "\n")


if __name__ == "__main__":
    main()
