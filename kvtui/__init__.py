"""kvtui: plan K/V cache types and tensor placement for llama.cpp, and launch llama-server with the plan."""

__version__ = "0.2.0"
