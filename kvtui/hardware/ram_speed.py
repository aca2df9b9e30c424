"""How fast this machine's RAM is read, measured: every CPU that the program may use reads its own part of a buffer."""

import contextlib
import mmap
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kvtui.hardware.ram import host_memory
from kvtui.hardware.root import ROOT

if TYPE_CHECKING:
    import numpy as np

MEASURED_HERE = "measured here"  # the source of such a figure
SECONDS = 1.0  # for all of it: what a person waits
_FILLING = 0.65  # of it, at most, for taking memory: a virtual machine hands out pages slowly
_MOST_BYTES = 1 << 30
_OF_FREE = 8  # at most one part in so many of the RAM that is free
_OF_CACHES = 2  # times the last caches of all CPUs: below it the caches would be measured
_CHUNK_BYTES = 8 << 20
_MOST_THREADS = 64
# Private memory can have huge pages, which come an order of magnitude sooner; Windows knows no such flags
_PRIVATE: Any = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if sys.platform != "win32" else {}


def last_caches_bytes(root: Path = ROOT) -> int:
    """Last-level caches of all CPUs together, each counted once; 0 where the kernel does not say."""
    found: dict[str, int] = {}
    for index in sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/cache/index3")):
        try:
            size, shared = (index / "size").read_text().strip(), (index / "shared_cpu_list").read_text().strip()
        except OSError:
            continue
        if size.endswith("K") and size[:-1].isdigit():
            found[shared] = int(size[:-1]) << 10
    return sum(found.values())


def usable_cpus() -> int:
    """CPUs that this program may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_bandwidth(seconds: float = SECONDS) -> float | None:
    """Bytes a second of the fastest pass within `seconds`; None where too little could be read to tell RAM from caches."""
    end = time.perf_counter() + seconds
    wanted = min(_MOST_BYTES, host_memory().free_bytes // _OF_FREE)
    threads = max(min(usable_cpus(), _MOST_THREADS, wanted // _CHUNK_BYTES), 1)
    with ThreadPoolExecutor(threads) as pool:
        parts = [*pool.map(lambda _: _filled(wanted // threads, end - seconds * (1 - _FILLING)), range(threads))]
        n_bytes = sum(part.nbytes for part in parts)
        if not n_bytes or n_bytes < _OF_CACHES * last_caches_bytes():
            return None
        passes: list[float] = []
        while (began := time.perf_counter()) + min(passes, default=0.0) < end:
            list(pool.map(lambda part: part.max(), parts))  # numpy's quickest way over memory, without the interpreter's lock
            passes.append(time.perf_counter() - began)
    return n_bytes / min(passes) if passes else None


def _filled(n_bytes: int, until: float) -> "np.ndarray":
    """Memory of that size, written to so that it is there; less where time runs out."""
    import numpy as np

    memory = mmap.mmap(-1, max(n_bytes, mmap.PAGESIZE), **_PRIVATE)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without them
            memory.madvise(mmap.MADV_HUGEPAGE)
    numbers = np.frombuffer(memory, np.float32)
    step = _CHUNK_BYTES // numbers.itemsize
    done = 0
    while done < len(numbers) and (not done or time.perf_counter() < until):
        numbers[done : done + step] = 1
        done += step
    return numbers[:done]
