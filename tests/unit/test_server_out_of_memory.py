"""What a load that ran out of memory asked for, from the words of CUDA's and llama.cpp's source."""

import pytest

from kvtui.server.log.out_of_memory import OutOfMemory, out_of_memory

MIB = 2**20
START = (
    "0.00.001.001 I llama_prepare_model_devices: using device CUDA0 (RTX 3090) (0000:01:00.0) - 23000 MiB free",
    "0.00.001.001 I llama_prepare_model_devices: using device CUDA1 (RTX 3090) (0000:02:00.0) - 10000 MiB free",
    "0.00.001.002 I load_tensors:        CUDA1 model buffer size =  9000.00 MiB",
)
REFUSED = (
    "0.00.001.004 E ggml_backend_cuda_buffer_type_alloc_buffer: allocating 1812.00 MiB on device 1: "
    "cudaMalloc failed: out of memory"
)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("0.00.001.005 E llama_model_load: error loading model: unable to allocate CUDA1 buffer", "model"),
        ("0.00.001.005 E llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv cache",
         "context"),
        ("0.00.001.005 E ggml_gallocr_reserve_n_impl: failed to allocate CUDA1 buffer of size 1900019712", "compute"),
    ],
)  # fmt: skip
def test_what_was_asked_for_which_buffer(words: str, part: str) -> None:
    found = out_of_memory([*START, REFUSED, words])
    assert found == OutOfMemory("CUDA1", part, 1812 * MIB, 1000 * MIB)  # type: ignore[arg-type]
    assert found.lacking_bytes == 812 * MIB


def test_the_next_plan_leaves_what_lacked() -> None:
    assert OutOfMemory("CUDA1", "compute", 1812 * MIB, 1000 * MIB).room_bytes == 812 * MIB
    assert OutOfMemory("CUDA1", "compute", 1812 * MIB).room_bytes == 1812 * MIB


def test_room_that_was_not_there_is_what_nobody_lists() -> None:
    """3,000 MiB were left by the log, and 1,812 were refused: 1,188 at least were somebody's."""
    found = OutOfMemory("CUDA1", "compute", 1812 * MIB, 3000 * MIB)
    assert found.lacking_bytes is None
    assert found.room_bytes == 1188 * MIB


def test_ram_and_nothing() -> None:
    words = "0.00.001.005 E ggml_backend_buft_alloc_buffer: failed to allocate CPU buffer of size 1048576"
    found = out_of_memory([*START, words])
    assert found is not None
    assert (found.device, found.asked_bytes, found.left_bytes) == ("RAM", MIB, None)
    assert out_of_memory(START) is None
