"""Workers and the messages they post."""
