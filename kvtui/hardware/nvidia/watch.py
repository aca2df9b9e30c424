"""Looks at the driver that a driver which hangs can't hold up: one thread at a time, and a time-out."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from kvtui.hardware.nvidia.gpu import Gpu, NvmlState


class Watch:
    """Asks `read` in a thread of its own. A call into a driver can't be ended, so while one hangs no other begins:
    the GPUs last seen are answered, each with what is wrong."""

    def __init__(self, read: Callable[[], NvmlState]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._last = NvmlState((), None, None)  # of the last look that ended
        self._done: threading.Event | None = None  # of the look under way
        self._began = datetime.now()

    def look(self, timeout_seconds: float) -> NvmlState:
        """What the GPUs are now, or were when the driver last answered."""
        with self._lock:
            if self._done is None:
                self._done, self._began = threading.Event(), datetime.now()
                # A daemon: it never keeps the program from ending.
                threading.Thread(target=self._run, args=(self._done,), name="nvml", daemon=True).start()
            done, began = self._done, self._began
        if done.wait(timeout_seconds):
            return self._last
        problem = f"the NVIDIA driver does not answer since {began:%H:%M}"
        return replace(self._last, gpus=tuple(replace(g, problem=problem) for g in self._last.gpus), problem=problem)

    def _run(self, done: threading.Event) -> None:
        try:
            state = self._read()
            state = replace(state, gpus=tuple(_known(gpu, self._last) for gpu in state.gpus))
        except Exception as e:  # a broken driver library ends as a sentence, not as a thread that died unheard
            state = NvmlState((), None, f"the NVIDIA driver can't be asked: {e}")
        with self._lock:
            self._last, self._done = state, None
        done.set()


def _known(gpu: Gpu, before: NvmlState) -> Gpu:
    """A GPU that no longer says who it is (lost) is who it was: so it keeps its number."""
    if gpu.pci_id is not None:
        return gpu
    was = next((g for g in before.gpus if g.index == gpu.index and not g.is_mig), None)
    if was is None:
        return gpu
    return replace(was, free_bytes=None, used_bytes=None, utilization=None, processes=(), problem=gpu.problem)
