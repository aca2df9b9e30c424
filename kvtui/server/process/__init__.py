"""A llama-server that runs: its ports, its start, its record."""
