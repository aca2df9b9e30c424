"""Small programs that run beside a llama-server, each by its path and with the standard library alone."""
