"""What a plan is asked for: one frozen value, so that a change of a key is a new one."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from kvtui.base.build import DEFAULT_BUILD, Build
from kvtui.base.findings import Finding
from kvtui.flags.context import ContextParams
from kvtui.hardware.device import DEFAULT_MARGIN_BYTES, Machine
from kvtui.memory.beside.files import Beside
from kvtui.memory.corrections import NOTHING, Learned
from kvtui.memory.fits import capacities
from kvtui.model.spec import ModelSpec

if TYPE_CHECKING:
    from kvtui.cache.measured_here import MeasuredHere


@dataclass(frozen=True)
class Pin:
    """Tensors whose name the pattern matches stay on `device`, a device's name or CPU."""

    pattern: str
    device: str


@dataclass(frozen=True)
class Request:
    """Everything that decides a plan. `margins`: bytes to leave free, one a device; empty: the default for all."""

    model: ModelSpec = field(repr=False)
    context: ContextParams
    machine: Machine
    margins: tuple[int, ...] = ()
    ram_margin_bytes: int = 0  # to leave free in RAM
    pins: tuple[Pin, ...] = ()
    weights_only: bool = False  # pins leave K/V where llama-server's order of blocks puts it
    blocks_on_devices: bool = False  # no block, and so no K/V, lives in RAM: only tensors that may move do
    excluded: tuple[str, ...] = ()  # devices not to use
    preferred: str | None = None  # the device to fill alone where everything fits there, and to open first elsewhere
    order: tuple[int, ...] = ()  # devices to open, in this order; (): all, as the machine lists them
    no_ram: bool = False  # nothing but embeddings in RAM
    flash_open: bool = False  # nobody asked for flash attention on or off: what is said of it is the planner's own
    ubatch_open: bool = False  # nobody asked for batches: larger ones are taken where that makes prompts faster
    load_mode: str | None = None
    beside: Beside = field(default_factory=Beside)  # a projector, a draft model
    build: Build = DEFAULT_BUILD
    server: str = ""  # identity of the llama-server that will run it; "": none is known yet
    fa_quants: tuple[str, ...] | None = None  # K/V pairs of the binary, as it says them; None: the default set
    learned: Learned = NOTHING  # from servers that ran here
    notes: tuple[Finding, ...] = ()  # how it came to be what it is: findings of its plan
    measured: tuple["MeasuredHere", ...] = ()  # what pairs cost on this model, measured here

    @cached_property
    def margin_bytes(self) -> tuple[int, ...]:
        """One margin a device."""
        count = len(self.machine.devices)
        if len(self.margins) == count:
            return self.margins
        return (self.margins[0] if self.margins else DEFAULT_MARGIN_BYTES,) * count

    @property
    def ram_capacity(self) -> int:
        """Bytes RAM may hold: free minus margin."""
        return max(self.machine.ram.free_bytes - self.ram_margin_bytes, 0)

    @cached_property
    def opened(self) -> tuple[int, ...] | None:
        """The devices llama-server is to open, in order; None: all, as they are listed. One that is excluded, or may hold
        nothing, would still take the back end's own memory, copies of inputs and staged experts."""
        everyone = tuple(range(len(self.capacities)))
        found = tuple(i for i in self.order or everyone if self.capacities[i])
        return found if found != everyone else None

    @cached_property
    def capacities(self) -> tuple[int, ...]:
        """Bytes each device may hold: free minus margin, nothing on one that is excluded or not opened."""
        found = capacities(self.machine, self.margin_bytes, self.excluded)
        return tuple([c if not self.order or i in self.order else 0 for i, c in enumerate(found)])
