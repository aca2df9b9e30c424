"""A request as numbers for the optimizer: what must be together, what may move, what it costs where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

from kvtui.base.findings import UsageError
from kvtui.cache.layout import CacheLayout, cache_layout
from kvtui.cache.reading import cache_reads
from kvtui.cache.support import runs_at
from kvtui.flags.patterns import compiled
from kvtui.hardware.backends import HOST, backend_of
from kvtui.hardware.device import CPU, Device, Machine
from kvtui.memory.assignment import Assignment, default_place, opened_of, split_of
from kvtui.memory.beside.loaded import BesideModel
from kvtui.memory.compute import ComputeModel, Engine
from kvtui.memory.one_buffer import smallest_limit
from kvtui.memory.weights import EMBEDDING, padded_bytes
from kvtui.model.spec import ModelSpec, Tensor
from kvtui.placement.request import Pin, Request

HANDOFF_SECONDS = 20e-6  # this program's own choice: a change of device in the yardstick; data/pace.toml has measured ones
_DENSE_FFN = (".ffn_up.weight", ".ffn_gate.weight", ".ffn_down.weight")


@dataclass(frozen=True)
class Movable:
    """A tensor that an override may put anywhere. `read`: bytes read at each token."""

    tensor: int
    block: int
    n_bytes: int
    read: float


@dataclass(frozen=True)
class Problem:
    """Blocks (the output is the last) with what is fixed to their device, and tensors that may move.

    Devices are indexed as in the machine, RAM is CPU (-1), which the tuples below hold last."""

    request: Request = field(repr=False)
    layout: CacheLayout = field(repr=False)
    compute: ComputeModel = field(repr=False)
    beside: BesideModel = field(repr=False)
    home_bytes: tuple[int, ...]  # a block's fixed weights, caches and state
    home_read: tuple[float, ...]  # bytes of them read at each token, on the device where that is least
    home_seconds: tuple[tuple[float, ...], ...]  # what reading them takes a token, a place, RAM last
    one_pace: bool  # every place reads a block's caches equally often
    movables: tuple[Movable, ...]
    pinned: tuple[tuple[int, int], ...]  # (tensor, device)
    pinned_read: tuple[float, ...]  # bytes read at each token, a device, RAM last
    pinned_bytes: tuple[int, ...]
    pinned_homes: tuple[int | None, ...]  # where a block lives by its pins, output last; None: anywhere
    seconds_per_byte: tuple[float, ...]  # a device, RAM last

    @property
    def model(self) -> ModelSpec:
        """The model."""
        return self.request.model

    @cached_property
    def order(self) -> tuple[int, ...]:
        """Every device in the order in which blocks follow each other; those that are not opened last."""
        opened = self.request.opened or ()
        return (*opened, *[d for d in range(len(self.request.machine.devices)) if d not in opened])

    @property
    def ram_is_home(self) -> bool:
        """Whether blocks may live in RAM."""
        return not (self.request.no_ram or self.request.blocks_on_devices)

    @cached_property
    def movable_bytes(self) -> tuple[int, ...]:
        """Bytes of movable tensors a block."""
        out = [0] * len(self.home_bytes)
        for m in self.movables:
            out[m.block] += m.n_bytes
        return tuple(out)

    @cached_property
    def movable_read(self) -> tuple[float, ...]:
        """Bytes of movable tensors read at each token, a block."""
        out = [0.0] * len(self.home_bytes)
        for m in self.movables:
            out[m.block] += m.read
        return tuple(out)

    def assignment(self, homes: Sequence[int], places: Sequence[int]) -> Assignment:
        """`homes`: one device a block, output last; `places`: one a movable."""
        here = self.request.machine.devices
        devices = [default_place(t, homes, here) for t in self.model.tensors]
        moved = False
        for m, place in zip(self.movables, places, strict=True):
            moved = moved or place != devices[m.tensor]
            devices[m.tensor] = place
        for tensor, place in self.pinned:
            moved = moved or place != devices[tensor]
            devices[tensor] = place
        opened = self.request.opened
        shares = split_of(homes, opened_of(opened, len(self.request.machine.devices)))
        return Assignment(tuple(homes), tuple(devices), overridden=moved, opened=opened, named=opened, shares=shares)


def beside_model(request: Request) -> BesideModel:
    """What is beside the model under the request's context."""
    return BesideModel(
        request.beside, request.model, request.context, request.machine, request.build, fa_quants=request.fa_quants
    )


def _pinned_homes(model: ModelSpec, places: Mapping[int, int]) -> list[int | None]:
    """A block whose fixed matrices (attention, shared experts) are all pinned to one place lives there, with its K/V.
    `places`: tensor -> place of those pinned."""
    found: list[set[int | None]] = [set() for _ in range(model.n_layer_all + 1)]
    for t in model.tensors:
        if t.loaded and t.kind == "repeating" and len(t.dims) > 1 and not _is_movable(model, t):
            found[t.block or 0].add(places.get(t.index))
    return [next(iter(where)) if len(where) == 1 else None for where in found]


def _is_movable(model: ModelSpec, t: Tensor) -> bool:
    if not t.loaded or t.block is None:
        return False
    if model.n_expert:
        return t.expert and t.name.endswith(".weight")
    return t.name.endswith(_DENSE_FFN)


def seconds_per_byte(machine: Machine) -> tuple[float, ...]:
    """Of each device, RAM last. Where a bandwidth is not known only the order counts: no speed is shown then."""
    ram = machine.ram.bandwidth or HOST.usual_bandwidth
    return (*[1.0 / (d.bandwidth or backend_of(d.name).usual_bandwidth) for d in machine.devices], 1.0 / ram)


