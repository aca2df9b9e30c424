"""What pairs cost in quality, as it was measured on this machine, and what f16/f16 said there: kept, so that a measurement
that was broken off goes on where it was."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kvtui.base.fields import Fields
from kvtui.base.files import state_folder
from kvtui.base.stored import Kept
from kvtui.cache.divergence import Divergence, Likeliest
from kvtui.cache.measured_here import MeasuredHere
from kvtui.flags.cache_types import CACHE_TYPES
from kvtui.server.measure.measured import conditions

_LIMIT_BYTES = 64 << 20  # of a reference: 2.5 kB a position of 100 tokens
_LIKELIEST_LIMIT = 1000  # tokens of one position


@dataclass(frozen=True)
class Setting:
    """What a measurement depends on but for the pair. `server`: its identity; `model`: its `model_identity`; `gpus`: (name,
    description); `argv`: without the cache types; `text`: its digest; `perplexity`: the identity of the llama-perplexity that
    compares, "" where llama-server does."""

    server: str
    model: str
    gpus: tuple[tuple[str, str], ...]
    argv: tuple[str, ...]
    text: str
    positions: int
    perplexity: str = ""

    @property
    def key(self) -> str:
        """A name for its files."""
        parts: tuple[object, ...] = (self.server, self.model, self.gpus, conditions(self.argv), self.text, self.positions)
        parts += (self.perplexity,) if self.perplexity else ()
        return hashlib.sha256(repr(parts).encode("utf-8", "surrogateescape")).hexdigest()[:32]


@dataclass(frozen=True)
class Reference:
    """f16/f16 in a setting: the likeliest tokens at each position (none where llama-perplexity compares), how many hidden
    numbers it found, how many `tokens` the text has and a slot holds (`n_ctx`)."""

    likeliest: tuple[Likeliest, ...]
    needles: int
    tokens: int = 0
    n_ctx: int = 0


@dataclass(frozen=True)
class KeptPair:
    """A pair with what tells for whom it holds: the server's identity, the model's, the text's digest."""

    server: str
    model: str
    text: str
    measured: MeasuredHere


def digest(text: str) -> str:
    """Tells one text from another."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def recall_reference(setting: Setting, state: Path | None = None) -> Reference | None:
    """What f16/f16 said in this setting."""
    return _REFERENCE.load(_reference_path(setting, state))


def keep_reference(setting: Setting, found: Reference, state: Path | None = None) -> None:
    """OSError or KvtuiError if it cannot be written."""
    _REFERENCE.save(_reference_path(setting, state), found)


def recall_pair(setting: Setting, pair: tuple[str, str], state: Path | None = None) -> MeasuredHere | None:
    """What this pair cost in this setting."""
    found = _PAIR.load(_pair_path(setting, pair, state))
    return found.measured if found else None


def keep_pair(setting: Setting, found: MeasuredHere, state: Path | None = None) -> None:
    """OSError or KvtuiError if it cannot be written."""
    kept = KeptPair(setting.server, setting.model, setting.text, found)
    _PAIR.save(_pair_path(setting, (found.type_k, found.type_v), state), kept)


def kept_pairs(state: Path | None = None) -> tuple[KeptPair, ...]:
    """All of them, newest first."""
    try:
        files = [f for f in (_folder(state) / "pairs").iterdir() if f.suffix == ".json"]
    except OSError:
        return ()
    return tuple(sorted((k for f in files if (k := _PAIR.load(f))), key=lambda k: -k.measured.at))


def bases_folder(state: Path | None = None) -> Path:
    """Where llama-perplexity writes what f16/f16 expects."""
    return _folder(state) / "bases"


def _folder(state: Path | None) -> Path:
    return (state or state_folder()) / "quality"


def _reference_path(setting: Setting, state: Path | None) -> Path:
    return _folder(state) / "references" / f"{setting.key}.json"


def _pair_path(setting: Setting, pair: tuple[str, str], state: Path | None) -> Path:
    return _folder(state) / "pairs" / f"{setting.key}-{'-'.join(pair)}.json"


def _reference(fields: Fields) -> Reference:
    likeliest = tuple(_likeliest(Fields(each)) for each in fields.items("likeliest"))
    return Reference(likeliest, fields.whole("needles"), fields.whole("tokens", 0), fields.whole("n_ctx", 0))


def _likeliest(fields: Fields) -> Likeliest:
    tokens, logprobs = fields.items("tokens"), fields.items("logprobs")
    if not 0 < len(tokens) == len(logprobs) <= _LIKELIEST_LIMIT:
        raise ValueError("tokens and logprobs are not as many of each")
    return Likeliest(tuple(map(int, tokens)), tuple(map(float, logprobs)))


def _pair(fields: Fields) -> KeptPair:
    m = Fields(fields.get("measured"))
    d = Fields(m.get("divergence"))
    needles: Sequence[Any] = m.items("needles")
    types = m.text("type_k"), m.text("type_v")
    if not set(types) <= CACHE_TYPES.keys() or len(needles) != 2:
        raise ValueError("measured is of no pair")
    divergence = Divergence(d.number("mean"), d.number("tail"), d.number("top_1"), d.whole("positions"), d.flag("exact", False))
    measured = MeasuredHere(
        *types,
        divergence=divergence,
        needles=(int(needles[0]), int(needles[1])),
        reference_needles=m.whole("reference_needles"),
        context=m.whole("context"),
        text=m.text("text"),
        build=m.text("build"),
        at=m.number("at"),
    )
    return KeptPair(fields.text("server"), fields.text("model"), fields.text("text"), measured)


_REFERENCE = Kept(1, _reference, asdict, _LIMIT_BYTES)
_PAIR = Kept(1, _pair, asdict)
