"""Names of a split set's parts, `STEM-00001-of-000NN.gguf` (src/llama.cpp, llama_split_path)."""

import re
from dataclasses import dataclass

_PART = re.compile(r"^(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<ending>\.gguf)$", re.IGNORECASE)


@dataclass(frozen=True)
class SplitPart:
    """Part `number` of `count`, counted from 1. `ending` as this file writes it: `.gguf` in any case."""

    stem: str
    number: int
    count: int
    ending: str

    @property
    def names(self) -> tuple[str, ...]:
        """File names of all parts, in order."""
        return tuple(f"{self.stem}-{i + 1:05}-of-{self.count:05}{self.ending}" for i in range(self.count))


def split_part(name: str) -> SplitPart | None:
    """What a file name says of its split set; None for the name of a file that is whole."""
    found = _PART.match(name)
    return SplitPart(found["stem"], int(found["number"]), int(found["count"]), found["ending"]) if found else None
