"""Where every layer and tensor is: the value that passes between flags, memory and placement."""

from collections.abc import Sequence
from dataclasses import dataclass

from kvtui.hardware.backends import backend_of
from kvtui.hardware.device import CPU, Device
from kvtui.model.spec import Tensor


@dataclass(frozen=True)
class Assignment:
    """`layer_devices`: one entry a block (MTP blocks too), the output last; `tensor_devices`: one a tensor of
    `ModelSpec.tensors`, in its order, where its weights are (a tied output's second copy is not in here: it is
    on `layer_devices[-1]`). Entries index the machine's devices, `CPU` is -1. `overridden`: the flags hold
    an -ot, -cmoe, -ncmoe (llama-context.cpp: any override disables pipelining). `tied_output`: where an override puts a
    tied output's second copy, in place of `layer_devices[-1]`. `opened`: the devices that
    llama-server opens, in order (-dev, -sm none); None: all of them. `repack`: the CPU back end may keep weights
    repacked. `named`: the devices that -dev names, where it does: a projector goes to the first of them. `shares`: what -ts
    says of the devices that are opened; (): it says nothing, and free memory counts."""

    layer_devices: tuple[int, ...]
    tensor_devices: tuple[int, ...]
    overridden: bool = False
    tied_output: int | None = None
    opened: tuple[int, ...] | None = None
    repack: bool = True
    named: tuple[int, ...] | None = None
    shares: tuple[float, ...] = ()

    def opens(self, device: int) -> bool:
        """Whether llama-server opens a device, whatever is on it."""
        return self.opened is None or device in self.opened


def opened_of(opened: tuple[int, ...] | None, devices: int) -> tuple[int, ...]:
    """`Assignment.opened` written out, of so many devices."""
    return tuple(range(devices)) if opened is None else opened


def split_of(layer_devices: Sequence[int], opened: Sequence[int]) -> tuple[float, ...]:
    """-ts of a placement, as counts of blocks and the output; () where none is needed."""
    counts = tuple([float(sum(d == i for d in layer_devices)) for i in opened])
    return counts if len(counts) > 1 and any(counts) else ()


def default_place(tensor: Tensor, layer_devices: Sequence[int], devices: Sequence[Device]) -> int:
    """Where a tensor is that no override names: RAM for what is only looked up and for what the device has no kernel for, the
    output's device, or its block's (src/llama-model-loader.cpp, create_tensor: buft_list_input, _output, _layer)."""
    if tensor.kind == "input":
        return CPU
    place = layer_devices[-1] if tensor.kind == "output" else layer_devices[tensor.block or 0]
    if not tensor.on_cuda and place != CPU and backend_of(devices[place].name).is_cuda:
        return CPU
    return place
