"""The real llama-server."""
