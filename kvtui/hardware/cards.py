"""Cards by name (cards.toml): `--device 3090`, `2x3090`, `3090,A4000`, and published figures of cards that were found."""

import difflib
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from kvtui.base.findings import UsageError
from kvtui.base.sizes import GIB
from kvtui.hardware.device import Device
from kvtui.hardware.pcie import link_rate

_MOST_DEVICES = 16  # ggml-cuda.h, GGML_CUDA_MAX_DEVICES
_PAGES = "https://www.techpowerup.com/gpu-specs/"  # where a page without an address of its own lies
_SAME_SIZE = 0.12  # a driver lists up to this much less than a card is sold with (ECC, firmware)
_LIKE = 0.5  # of two names' letters in common, from which one may stand for the other
_COUNT = re.compile(r"^(?P<count>\d{1,3})\s*[x×]\s*(?P<name>\D.*|\d{3,}.*)$", re.IGNORECASE)
# Words that makers put around a name and people leave out.
_WORDS = re.compile(
    r"\b(nvidia|geforce|quadro|tesla|rtx|amd|radeon|rx|instinct|intel|arc|apple|graphics|gpu|generation|workstation|edition)\b"
    r"|\((r|tm)\)|[^a-z0-9]"
)
_SIZE = re.compile(r"\d+gb$")
_MACHINES = "machines"  # the table of cards.toml that has machines with several cards
# Metal's recommendedMaxWorkingSetSize as seen on Macs: this share of memory above so much, that share up to it
_METAL_LARGE_BYTES = 36 * GIB
_METAL_LARGE, _METAL_SMALL = Fraction(3, 4), Fraction(2, 3)


@dataclass(frozen=True)
class Card:
    """One card of one memory size, as its maker publishes it."""

    name: str
    backend: str  # prefix of llama.cpp's device name
    total_bytes: int
    bandwidth: float  # bytes a second
    source: str  # URL of the page its figures are published on
    checked: str  # month in which those that `compared` names were held against that page; "": none were
    compared: frozenset[str]  # names of figures in cards.toml; without those that the page has otherwise
    link: float | None = None  # bytes a second
    compute_capability: int | None = None  # as Device's
    gfx: str | None = None
    shared: bool = False
    flops: float | None = None  # f32 operations a second of its shaders
    peak_operations: float | None = None  # a second, of its matrix units: an upper bound
    memory_bits: int = 0  # width of its memory
    memory_gbps: float = 0.0  # gigabits a second of each of them
    fitted: bool = False  # memory_gbps was chosen to give the bandwidth
    also: tuple[str, ...] = ()


def _plain(name: str) -> str:
    """`NVIDIA GeForce RTX 3080 Ti Laptop GPU` -> `3080tilaptop`."""
    return _WORDS.sub("", name.lower())


def _cards_of(group: dict[str, Any], row: dict[str, Any]) -> list[Card]:
    """A row of cards.toml: one card, or one for each size."""
    row = {**group, **row}
    sizes = row["gib"] if isinstance(row["gib"], list) else [row["gib"]]
    many = len(sizes) > 1
    pages = row["page"] if isinstance(row["page"], list) else [row["page"]] * len(sizes)
    also, gfx = tuple(row.get("also", ())), row.get("gfx")
    return [
        Card(
            name=f"{row['name']} {gib}GB" if many else row["name"],
            backend=row["backend"],
            total_bytes=gib * GIB,
            bandwidth=row["gb_s"] * 1e9,
            source=urljoin(_PAGES, page),
            checked=row["checked"],
            compared=frozenset(row["compared"].split() if row["checked"] else ()) - set(row.get("differs", "").split()),
            link=link_rate(*map(int, row["pcie"].split("x"))) if "pcie" in row else None,
            compute_capability=int(gfx.removeprefix("gfx"), 16) if gfx else row.get("compute"),
            gfx=gfx,
            shared=row.get("shared", False),
            flops=row["tflops"] * 1e12 if "tflops" in row else None,
            peak_operations=row["peak"] * 1e12 if "peak" in row else None,
            memory_bits=row["bits"],
            memory_gbps=row["gbps"],
            fitted=row.get("fitted", False),
            also=(*also, row["name"]) if many else also,
        )
        for gib, page in zip(sizes, pages, strict=True)
    ]


@cache
def _texts() -> dict[str, str]:
    """cards.toml by its tables, unread: reading all of it takes 25 ms of every start, and a machine has cards of one or two."""
    text = (Path(__file__).parent / "cards.toml").read_text(encoding="utf-8")
    return {part.partition("]")[0]: f"[{part}" for part in text.split("\n[")[1:]}


@cache
def _group(name: str) -> tuple[Card, ...]:
    group = tomllib.loads(_texts()[name])[name]
    return tuple(card for row in group["cards"] for card in _cards_of(group, row))


@cache
def _plain_text(name: str) -> str:
    return _plain(_texts()[name])


def _groups() -> list[str]:
    return [name for name in _texts() if name != _MACHINES]


@cache
def all_cards() -> tuple[Card, ...]:
    """Every card of cards.toml."""
    return tuple(card for name in _groups() for card in _group(name))


_SIZED = re.compile(r"(.*?)\s+(\d+) ?GB", re.IGNORECASE)


