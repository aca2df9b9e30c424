"""A load that ran out of memory: where, for what, and how much was asked, as a value that the next plan can use."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from kvtui.server.log.breakdown import LoggedMemory, device_of_buffer, genuine, logged_memory
from kvtui.server.log.own import FAILED, of_failed_load
from kvtui.server.log.own import MIB as _MIB

Part = Literal["model", "context", "compute"]
RAM = "RAM"
MIB = 2**20

# ggml-cuda.cu, ggml_backend_cuda_buffer_type_alloc_buffer; HIP builds say the same
_CUDA = re.compile(FAILED + r"\w+: allocating (" + _MIB + r") MiB on device ([0-9]{1,3}): cudaMalloc failed: out of memory")
# ggml-alloc.c, ggml_gallocr_reserve_n; ggml-backend.cpp, ggml_backend_buft_alloc_buffer
_BUFFER = re.compile(FAILED + r"\w+: failed to allocate (\S+) buffer of size ([0-9]{1,18})(?![\d.])")
# What was under way, by what the caller says of it. src/llama-model.cpp, load_tensors; llama-kv-cache*.cpp and
# llama-memory-recurrent.cpp, their constructors; ggml-alloc.c; llama-context.cpp, sched_reserve
_SAID = FAILED + r"(?:\w+: )+(?:error loading model: |failed to initialize the context: )?"
_PARTS: tuple[tuple[re.Pattern[str], Part], ...] = (
    (re.compile(_SAID + r"unable to allocate \S+ buffer"), "model"),
    (re.compile(_SAID + r"failed to allocate buffer for (?:kv cache|rs cache|DSV4)"), "context"),
    (re.compile(FAILED + r"ggml_gallocr_reserve_n|" + _SAID + r"failed to allocate compute"), "compute"),
)


@dataclass(frozen=True)
class OutOfMemory:
    """`asked_bytes`: the one buffer that was refused. `left_bytes`: what was free at the start and not yet taken by
    the log's own lines, where the log tells it."""

    device: str  # CUDA0, RPC1, RAM
    part: Part
    asked_bytes: int
    left_bytes: int | None = None

    @property
    def lacking_bytes(self) -> int | None:
        """How much too little there was; `None` where the log does not tell, or there should have been room."""
        if self.left_bytes is None or self.left_bytes >= self.asked_bytes:
            return None
        return self.asked_bytes - self.left_bytes

    @property
    def room_bytes(self) -> int:
        """What the next plan has to leave free there beyond what this one did: what lacked; where there should have been
        room, what nobody lists (at least so much was somebody's); all that was asked where the log tells neither."""
        return self.asked_bytes if self.left_bytes is None else abs(self.asked_bytes - self.left_bytes)


def out_of_memory(lines: Sequence[str]) -> OutOfMemory | None:
    """From the log of a load; `None` where nothing, or nothing with a size, was refused. The last refusal counts: a
    build may try a smaller one, or other memory, first."""
    memory: LoggedMemory | None = None
    asked: tuple[str, int] | None = None
    part: Part | None = None
    own = of_failed_load(genuine(lines)[0])
    for line in own:
        if found := _CUDA.search(line):
            asked, part = (f"CUDA{found[2]}", round(float(found[1]) * MIB)), None
        elif found := _BUFFER.search(line):
            memory = memory or logged_memory(own)
            host = device_of_buffer(found[1], {}) is None
            asked = (RAM if host else device_of_buffer(found[1], memory.endpoints) or found[1], int(found[2]))
        part = next((p for pattern, p in _PARTS if asked and pattern.search(line)), part)
    if asked is None:
        return None
    memory = memory or logged_memory(own)
    device, asked_bytes = asked
    left = memory.free_bytes[device] - memory.devices[device].total if device in memory.free_bytes else None
    return OutOfMemory(device, part or "model", asked_bytes, left)
