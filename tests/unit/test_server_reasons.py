"""Why a server ended: last words of real servers (and of CUDA's source) and what they mean."""

import pytest

from kvtui.server.log.follow import parse_line
from kvtui.server.log.reasons import explain, telling


def why(*lines: str, code: int | None = 1) -> str | None:
    return explain([parse_line(line.encode()) for line in lines], code)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            "0.00.002.136 E srv         start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 50061",
            "port 50061 of 127.0.0.1 is in use",
        ),
        ("error: invalid argument: --bogus", "this build does not know the argument --bogus"),
        (
            'error while handling argument "-ctk": Unsupported cache type: q9_9',
            "the argument -ctk was refused: Unsupported cache type: q9_9",
        ),
        (
            "0.00.004.454 E gguf_init_from_file: failed to open GGUF file '/x/y.gguf' (No such file or directory)",
            "the model file cannot be opened: /x/y.gguf (No such file or directory)",
        ),
        (
            "0.00.003.631 E gguf_init_from_reader: invalid magic characters: 'root', expected 'GGUF'",
            "the model file is no GGUF file",
        ),
        (
            "0.00.041.055 E llama_model_load: error loading model: tensor 'token_embd.weight' data is not within the "
            "file bounds, model is corrupted or incomplete",
            "the model file is incomplete: tensors lie beyond its end",
        ),
        (
            "0.00.457.393 E llama_init_from_model: quantized V cache requires flash_attn to be enabled",
            "a quantized V cache needs flash attention, which is off or does not run here",
        ),
        (
            "0.58.654.550 E llama_init_from_model: failed to initialize the context: std::bad_alloc",
            "RAM is out of memory",
        ),
        ("/x/ggml-rpc.cpp:547: Failed to connect to 127.0.0.1:9", "no RPC server answers at 127.0.0.1:9"),
        (
            "0.00.001.001 E llama_model_load: error loading model: unknown model architecture: 'nonesuch'",
            "this build does not know the architecture nonesuch",
        ),
        (
            "llama-server: error while loading shared libraries: libllama.so: cannot open shared object file",
            "the shared library libllama.so is missing",
        ),
        (
            "0.00.001.001 E ggml_backend_cuda_buffer_type_alloc_buffer: allocating 312.00 MiB on device 1: "
            "cudaMalloc failed: out of memory",
            "CUDA1 is out of memory: no room for 312 MiB",
        ),
        ("  current device: 0, in function alloc at ggml-cuda.cu:453", "CUDA0 ran out of memory while it was working"),
    ],
)
def test_known_failures(line: str, reason: str) -> None:
    assert why("0.00.001.000 I srv  llama_server: initializing ...", line) == reason


def test_out_of_memory_tells_how_much_is_lacking() -> None:
    """10,000 MiB free, 9,000 + 500 taken by the log's own lines: 812 MiB asked are 312 too much."""
    said = why(
        "0.00.001.001 I llama_prepare_model_devices: using device CUDA1 (RTX 3090) (0000:02:00.0) - 10000 MiB free",
        "0.00.001.002 I load_tensors:        CUDA1 model buffer size =  9000.00 MiB",
        "0.00.001.003 I llama_kv_cache:      CUDA1 KV buffer size =   500.00 MiB",
        "0.00.001.004 E ggml_backend_cuda_buffer_type_alloc_buffer: allocating 812.00 MiB on device 1: "
        "cudaMalloc failed: out of memory",
        "0.00.001.005 E ggml_gallocr_reserve_n_impl: failed to allocate CUDA1 buffer of size 851443712",
    )
    assert said == "CUDA1 is out of memory: no room for 812 MiB, about 312 MiB too much"


def test_signals() -> None:
    assert why("0.00.001.001 I fine", code=-9) == "killed from outside (SIGKILL), as the kernel does when RAM runs out"
    assert why("0.00.001.001 I fine", code=-11) == "ended by SIGSEGV"
    assert (
        why("0.00.001.001 I fine", code=-4) == "this build of llama-server uses instructions that this processor lacks (SIGILL)"
    )


def test_nothing_known_is_said_to_be_nothing() -> None:
    assert why("0.00.001.001 I fine", code=3) is None


def test_telling_lines_are_the_last_errors_or_else_the_last_lines() -> None:
    lines = [parse_line(f"0.00.001.001 {'E' if i % 3 == 0 else 'I'} {i}".encode()) for i in range(30)]
    assert [line.text[-2:] for line in telling(lines, 2)] == ["24", "27"]
    assert [line.text[-2:] for line in telling([x for x in lines if x.level == "info"], 2)] == ["28", "29"]
