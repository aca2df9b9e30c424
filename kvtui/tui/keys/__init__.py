"""Keys: commands, what they change, what they ask."""
