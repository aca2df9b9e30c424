"""Graphs by family: a file each, found by the architectures that its FAMILY names."""
