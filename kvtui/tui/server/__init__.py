"""The server at hand."""
