"""Which architectures llama-server splits by tensors, `-sm tensor`."""

# src/llama-arch.cpp, llm_arch_supports_sm_tensor, read in b11434: all others are taken
NOT_SPLIT = frozenset((
    "bailingmoe3", "bitnet", "deepseek2", "deepseek32", "dots3note", "falcon-h1", "gemma3n", "glm-dsa", "glm5-next",
    "granitehybrid", "grok", "hy_v4", "jamba", "kimi-k3", "kimi-linear", "mamba", "mamba2", "minicpm3", "minimax-01",
    "minimax-m2", "minimax-m3", "mistral4", "mpt", "nemotron_h", "nemotron_h_moe", "olmo2", "olmoe", "plamo2", "qwen3tts", "t5",
))  # fmt: skip
