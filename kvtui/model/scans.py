"""Which recurrent operations CUDA has kernels for (ggml-cuda.cu, ggml_backend_cuda_device_supports_op): a weight that only
such an operation reads stays in RAM where there is none (src/llama-model-loader.cpp, weight_buft_supported)."""

import re
from collections.abc import Sequence

from kvtui.model.keys import Keys

_STATES = (96, 128, 256)  # ssm-scan.cu: values of a head's state, with one decay a head (Mamba 2)
_HEADS = 16  # a head's values are a multiple
_STATE_OLD = 16  # the same with a decay a value (Mamba 1), whose heads are values
_CHANNELS = 128  # ssm-conv.cu: channels of a block of threads; Mamba 1's heads too

# src/llama-arch.cpp, LLM_TENSOR_INFOS: GGML_OP_SSM_CONV
_CONV = re.compile(r"\.(ssm_conv1d|shortconv\.conv|ple_conv1d)\.weight$")
# models whose ssm_a is LLM_TENSOR_SSM_A, read by GGML_OP_SSM_SCAN; the others' is LLM_TENSOR_SSM_A_NOSCAN
_SCANNING = frozenset(("mamba", "mamba2", "jamba", "falcon-h1", "granitehybrid", "nemotron_h", "nemotron_h_moe", "plamo2"))


def scan_on_cuda(d_state: int, head: int, n_head: int, n_group: int, *, decay_a_head: bool) -> bool:
    """GGML_OP_SSM_SCAN. `head`: values of one."""
    if decay_a_head:
        return d_state in _STATES and head % _HEADS == 0
    return (d_state, head, n_group) == (_STATE_OLD, 1, 1) and n_head % _CHANNELS == 0


def conv_on_cuda(channels: int) -> bool:
    """GGML_OP_SSM_CONV."""
    return channels % _CHANNELS == 0


def read_on_cuda(keys: Keys, name: str, dims: Sequence[int]) -> bool:
    """Whether CUDA has a kernel for what reads this weight, asked as the loader asks: with shapes made from the weight's own."""
    rows = dims[1] if len(dims) > 1 else 1
    if _CONV.search(name):
        return conv_on_cuda(rows)
    if name.endswith(".ssm_a") and keys.architecture in _SCANNING and dims and rows:
        d_state = keys.number("ssm.state_size", 0) if dims[0] == 1 else dims[0]
        head = keys.number("ssm.inner_size", 0) // rows
        n_group = keys.number("ssm.group_count", 0) or 1
        return scan_on_cuda(d_state, head, rows, n_group, decay_a_head=dims[0] == 1)
    return True
