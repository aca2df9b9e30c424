"""The screen; nothing outside this package imports it."""
