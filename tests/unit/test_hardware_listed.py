"""What `llama-server --list-devices` prints, read into devices."""

from kvtui.hardware.listed import parse_list_devices

_OUTPUT = """ggml_cuda_init: found 1 CUDA devices:
Available devices:
  CUDA0: NVIDIA GeForce RTX 3090 (24124 MiB, 23800 MiB free)
  Vulkan0: llvmpipe (LLVM 15.0.6, 256 bits) (7950 MiB, 7950 MiB free)
  RPC0: 127.0.0.1:50061 (100 MiB, 24105 MiB free)
"""


def test_each_line_is_a_device_in_order() -> None:
    cuda, vulkan, rpc = parse_list_devices(_OUTPUT)
    assert (cuda.name, cuda.total_bytes, cuda.free_bytes) == ("CUDA0", 24124 * 2**20, 23800 * 2**20)
    assert (vulkan.backend, vulkan.description) == ("Vulkan", "llvmpipe (LLVM 15.0.6, 256 bits)")
    assert (rpc.total_bytes, rpc.free_bytes) == (100 * 2**20, 24105 * 2**20)  # as printed: free may exceed total


def test_no_device_and_noise() -> None:
    assert parse_list_devices("Available devices:\n  (none)\nCUDA0: x (1 MiB)\n") == ()


def test_a_description_cannot_steer_the_terminal() -> None:
    (device,) = parse_list_devices("  CUDA0: evil\x1b[2Jname (2 MiB, 1 MiB free)\n")
    assert "\x1b" not in device.description
