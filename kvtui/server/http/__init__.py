"""A llama-server's HTTP side."""
