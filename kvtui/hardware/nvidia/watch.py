"""What a look at NVIDIA's GPUs means beside the one before."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from kvtui.hardware.nvidia.gpu import Gpu, NvmlState

NOTHING = NvmlState((), None, None)


def after(before: NvmlState, read: Callable[[], NvmlState]) -> NvmlState:
    """What `read` says now; a broken driver library is a sentence."""
    try:
        state = read()
        return replace(state, gpus=tuple(_known(gpu, before) for gpu in state.gpus))
    except Exception as e:
        return NvmlState((), None, f"the NVIDIA driver can't be asked: {e}")


def unanswered(last: NvmlState, since: datetime) -> NvmlState:
    """The GPUs last seen, each with what is wrong."""
    problem = f"the NVIDIA driver does not answer since {since:%H:%M}"
    return replace(last, gpus=tuple(replace(g, problem=problem) for g in last.gpus), problem=problem)


def _known(gpu: Gpu, before: NvmlState) -> Gpu:
    """A GPU that no longer says who it is (lost) is who it was: so it keeps its number."""
    if gpu.pci_id is not None:
        return gpu
    was = next((g for g in before.gpus if g.index == gpu.index and not g.is_mig), None)
    if was is None:
        return gpu
    return replace(was, free_bytes=None, used_bytes=None, utilization=None, processes=(), problem=gpu.problem)
