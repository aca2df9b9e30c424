"""llama-server's command line, both ways."""
