"""Where every layer and tensor is: the value that passes between flags, memory and placement."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Assignment:
    """`layer_devices`: one entry a block (MTP blocks too), the output last; `tensor_devices`: one a tensor of
    `ModelSpec.tensors`, in its order, where its weights are (a tied output's second copy is not in here: it is
    on `layer_devices[-1]`). Entries index the machine's devices, `CPU` is -1. `overridden`: the flags hold
    an -ot, -cmoe, -ncmoe (llama-context.cpp: any override disables pipelining). `tied_output`: where an override puts a
    tied output's second copy, in place of `layer_devices[-1]`. `opened`: the devices that
    llama-server opens, in order (-dev, -sm none); None: all of them. `repack`: the CPU back end may keep weights repacked."""

    layer_devices: tuple[int, ...]
    tensor_devices: tuple[int, ...]
    overridden: bool = False
    tied_output: int | None = None
    opened: tuple[int, ...] | None = None
    repack: bool = True
