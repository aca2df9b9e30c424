"""src/models/llama.cpp, qwen2.cpp, qwen3.cpp, qwen3moe.cpp: the plain decoder."""

from kvtui.memory.compute.build import Build
from kvtui.memory.compute.decoder import Decoder, decode
from kvtui.memory.compute.family import Family
from kvtui.memory.compute.ffn import Routing, scaled

ARCHITECTURES = ("llama", "qwen2", "qwen3", "qwen3moe")


def graph(g: Build) -> None:
    """llama_model_llama::graph."""
    decode(g, Decoder(routing=Routing(scaled=scaled(g))))


FAMILY = Family(ARCHITECTURES, graph)
