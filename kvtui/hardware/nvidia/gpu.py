"""The plain values that a look at NVIDIA's GPUs gives."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GpuProcess:
    """A process that holds GPU memory; `used_bytes` is None where the driver does not tell."""

    pid: int
    name: str
    used_bytes: int | None


@dataclass(frozen=True)
class Gpu:
    """One poll of one GPU or MIG instance; None for what it does not report."""

    index: int  # NVML's; of a MIG instance its GPU's
    name: str
    uuid: str | None = None
    pci_id: str | None = None  # of a MIG instance its GPU's and its own UUID, so that no two are alike
    total_bytes: int | None = None
    free_bytes: int | None = None
    used_bytes: int | None = None
    utilization: int | None = None  # percent
    bandwidth: float | None = None  # bytes a second, from memory clock and bus width
    link: float | None = None  # bytes a second, from PCIe generation and width
    temperature: int | None = None  # Celsius
    power: float | None = None  # Watt
    processes: tuple[GpuProcess, ...] = ()
    compute_capability: int | None = None  # 86 for 8.6
    problem: str | None = None  # why it can't be used, or why its figures are old
    note: str | None = None  # what a person should know of one that can: a vGPU, hidden processes
    is_mig: bool = False  # an instance
    display: bool = False  # a desktop is drawn on it


@dataclass(frozen=True)
class NvmlState:
    """All GPUs of one poll. `problem`: why there are none, or why they are old, in plain words."""

    gpus: tuple[Gpu, ...]
    driver: str | None
    problem: str | None
