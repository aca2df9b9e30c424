"""What a person last asked of each model, kept between runs: types, context, slots, batches, margins, pins."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from kvtui.base.fields import Fields
from kvtui.base.files import state_folder
from kvtui.base.stored import Kept, NewerFileError
from kvtui.flags.cache_types import CACHE_TYPES
from kvtui.flags.context import ContextParams
from kvtui.placement.request import Pin, Request
from kvtui.tasks.history import gpus_of, request_key
from kvtui.tasks.options import MAX_CONTEXT, Options

FILE = "requests.json"
_MOST_MODELS = 200  # those opened last
# parts of a request, and whether an option decides them
PARTS: dict[str, Callable[[Options], bool]] = {
    "type_k": lambda o: o.cache_type_k is not None,
    "type_v": lambda o: o.cache_type_v is not None,
    "n_ctx": lambda o: o.ctx_size is not None,
    "n_parallel": lambda o: o.parallel is not None,
    "n_batch": lambda o: o.batch_size is not None,
    "n_ubatch": lambda o: o.ubatch_size is not None,
    "margins": lambda o: o.margin is not None or o.display_margin is not None,
    "pins": lambda o: bool(o.pin),
}
_OF_DEVICES = ("margins", "pins")
_OF_CONTEXT = tuple(name for name in PARTS if name not in _OF_DEVICES)


def given_parts(options: Options) -> frozenset[str]:
    """The parts that the command line or the config decides."""
    return frozenset(name for name, is_given in PARTS.items() if is_given(options))


@dataclass(frozen=True)
class LastRequest:
    """As in `Request` and its context; `gpus` tells for which devices its margins and pins are."""

    type_k: str
    type_v: str
    n_ctx: int
    n_parallel: int | None
    n_batch: int
    n_ubatch: int
    ubatch_open: bool  # as in Request
    margins: tuple[int, ...]
    pins: tuple[Pin, ...]
    gpus: tuple[tuple[str, str], ...]

    def over(self, request: Request, given: frozenset[str]) -> Request:
        """`request` with what was asked the last time, but for the parts that are `given`; margins and pins only where
        the devices are the same."""
        context = {name: getattr(self, name) for name in _OF_CONTEXT if name not in given}
        same = self.gpus == gpus_of(request.machine)
        devices = {name: getattr(self, name) for name in _OF_DEVICES if same and name not in given}
        if devices.get("margins") == request.margin_bytes:
            del devices["margins"]
        ubatch_open = request.ubatch_open if {"n_batch", "n_ubatch"} & given else self.ubatch_open
        return replace(request, context=replace(request.context, **context), ubatch_open=ubatch_open, **devices)


def asked_of(request: Request) -> LastRequest:
    """What is asked in it; of batches that nobody asked for, llama-server's own, whichever the plan chose."""
    plain = ContextParams()
    context = request.context
    if request.ubatch_open:
        context = replace(context, n_batch=plain.n_batch, n_ubatch=plain.n_ubatch)
    return LastRequest(
        **{name: getattr(context, name) for name in _OF_CONTEXT},
        ubatch_open=request.ubatch_open,
        margins=request.margin_bytes,
        pins=request.pins,
        gpus=gpus_of(request.machine),
    )


def read_asked(fields: Fields) -> LastRequest:
    """As `asked_json` has it. ValueError where it is none."""
    slots = fields.get("n_parallel")
    pins = [Fields(p) for p in fields.items("pins")]
    found = LastRequest(
        type_k=fields.text("type_k"),
        type_v=fields.text("type_v"),
        n_ctx=fields.whole("n_ctx"),
        n_parallel=None if slots is None else fields.whole("n_parallel"),
        n_batch=fields.whole("n_batch"),
        n_ubatch=fields.whole("n_ubatch"),
        ubatch_open=fields.flag("ubatch_open", False),
        margins=tuple(Fields({"bytes": n}).whole("bytes") for n in fields.items("margins")),
        pins=tuple(Pin(p.text("pattern"), p.text("device")) for p in pins),
        gpus=tuple((g.text("name"), g.text("kind")) for g in map(Fields, fields.items("gpus"))),
    )
    if not {found.type_k, found.type_v} <= set(CACHE_TYPES):
        raise ValueError("there is no such cache type")
    if not 0 <= found.n_ctx <= MAX_CONTEXT or min(found.n_batch, found.n_ubatch) < 1 or min(found.margins, default=0) < 0:
        raise ValueError("a number is out of its range")
    return found


def asked_json(last: LastRequest) -> dict[str, Any]:
    """For a file."""
    return {**asdict(last), "gpus": [{"name": name, "kind": kind} for name, kind in last.gpus]}


def _read(fields: Fields) -> Mapping[str, LastRequest]:
    return {key: read_asked(Fields(value)) for key, value in fields.table("models").items()}


_REQUESTS: Kept[Mapping[str, LastRequest]] = Kept(
    schema=1, read=_read, write=lambda kept: {"models": {key: asked_json(last) for key, last in kept.items()}}
)


def last_request(request: Request, state: Path | None = None) -> LastRequest | None:
    """What was asked of this model the last time; None where nothing was, or it cannot be read."""
    kept = _REQUESTS.load((state or state_folder()) / FILE)
    return (kept or {}).get(str(request_key(request)))


def keep_last(request: Request, state: Path | None = None) -> None:
    """Remember it for this model; a full disk, or a newer kvtui's file, only costs the memory of it."""
    path, key = (state or state_folder()) / FILE, str(request_key(request))

    def change(kept: Mapping[str, LastRequest] | None) -> Mapping[str, LastRequest]:
        others = [(k, v) for k, v in (kept or {}).items() if k != key]
        return dict([*others[1 - _MOST_MODELS :], (key, asked_of(request))])

    with suppress(OSError, NewerFileError):
        _REQUESTS.update(path, change)


def described(request: Request) -> str:
    """`q8_0, 32k, 10 pins`: in a few words."""
    context = request.context
    types = context.type_k if context.type_k == context.type_v else f"{context.type_k}/{context.type_v}"
    n = context.n_ctx
    size = "max" if not n else f"{n // 1000}k" if n % 1000 == 0 else f"{n:,}"
    pins = len(request.pins)
    return ", ".join([types, size, *([f"{pins} pin{'s' if pins > 1 else ''}"] if pins else [])])
