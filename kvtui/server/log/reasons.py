"""Why a server ended, in plain words, from the lines it left behind."""

import re
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kvtui.server.log.breakdown import LoggedMemory, device_of_buffer, genuine, logged_memory
from kvtui.server.log.lines import LogLine
from kvtui.server.log.own import FAILED, MIB, of_failed_load, of_serving

TELLING_LINES = 6
LAST_LINES = 200  # of a server that serves: what ends it says so, and a backtrace, last of all
RPC_WENT_AWAY = "an RPC server went away"  # the log does not say which


@dataclass(frozen=True)
class Failure:
    """A known message (`pattern`, its source beside it) and what it means. `late`: it may come after the load too."""

    pattern: re.Pattern[str]
    meaning: Callable[[re.Match[str], LoggedMemory], str]
    late: bool = False


def _known(pattern: str, meaning: str | Callable[[re.Match[str], LoggedMemory], str], *, late: bool = False) -> Failure:
    if isinstance(meaning, str):
        return Failure(re.compile(pattern), lambda found, _: found.expand(meaning), late)
    return Failure(re.compile(pattern), meaning, late)


def _lacking(device: str, asked_mib: float, memory: LoggedMemory) -> str:
    """How much too little: what was asked, less what was free at the start and not yet taken by the log's own lines."""
    said = f"{device} is out of memory: no room for {asked_mib:,.0f} MiB"
    if device in memory.free_bytes:
        left = (memory.free_bytes[device] - memory.devices[device].total) / 2**20
        if 0 <= left < asked_mib:
            return f"{said}, about {asked_mib - left:,.0f} MiB too much"
    return said


def _cuda(found: re.Match[str], memory: LoggedMemory) -> str:
    return _lacking(f"CUDA{found[2]}", float(found[1]), memory)


def _buffer(found: re.Match[str], memory: LoggedMemory) -> str:
    return _lacking(_place(found[1], memory), int(found[2]) / 2**20, memory)


def _place(buffer: str, memory: LoggedMemory) -> str:
    """RAM, or the device (of RPC devices the endpoint is in the buffer's own name)."""
    return "RAM" if device_of_buffer(buffer, {}) is None else device_of_buffer(buffer, memory.endpoints) or buffer


def _no_buffer(found: re.Match[str], memory: LoggedMemory) -> str:
    return f"{_place(found[1], memory)} is out of memory"


_SAID = FAILED + r"(?:\w+: )*"
_LOADING = FAILED + r"(?:\w+: )+(?:error loading model: (?:error loading model \w+: )?|failed to initialize the context: )?"
_ABORTED = FAILED + r"(?:\S+:\d+: )?"  # ggml.c, ggml_abort: file and line

