"""What a llama-server takes: asked by a dry run, read from its log, compared."""
