"""A projector (--mmproj): its weights and the compute buffers of the largest image that llama-server reserves for, on the
device that gets them (tools/mtmd/clip.cpp, clip_ctx and warmup)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import isqrt

from kvtui.base.findings import Finding, UsageError
from kvtui.cache.kernels import Card, choose
from kvtui.flags.beside import BesideFlags
from kvtui.hardware.device import CPU, Machine
from kvtui.memory.assignment import Assignment
from kvtui.memory.beside import encoders
from kvtui.memory.beside.part import Part, parts
from kvtui.memory.beside.vit import Sizes, Vit
from kvtui.memory.compute.alloc import allocate
from kvtui.memory.compute.engine import DEVICE_ALIGNMENT, HOST_ALIGNMENT
from kvtui.memory.compute.graph import Graph, freeze
from kvtui.memory.compute.rules import RULES
from kvtui.memory.compute.sched import Backends, schedule
from kvtui.model.projector import Projector

UNKNOWN_COMPUTE = "projector-compute"
NO_TOKENS = "projector-tokens"


@dataclass(frozen=True)
class Kind:
    """A projector type. `tokens`: of the image that it warms up with, a square number; 0: the file's own image size. `merge`:
    patches a side of a token, and the key that says otherwise. `limits`: fewest and most tokens of an image."""

    graph: Callable[[Vit], None]
    tokens: int = 0
    merge: int = 1
    merge_key: str = "vision.projector.scale_factor"
    limits: tuple[int, int] | None = None


_SPATIAL = "vision.spatial_merge_size"
KINDS = {
    "qwen2vl_merger": Kind(encoders.qwen2vl, 46 * 46, 2, _SPATIAL, (8, 4096)),
    "qwen2.5vl_merger": Kind(encoders.qwen2vl, 46 * 46, 2, _SPATIAL, (8, 4096)),
    "qwen3vl_merger": Kind(encoders.qwen3vl, 46 * 46, 2, _SPATIAL, (8, 4096)),
    "gemma3": Kind(encoders.gemma3, 0, 4),
    "gemma4v": Kind(encoders.gemma4, 256, 3, limits=(70, 1120)),
    "pixtral": Kind(encoders.pixtral, 256, 1, _SPATIAL, (8, 1024)),
    "internvl": Kind(encoders.internvl),
}


@dataclass(frozen=True)
class ProjectorMemory:
    """Built once, asked for many placements of the model."""

    file: Projector
    machine: Machine
    flags: BesideFlags
    flash: bool = True  # -fa: auto and on
    fa_quants: tuple[str, ...] | None = None

    def device(self, model: Assignment) -> int:
        """Where it is beside a `model` placed so: the device it was given, the first of -dev, or the first GPU; RPC servers'
        devices are registered behind this machine's own. Raises UsageError."""
        named, devices = self.flags.mmproj_name, self.machine.devices
        if named == "none":
            return CPU
        if named is not None:
            found = next((i for i, d in enumerate(devices) if d.name == named), None)
            if found is None:
                raise UsageError(f"-mmdev {named}: no such device; there are {', '.join(d.name for d in devices) or 'none'}")
            return found
        if model.named is not None:
            return model.named[0] if model.named else CPU
        own = [i for i, d in enumerate(devices) if d.backend != "RPC"]
        return next(iter(own or range(len(devices))), CPU)

    @cached_property
    def weights_bytes(self) -> int:
        """Of all tensors."""
        return sum(t.n_bytes for t in self.file.header.tensors)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What of it is not known here, and what llama-server would refuse."""
        found = [f for f in (self._refusal(KINDS[e.kind]) for e in self.file.encoders if e.kind in KINDS) if f is not None]
        unknown = [e for e in self.file.encoders if e.modality != "vision" or e.kind not in KINDS]
        if unknown:
            names = " and ".join(f"{e.kind} ({e.modality})" for e in unknown)
            text = f"{self.file.name}: the compute buffers of {names} are not known here; its weights are in the figures"
            found.append(Finding(UNKNOWN_COMPUTE, "warning", text))
        return tuple(found)

    def _refusal(self, kind: Kind) -> Finding | None:
        """clip.cpp, load_hparams: image_max_pixels is less than image_min_pixels."""
        if kind.limits is None:
            return None
        asked = (self.flags.image_min_tokens, self.flags.image_max_tokens)
        fewest, most = (given or own for given, own in zip(asked, kind.limits, strict=True))
        text = f"{self.file.name}: an image has {fewest} tokens at least and {most} at most: raise --image-max-tokens"
        return Finding(NO_TOKENS, "error", text) if most < fewest else None

    @cached_property
    def _known(self) -> dict[int, tuple[int, int]]:
        return {}

    def compute(self, device: int) -> tuple[int, int]:
        """Bytes of the compute buffers on the device and in RAM; 0 for what is not known."""
        if device not in self._known:
            backend = None if device == CPU else self.machine.devices[device]
            card = None if backend is None else Card(backend.backend or "unknown", backend.compute_capability, self.fa_quants)
            taken = [
                reserve(self.file, e.kind, card, self.flash, self.flags.image_max_tokens)
                for e in self.file.encoders
                if e.modality == "vision"
            ]
            self._known[device] = (sum(x[0] for x in taken), sum(x[1] for x in taken))
        return self._known[device]

    def parts(self, model: Assignment) -> tuple[Part, ...]:
        """What it takes beside a `model` placed so."""
        home, count = self.device(model), len(self.machine.devices) + 1
        weights, compute = [0] * count, [0] * count
        weights[home] = self.weights_bytes
        compute[home], host = self.compute(home)
        compute[CPU] += host
        return parts("projector", weights, compute=compute)


@lru_cache(maxsize=16)
def reserve(file: Projector, kind: str, card: Card | None, flash: bool, most: int = 0) -> tuple[int, int]:
    """Compute bytes on a card and in RAM, in RAM alone where `card` is None (then they are the first). `most`: tokens of an
    image, where they were limited."""
    known = KINDS.get(kind)
    if known is None:
        return 0, 0
    sizes = _sizes(file, known, most)
    g = _graph(file, known, sizes, flash)
    if flash and card is not None and any(choose(card, a.attention, a.batch).kernel == "none" for a in g.attention.values()):
        g = _graph(file, known, sizes, False)
    n = 1 if card is None else 2
    gpus = frozenset((0,)) if card is not None and card.backend in RULES and RULES[card.backend].fuses else frozenset()
    homes = [-1] * len(g.nodes)
    for i, _, _ in g.homes:
        homes[i] = 0
    refuses = tuple([g.left_to_cpu if backend in gpus else frozenset[int]() for backend in range(n)])
    ends = Backends(n=n, copies=1, offloads=gpus, fuses=gpus, refuses=refuses)
    alignments = [HOST_ALIGNMENT] if card is None else [DEVICE_ALIGNMENT, HOST_ALIGNMENT]
    peaks = allocate(schedule(g, homes, (), ends, {}).plan, alignments)
    return peaks[0].n_bytes, peaks[1].n_bytes if n > 1 else 0


def _sizes(file: Projector, kind: Kind, most: int) -> Sizes:
    patch, merge = int(file.number("vision.patch_size")), int(file.number(kind.merge_key, kind.merge))
    if not kind.tokens:
        return Sizes(int(file.number("vision.image_size")), patch, merge)
    tokens = min(kind.tokens, most) if most else kind.tokens  # clip-model.h, set_warmup_n_tokens
    return Sizes(isqrt(tokens) * patch * merge, patch, merge)


def _graph(file: Projector, kind: Kind, sizes: Sizes, flash: bool) -> Graph:
    g = Vit(file, sizes, flash)
    kind.graph(g)
    return freeze(g)
