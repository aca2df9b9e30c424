"""The same figures for people and programs."""
