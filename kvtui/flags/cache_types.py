"""The nine K/V cache types and their exact sizes (ggml.c, type_traits: block size and bytes)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CacheType:
    """One `--cache-type-k/-v` value: `block_bytes` hold `block_values` values of a row."""

    name: str
    block_values: int
    block_bytes: int

    @property
    def bits(self) -> float:
        """Bits a value."""
        return self.block_bytes * 8 / self.block_values

    @property
    def quantized(self) -> bool:
        """As ggml_is_quantized."""
        return self.block_values > 1

    def row_bytes(self, values: int) -> int:
        """Bytes of a row of `values` values (ggml.c, ggml_row_size); rounds down as ggml does."""
        return self.block_bytes * values // self.block_values


CACHE_TYPES: dict[str, CacheType] = {
    t.name: t
    for t in (
        CacheType("f32", 1, 4),
        CacheType("f16", 1, 2),
        CacheType("bf16", 1, 2),
        CacheType("q8_0", 32, 34),
        CacheType("q5_1", 32, 24),
        CacheType("q5_0", 32, 22),
        CacheType("q4_1", 32, 20),
        CacheType("q4_0", 32, 18),
        CacheType("iq4_nl", 32, 18),
    )
}
ALL_PAIRS = len(CACHE_TYPES) ** 2  # of K and V


def no_fewer_bits(a: tuple[str, str], b: tuple[str, str]) -> bool:
    """Whether pair `a` has as many bits a value as `b`, or more, on both sides."""
    return all(CACHE_TYPES[x].bits >= CACHE_TYPES[y].bits for x, y in zip(a, b, strict=True))