def _attending(request: Request, layout: CacheLayout, speeds: Sequence[float]) -> tuple[tuple[float, ...], ...] | None:
    """`cache_reads` of a block's caches wherever it lives; None where RAM is read whatever the place."""
    if not request.context.offload_kqv:
        return None
    runs = runs_at(request.model, request.context, request.machine.devices, build=request.build, fa_quants=request.fa_quants)
    if all(how == "cpu" for how in runs):
        return None
    plain = replace(request.context, type_k="f16", type_v="f16")
    as_f16 = cache_layout(request.model, plain) if "converted" in runs else layout
    return cache_reads(layout, as_f16, runs, speeds)


@dataclass(frozen=True)
class _Weights:
    """What does not depend on the context: a block's fixed weights, those that may move, those that are pinned."""

    home_bytes: tuple[int, ...]
    home_read: tuple[float, ...]
    movables: tuple[Movable, ...]
    pinned: tuple[tuple[int, int], ...]
    pinned_read: tuple[float, ...]
    pinned_bytes: tuple[int, ...]
    pinned_homes: tuple[int | None, ...]


@lru_cache(maxsize=16)
def _weights(model: ModelSpec, devices: tuple[Device, ...], pins: tuple[Pin, ...]) -> _Weights:
    names = {d.name: i for i, d in enumerate(devices)} | {"CPU": CPU}
    rules = []
    for pin in pins:
        if pin.device not in names:
            raise UsageError(f"--pin {pin.pattern}={pin.device}: no such device; there are {', '.join(names)}")
        rules.append((compiled(pin.pattern), names[pin.device]))
    kinds = {backend_of(d.name) for d in devices}
    largest = smallest_limit(devices)

    def most_bytes(t: Tensor) -> int:
        """What a tensor takes on the device that pads it most: a block must have room wherever it goes."""
        return max((padded_bytes(t, kind) for kind in kinds), default=t.n_bytes)

    n_blocks = model.n_layer_all + 1
    home_bytes, home_read = [0] * n_blocks, [0.0] * n_blocks
    movables, pinned = [], []
    count = len(devices)
    pinned_read, pinned_bytes = [0.0] * (count + 1), [0] * (count + 1)
    for t in model.tensors:
        if not t.loaded or t.kind == "input":
            continue
        place = next((device for pattern, device in rules if pattern.search(t.name)), None)
        if place is None and largest is not None and t.n_bytes > largest:
            place = CPU  # where llama-server would put it too
        if place is not None:
            pinned.append((t.index, place))
            pinned_read[place] += t.n_bytes * t.active
            pinned_bytes[place] += t.n_bytes
        elif _is_movable(model, t):
            movables.append(Movable(t.index, t.block or 0, t.n_bytes, t.n_bytes * t.active))
        else:
            block = n_blocks - 1 if t.kind == "output" else t.block or 0
            home_bytes[block] += most_bytes(t)
            home_read[block] += t.n_bytes * t.active
    if model.tied_output:
        embedding = next(t for t in model.tensors if t.name == EMBEDDING)
        home_bytes[-1] += most_bytes(embedding)
        home_read[-1] += embedding.n_bytes
    return _Weights(
        home_bytes=tuple(home_bytes),
        home_read=tuple(home_read),
        movables=tuple(movables),
        pinned=tuple(pinned),
        pinned_read=tuple(pinned_read),
        pinned_bytes=tuple(pinned_bytes),
        pinned_homes=tuple(_pinned_homes(model, dict(pinned))),
    )


def build_problem(request: Request, layout: CacheLayout | None = None, *, engine: type[Engine] = Engine) -> Problem:
    """The numbers of `request`; `layout`: its caches, where they are known already; `engine`: what works out
    buffers. Raises UsageError for pins that name no device or are no regular expression."""
    model, machine = request.model, request.machine
    layout = layout or cache_layout(model, request.context)
    fixed = _weights(model, machine.devices, request.pins)
    n_blocks, pinned_read, home_bytes = len(fixed.home_bytes), [*fixed.pinned_read], [*fixed.home_bytes]
    speeds = seconds_per_byte(machine)
    attend = _attending(request, layout, speeds)
    for i, layer in enumerate(layout.layers):
        home_bytes[i] += layer.cache_bytes + layer.state_bytes if request.context.offload_kqv else 0
        pinned_read[-1] += layer.read_bytes if attend is None else 0
    caches = [(0.0,) * len(speeds)] * n_blocks if attend is None else [*attend, *[(0.0,) * len(speeds)] * n_blocks][:n_blocks]
    return Problem(
        request=request,
        layout=layout,
        compute=ComputeModel(model, request.context, machine, request.build, fa_quants=request.fa_quants, engine=engine),
        beside=beside_model(request),
        home_bytes=tuple(home_bytes),
        home_read=tuple([w + min(c[:-1] or c) for w, c in zip(fixed.home_read, caches, strict=True)]),
        home_seconds=tuple(
            [tuple([(w + c) * s for c, s in zip(by, speeds, strict=True)]) for w, by in zip(fixed.home_read, caches, strict=True)]
        ),
        one_pace=all(len(set(c)) == 1 for c in caches),
        movables=fixed.movables,
        pinned=fixed.pinned,
        pinned_read=tuple(pinned_read),
        pinned_bytes=fixed.pinned_bytes,
        pinned_homes=(None,) * n_blocks if request.weights_only else fixed.pinned_homes,
        seconds_per_byte=speeds,
    )
