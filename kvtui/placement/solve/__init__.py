"""The search for a placement: a problem, its yardstick, and the ways to answer it."""
