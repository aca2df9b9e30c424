"""What can be known before a launch: port, devices, memory that is free right now, config files, an open address."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kvtui.base.sizes import mib
from kvtui.hardware.device import Device
from kvtui.hardware.nvidia import nvml
from kvtui.hardware.ram import host_memory
from kvtui.server.binary.environment import ConfigFile, config_files
from kvtui.server.binary.inspect import ServerBinary, list_devices
from kvtui.server.process.holding import RAM, holders, ram_holders
from kvtui.server.process.leftovers import Leftover, leftovers
from kvtui.server.process.ports import PortChoice, free_port
from kvtui.server.process.record import ServerRecord
from kvtui.server.process.rpc import users_of

LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
LIST_SECONDS = 10.0  # an RPC server that serves somebody else does not answer at all
KEY_BYTES = 24


def is_open(host: str) -> bool:
    """Whether other machines can reach what listens there."""
    return host not in LOCAL_HOSTS


@dataclass(frozen=True)
class Shortage:
    """A device (or RAM) that has less free than the plan needs; `held`: (name, pid, bytes) of who holds it."""

    name: str
    needed_bytes: int
    free_bytes: int
    held: tuple[tuple[str, int, int], ...] = ()

    def __str__(self) -> str:
        who = ", ".join(f"{name} (pid {pid}) {mib(n)}" for name, pid, n in self.held)
        return f"{self.name} lacks {mib(self.needed_bytes - self.free_bytes)} right now{f': held by {who}' if who else ''}"


@dataclass(frozen=True)
class Preflight:
    """`port.taken_by`: who has the one that was wanted. `missing`: devices that this binary does not have."""

    port: PortChoice
    host: str
    missing: tuple[str, ...] = ()
    shortages: tuple[Shortage, ...] = ()
    config: tuple[ConfigFile, ...] = ()
    left: tuple[Leftover, ...] = ()  # they may hold the memory that lacks

    @property
    def is_open(self) -> bool:
        """Whether other machines can reach it."""
        return is_open(self.host)

    @property
    def questions(self) -> tuple[str, ...]:
        """What a person should agree to first, a sentence each."""
        found = [str(s) for s in (*self.shortages, *self.left)]
        if self.port.taken_by:
            found.insert(0, f"port is taken by {self.port.taken_by}; {self.port.port} is free")
        if self.is_open:
            found.append(f"{self.host} is open to the network: it gets an API key")
        return tuple(found)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth knowing: config files that llama-server reads by itself."""
        return tuple(f.problem or f"{f.path} sets {len(f.settings)} values, the plan's flags win over them" for f in self.config)


@dataclass(frozen=True)
class Needs:
    """Bytes the plan wants on each device and in RAM (without what is only mapped there)."""

    devices: tuple[Device, ...]
    device_bytes: tuple[int, ...]
    ram_bytes: int
    rpc: tuple[str, ...] = ()

    @property
    def used(self) -> tuple[tuple[Device, int], ...]:
        """Devices that hold something."""
        return tuple((d, n) for d, n in zip(self.devices, self.device_bytes, strict=True) if n)


def preflight(binary: ServerBinary, needs: Needs, port: int, host: str) -> Preflight:
    """Look at everything; seconds where a GPU driver starts or an RPC server is slow. OSError if `host` is no address
    of this machine."""
    unseen = [d for d, _ in needs.used if d.pci_id is None]
    taken = users_of(needs.rpc)
    asked = () if taken else needs.rpc  # not the others alone either: they would be numbered from 0
    listed = {d.name: d.free_bytes for d in list_devices(binary, asked, LIST_SECONDS)} if unseen else {}
    missing = [_named(d, taken) for d in unseen if d.name not in listed]
    missing += [d.name for d, _ in needs.used if d.pci_id and d.backend not in binary.backends]
    return Preflight(
        free_port(port, host),
        host,
        tuple(missing),
        shortages(needs, nvml.poll().gpus, listed, host_memory().free_bytes),
        config_files(),
        leftovers(),
    )


def _named(device: Device, taken: Mapping[str, ServerRecord]) -> str:
    record = taken.get(device.endpoint or "")
    return device.name if record is None else f"{device.name} (llama-server, pid {record.pid}, has it)"


def shortages(needs: Needs, gpus: Sequence[nvml.Gpu], listed: Mapping[str, int], ram_free_bytes: int) -> tuple[Shortage, ...]:
    """Devices and RAM with too little free; what nobody can tell is not one."""
    free = dict(listed)
    for device, _ in needs.used:
        gpu = next((g for g in gpus if device.pci_id and g.pci_id == device.pci_id), None)
        if gpu is not None and gpu.free_bytes is not None:
            free[device.name] = gpu.free_bytes
    found = [
        Shortage(device.name, n_bytes, free[device.name], holders(device, gpus))
        for device, n_bytes in needs.used
        if device.name in free and n_bytes > free[device.name]
    ]
    if needs.ram_bytes > ram_free_bytes:
        found.append(Shortage(RAM, needs.ram_bytes, ram_free_bytes, ram_holders()))
    return tuple(found)


def new_key() -> str:
    """An API key for a server that others can reach."""
    return secrets.token_urlsafe(KEY_BYTES)
