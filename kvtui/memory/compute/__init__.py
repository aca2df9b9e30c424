"""Compute buffers: what the graph needs beside weights and caches, on every device and in RAM."""

from kvtui.memory.compute.rpc import DEFAULT_BUILD, ComputeBytes, ComputeModel

__all__ = ["DEFAULT_BUILD", "ComputeBytes", "ComputeModel"]
