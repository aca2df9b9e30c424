"""Compute buffers: what the graph needs beside weights and caches, on every device and in RAM.

The graph that llama.cpp reserves is built again as a list of tensors (tape.py), put on back ends as ggml's scheduler does it
(sched.py, optimize.py) and given memory as ggml's allocator does it (alloc.py); the peak of each buffer is what llama-server
takes. engine.py ties them together, model.py is what everything else asks. Nothing is fitted: a wrong figure is a tensor
that is missing here, or one in the wrong place.

Adding a family. Write families/NAME.py with FAMILY, a `Family` record (family.py); it is found by that, no table needs a line.
Its fields:
- architectures, the header's general.architecture that it covers;
- graph(g: Build), which builds the whole graph in the order of src/models/NAME.cpp: g.inp_embd(), g.inp_pos(), the caches'
  inputs, g.inp_out_ids(), a loop over g.blocks (not over all blocks: see collapse.py), g.finish(). Where the family is a plain
  decoder, a `Decoder` record says what differs (decoder.py). Pieces: attention.qkv, attend, caches(iswa); ffn.dense, moe,
  shared_or_dense with a Routing; recurrent.hybrid, mamba.mamba2, delta.delta_net; mla.mla. g.w(role, block) is None where
  the file lacks a tensor, so biases, norms and shared experts follow from the file;
- repeats(model) -> bool, only where equal blocks do not take the same memory (a block reads a part of its own of an input,
  or another block's cache);
- alibi(model) -> bool, only where attention is biased by distance and the header does not say so;
- turns, where more turns of a run are needed than collapse.py's; alone, architectures for which a batch of one slot is
  reserved as well (llama-context.cpp, sched_reserve); mtp_graph, stepped: see family.py.
What counts is the order of ggml_build_forward_expand, which source is first, what is a view, and what goes through build_norm
with its block (it stays on that block's device). A name that a node is given is what people read.
"""

from kvtui.memory.compute.courses import Courses, Stretches
from kvtui.memory.compute.engine import Engine
from kvtui.memory.compute.model import ComputeModel
from kvtui.memory.compute.rpc import ComputeBytes
from kvtui.memory.compute.terms import Term

__all__ = ["ComputeBytes", "ComputeModel", "Courses", "Engine", "Stretches", "Term"]