def published(name: str, total_bytes: int | None = None) -> Card | None:
    """The card a driver calls `name`. Where several sizes share it, the one of `total_bytes`; None if that leaves a doubt."""
    wanted = _plain(name)
    row = _SIZE.sub("", wanted)  # a row of several sizes has the name without one
    cards = (c for name in _groups() if row in _plain_text(name) for c in _group(name))
    fitting = [c for c in cards if wanted in {_plain(n) for n in (c.name, *c.also)}]
    if total_bytes is not None:
        fitting = [c for c in fitting if 0 <= c.total_bytes - total_bytes <= _SAME_SIZE * c.total_bytes]
    return fitting[0] if len({(c.bandwidth, c.link, c.compute_capability) for c in fitting}) == 1 else None


def is_one_card(one: str, other: str, total_bytes: int) -> bool:
    """Whether two drivers' names, each perhaps with words of its own in brackets behind, stand for one card."""
    names = [name.partition(" (")[0] for name in (one, other)]
    if _plain(names[0]) == _plain(names[1]):
        return True
    first, second = (published(name, total_bytes) or published(name) for name in names)
    return first is not None and first == second


def _likeness(plain: str, wanted: str) -> tuple[bool, float]:
    """How near two names are; swapped letters (3900 for 3090) are nearer than a letter that is wrong."""
    return sorted(plain) == sorted(wanted), difflib.SequenceMatcher(None, plain, wanted).ratio()


def _named(name: str, what: str) -> Card:
    """The card a person means. Raises UsageError, naming the nearest."""
    wanted = _plain(name)
    exact = [c for c in all_cards() if wanted == _plain(c.name)]
    close = exact or [c for c in all_cards() if wanted in {_plain(n) for n in c.also}]
    if not close and (sized := _SIZED.fullmatch(name.strip())):  # P100 16GB is the P100
        of_size = [c for c in all_cards() if c.total_bytes == int(sized[2]) << 30]
        close = [c for c in of_size if _plain(c.name) == _plain(sized[1])]
        close = close or [c for c in of_size if _plain(c.name.split()[0]) == _plain(sized[1])]
    if not close and wanted:  # A100 stands for every A100
        close = [c for c in all_cards() if _plain(c.name.split()[0]) == wanted]
    if len(close) == 1:
        return close[0]
    if close:
        raise UsageError(f"{what}: {name.strip()} comes as {', '.join(c.name for c in close)}: say which")
    by_plain = {_plain(n): c.name for c in all_cards() for n in (c.name, *c.also)}
    nearest = max(by_plain, key=lambda plain: _likeness(plain, wanted))
    near = max(_likeness(nearest, wanted)) > _LIKE
    hint = f"the nearest is {by_plain[nearest]}, or " if near else ""
    raise UsageError(f"{what}: no card is called {name.strip()!r}; {hint}write it as NAME=FREE[/TOTAL][@BANDWIDTH]")


def _usable_bytes(card: Card) -> int:
    """What the GPU may take of an empty card: all of it, except of Apple's pool."""
    return metal_limit_bytes(card.total_bytes) if card.backend == "MTL" else card.total_bytes


def metal_limit_bytes(total_bytes: int) -> int:
    """What Metal lets the GPU take of a Mac's memory."""
    return int(total_bytes * (_METAL_LARGE if total_bytes > _METAL_LARGE_BYTES else _METAL_SMALL))


def _chosen(text: str, what: str) -> list[Card]:
    """The cards of `2x3090,A4000`, and of a machine's name."""
    machines = {_plain(name): inside for name, inside in tomllib.loads(_texts()[_MACHINES])[_MACHINES].items()}
    cards: list[Card] = []
    for part in text.split(","):
        match = _COUNT.match(part.strip())
        count, name = (int(match["count"]), match["name"]) if match else (1, part)
        if not 1 <= count <= _MOST_DEVICES:
            raise UsageError(f"{what}: a machine has 1 to {_MOST_DEVICES} of a card")
        inside = machines.get(_plain(name))
        cards += count * (_chosen(inside, what) if inside else [_named(name, what)])
    if len(cards) > _MOST_DEVICES:
        raise UsageError(f"{what}: {len(cards)} devices are more than the {_MOST_DEVICES} that llama.cpp drives")
    return cards


def expand_cards(text: str, before: Sequence[Device] = ()) -> tuple[Device, ...]:
    """Simulated devices of `3090`, `2x3090`, `3090,A4000` or `HGX H100`, all of their memory free. Each back end counts on
    from the devices `before`. Raises UsageError."""
    devices = list(before)
    for card in _chosen(text, f"--device {text}"):
        taken = [int(d.name[len(card.backend) :] or 0) for d in devices if re.fullmatch(rf"{card.backend}\d+", d.name)]
        usable = _usable_bytes(card)
        devices.append(
            Device(
                name=f"{card.backend}{max(taken, default=-1) + 1}",
                free_bytes=usable,
                total_bytes=usable,
                bandwidth=card.bandwidth,
                bandwidth_source="published",
                link=card.link,
                shared=card.shared,
                description=card.name,
                simulated=True,
                compute_capability=card.compute_capability,
                flops=card.flops,
                peak_operations=card.peak_operations,
            )
        )
    return tuple(devices[len(before) :])
