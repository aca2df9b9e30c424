"""Graphs by family: a file each, found by the ARCHITECTURES that it names."""
