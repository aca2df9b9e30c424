"""A llama-server on this disk: found, asked, exported."""
