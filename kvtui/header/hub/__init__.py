"""Models of the Hugging Face Hub: what a repository holds, and which of it a name means."""
