"""Tensor overrides: -ot, -cmoe, -ncmoe, -ncffn as one list of patterns, the first that matches wins.

common/arg.cpp, parse_tensor_buffer_overrides; common/common.h, LLM_FFN_EXPS_REGEX and LLM_FFN_DENSE_REGEX;
src/llama-model-loader.cpp, create_tensor (std::regex_search, ECMAScript)."""

from dataclasses import dataclass

from kvtui.base.findings import UsageError

EXPERTS = r"\.ffn_(up|down|gate|gate_up)_(ch|)exps"
DENSE_FFN = r"\.ffn_(up|down|gate)\."


@dataclass(frozen=True)
class Override:
    """Tensors whose name the regular expression finds a match in go to `buffer`, a buffer type's name."""

    pattern: str
    buffer: str


def first_blocks(n: int, pattern: str) -> tuple[Override, ...]:
    """-ncmoe N and -ncffn N: one pattern for each of the first N blocks (common.h, llm_ffn_block_regex)."""
    return tuple(Override(rf"blk\.{i}{pattern}", "CPU") for i in range(n))


def parse_overrides(value: str, flag: str = "-ot") -> tuple[Override, ...]:
    """The value of one -ot: `pattern=buffer,...`; a pattern ends at its first `=`. Raises UsageError."""
    found = []
    for part in value.split(","):
        pattern, equals, buffer = part.partition("=")
        if not equals:
            raise UsageError(f"{flag} {part}: a pattern and a buffer are needed, as in 'exps=CPU'")
        found.append(Override(pattern, buffer))
    return tuple(found)