# In order of how much they tell: the first that any line matches is the reason.
FAILURES = (
    # ggml-cuda.cu, ggml_backend_cuda_buffer_type_alloc_buffer
    _known(_SAID + r"allocating (" + MIB + r") MiB on device ([0-9]{1,3}): cudaMalloc failed: out of memory", _cuda, late=True),
    # ggml-alloc.c, ggml_gallocr_reserve_n; ggml-backend.cpp, ggml_backend_buft_alloc_buffer
    _known(_SAID + r"failed to allocate (\S+) buffer of size ([0-9]{1,18})(?![\d.])", _buffer, late=True),
    # llama-model.cpp, llama_model_base::load_tensors
    _known(_LOADING + r"unable to allocate (\S+) buffer", _no_buffer),
    # ggml-cuda.cu, ggml_cuda_error: the pool grows while it works
    _known(
        FAILED + r"\s*current device: (\d+), in function alloc\b", r"CUDA\1 ran out of memory while it was working", late=True
    ),
    _known(FAILED + r"(?:CUDA|ROCm) error: out of memory", "a GPU ran out of memory while it was working", late=True),
    # ggml-vulkan-buffers.cpp, ggml_vk_create_buffer
    _known(_SAID + r"Device memory allocation of size (\d+) failed", "a Vulkan device is out of memory", late=True),
    # an exception that nobody caught, by the C++ runtime, or one that llama.cpp tells
    _known(FAILED + r"\s*(?:terminate called after .*|what\(\):\s+)std::bad_alloc", "RAM is out of memory", late=True),
    _known(_LOADING + r"std::bad_alloc$", "RAM is out of memory"),
    # server-http.cpp, server_http_context::start
    _known(_SAID + r"couldn't bind HTTP server socket, hostname: (.*), port: (\d+)$", r"port \2 of \1 is in use"),
    # llama-context.cpp, llama_init_from_model and the constructor
    _known(
        _LOADING + r"quantized V cache (?:was requested, but this requires Flash Attention|requires flash_attn)",
        "a quantized V cache needs flash attention, which is off or does not run here",
    ),
    _known(
        _SAID + r"model does not support different K \((\S+)\) and V \((\S+)\) cache types",
        r"this model needs one type for K and V: \1 and \2 were asked",
    ),
    _known(
        _SAID + r"([KV]) cache type (\S+) with block size (\d+) does not divide n_embd_head_[kv]=(\d+)",
        r"the \1 cache cannot be \2: its blocks of \3 do not divide the heads' \4 values",
    ),
    # common/arg.cpp, common_params_parse_ex
    _known(FAILED + r"error: invalid argument: (\S+)", r"this build does not know the argument \1"),
    _known(FAILED + r'error while handling argument "([^"]+)": (.+)', r"the argument \1 was refused: \2"),
    # gguf.cpp, llama-model-loader.h, llama-model.cpp
    _known(_SAID + r"failed to open GGUF file '(.*)' \((.+)\)$", r"the model file cannot be opened: \1 (\2)"),
    _known(_SAID + r"invalid magic characters", "the model file is no GGUF file"),
    _known(
        _LOADING + r"tensor '.*' data is not within the file bounds", "the model file is incomplete: tensors lie beyond its end"
    ),
    _known(_LOADING + r"unknown model architecture: '(.*)'", r"this build does not know the architecture \1"),
    # ggml-rpc.cpp
    _known(_ABORTED + r"Failed to connect to (\S+)", r"no RPC server answers at \1", late=True),
    _known(_ABORTED + r"Remote RPC server crashed", RPC_WENT_AWAY, late=True),
    _known(r"^\S+: error while loading shared libraries: ([^:]+)", r"the shared library \1 is missing"),
    _known(FAILED + r"(?:\w+: )+error loading model: (.+)", r"the model cannot be loaded: \1"),
    _known(FAILED + r"(?:\w+: )+failed to initialize the context: (.+)", r"the context cannot be created: \1"),
)


def explain(lines: Sequence[LogLine], exit_code: int | None = None) -> str | None:
    """One sentence, or `None` where nothing known was said. `exit_code` below 0 is a signal, as in subprocess."""
    own = genuine([line.text for line in lines])[0]
    load, last = of_failed_load(own), of_serving(own)[-LAST_LINES:]
    memory: LoggedMemory | None = None
    for failure in FAILURES:
        for text in (*load, *last) if failure.late else load:
            if found := failure.pattern.search(text):
                memory = memory or logged_memory([line.text for line in lines])
                return failure.meaning(found, memory)
    if exit_code is not None and exit_code < 0:
        number = -exit_code
        if number == signal.SIGKILL:
            return "killed from outside (SIGKILL), as the kernel does when RAM runs out"
        if number == signal.SIGILL:
            return "this build of llama-server uses instructions that this processor lacks (SIGILL)"
        return f"ended by {_signal_name(number)}"
    return None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def telling(lines: Sequence[LogLine], most: int = TELLING_LINES) -> tuple[LogLine, ...]:
    """The last errors, or the last lines where there is none."""
    errors = [line for line in lines if line.level == "error"]
    return tuple((errors or list(lines))[-most:])
