"""Operations that the CUDA back end leaves to the CPU (ggml-cuda.cu, ggml_backend_cuda_device_supports_op): what a graph
here can hold of them. Attention is asked for by kernel, elsewhere."""

from kvtui.memory.compute.tape import Node
from kvtui.model.scans import conv_on_cuda, scan_on_cuda

INDEXED_VALUES, INDEXED_HEADS = 128, (64, 32, 4)  # lightning-indexer.cu: values and heads of Q


def on_cuda(n: Node) -> bool:
    """Whether the back end has a kernel for `n`."""
    src = n.src
    if n.op == "ssm_scan":
        s, a = src[0], src[3]
        return scan_on_cuda(*s.ne[:3], src[4].ne[1], decay_a_head=a.ne[0] == 1)
    if n.op == "mul_mat_id":
        return not n.exact
    if n.op == "ssm_conv":
        return conv_on_cuda(src[0].ne[1])
    if n.op == "unary":
        return src[0].contiguous
    if n.op == "im2col":
        return src[0].contiguous and src[1].contiguous
    if n.op == "lightning_indexer":
        return src[0].ne[0] == INDEXED_VALUES and src[0].ne[1] in INDEXED_HEADS
    if n.op in ("norm", "rms_norm", "l2_norm"):
        return src[0].nb[0] == src[0].dtype.row_bytes(1)
    return True
