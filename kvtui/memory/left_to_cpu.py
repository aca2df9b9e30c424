"""Products whose weights are on a device that has no kernel for them.

src/llama-graph.cpp, build_moe_ffn: what the last product of Mistral Small 4's experts reads may be beyond f16, so it is asked
for as f32 (ggml_prec_set_src), which these back ends decline (ggml_backend_cuda_device_supports_op,
ggml_backend_vk_device_supports_op); the weights are placed before anybody asks for that (src/llama-model-loader.cpp,
select_weight_buft). ggml-backend.cpp, ggml_backend_sched_compute_splits, then copies them whole, each time the graph runs."""

from collections.abc import Sequence

from kvtui.base.findings import Finding
from kvtui.base.sizes import mib
from kvtui.hardware.device import CPU, Device
from kvtui.memory.assignment import Assignment
from kvtui.model.spec import ModelSpec

LEFT_TO_CPU = "left-to-cpu"
_ARCHITECTURES = ("mistral4",)
_LAST_PRODUCT = "ffn_down_exps"
_DECLINE = ("CUDA", "ROCm", "MUSA", "Vulkan")


def left_to_cpu(model: ModelSpec, assignment: Assignment, devices: Sequence[Device]) -> tuple[Finding, ...]:
    """A warning where such weights are on a device, with what would keep them off the link."""
    if model.architecture not in _ARCHITECTURES:
        return ()
    on = [
        (t.n_bytes, devices[place].name)
        for t, place in zip(model.tensors, assignment.tensor_devices, strict=True)
        if t.loaded and place != CPU and f".{_LAST_PRODUCT}." in t.name and devices[place].backend in _DECLINE
    ]
    if not on:
        return ()
    names = ", ".join(dict.fromkeys(name for _, name in on))
    text = (
        f"no kernel of {names} computes the last product of the experts: the CPU does, and {mib(sum(size for size, _ in on))} of "
        f"their weights are copied to RAM for every token; {_LAST_PRODUCT}=CPU, as --pin or -ot, keeps them there"
    )
    return (Finding(LEFT_TO_CPU, "warning", text),)
