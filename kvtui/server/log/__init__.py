"""What a llama-server says while it runs."""
