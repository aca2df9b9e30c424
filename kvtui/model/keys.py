"""Metadata of one architecture as llama_model_loader reads it (get_key, get_arr, get_key_or_arr)."""

from collections.abc import Sequence
from dataclasses import dataclass

from kvtui.header.reader import Header, HeaderError, SkippedArray

MAX_ENTRIES = 512  # src/llama-hparams.h, LLAMA_MAX_LAYERS: the arrays that get_arr fills
_INTEGERS = ("[u32]", "[i32]", "[bool]")


@dataclass(frozen=True)
class Keys:
    """Keys `ARCH.key` of a header. HeaderError, one sentence, where llama.cpp would refuse the file."""

    header: Header
    architecture: str

    def __contains__(self, key: str) -> bool:
        return f"{self.architecture}.{key}" in self.header.metadata

    def number(self, key: str, default: int | None = None) -> int:
        """get_key: an unsigned 32-bit integer; required without a default."""
        value = self.header.metadata.get(f"{self.architecture}.{key}", default)
        kind = self.header.types.get(f"{self.architecture}.{key}", "u32")
        if isinstance(value, bool) or not isinstance(value, int):
            if value is None:
                raise HeaderError(f"the key {self.architecture}.{key} is missing")
            raise HeaderError(f"the key {self.architecture}.{key} is no integer")
        if kind != "u32":
            raise HeaderError(f"the key {self.architecture}.{key} is of type {kind}, not u32")
        if not 0 <= value < 2**32:
            raise HeaderError(f"the key {self.architecture}.{key} is {value}, out of range")
        return value

    def array(self, key: str) -> tuple[int, ...] | None:
        """get_arr: integers or booleans (as 0 and 1), or None where there is no such array."""
        value = self.header.metadata.get(f"{self.architecture}.{key}")
        kind = self.header.types.get(f"{self.architecture}.{key}", "")
        if kind.startswith("[") and kind not in _INTEGERS:
            raise HeaderError(f"the key {self.architecture}.{key} is an array of type {kind}, not of 32-bit integers")
        if isinstance(value, SkippedArray):
            raise HeaderError(f"the key {self.architecture}.{key} has {value.length} entries; llama.cpp takes {MAX_ENTRIES}")
        if isinstance(value, tuple) and all(isinstance(x, int) for x in value):
            return tuple(int(x) for x in value)
        return None

    def per_block(self, key: str, blocks: int, default: Sequence[int]) -> tuple[int, ...]:
        """get_key_or_arr: one number for every block, or an array with exactly one for each."""
        array = self.array(key)
        if array is not None:
            if len(array) != blocks:
                raise HeaderError(f"the key {self.architecture}.{key} has {len(array)} entries for {blocks} blocks")
            if any(not 0 <= x < 2**32 for x in array):
                raise HeaderError(f"the key {self.architecture}.{key} has an entry out of range")
            return array
        return (self.number(key),) * blocks if key in self else tuple(default)

    def flags(self, key: str, blocks: int) -> tuple[bool, ...] | None:
        """get_arr into a cleared array: an entry that is not there is False. None without an array."""
        array = self.array(key)
        if array is None:
            return None
        return tuple(il < len(array) and bool(array[il]) for il in range(blocks))
