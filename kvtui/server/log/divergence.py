"""What llama-perplexity prints of a KL divergence (tools/perplexity/perplexity.cpp, kl_divergence), read strictly: a line
that is not there, is there twice or says no number leaves no result."""

import math
import re
from dataclasses import dataclass

from kvtui.cache.divergence import Divergence

_PREFIX = r"^(?:\d+\.\d+\.\d{3}\.\d{3} )?(?:[EWID] )?"  # common/log.cpp, common_log_entry::print
_NUMBER = r"(\S+)"
_OVER = re.compile(_PREFIX + r"kl_divergence: computing over (\d+) chunks, n_ctx=(\d+), ", re.MULTILINE)
_CHUNK_OF_BASE = re.compile(r"\[(\d+)\]-?[\d.]+,")  # perplexity: no line's end until the last
_CHUNK_OF_PAIR = re.compile(r"^ {0,3}(\d+) +\S+ ± +\S+ +\S+ ± +\S+ +\S+ ± +\S+ +\S+ ± +\S+ % +\S+ ± +\S+ %$", re.MULTILINE)
_MEAN = re.compile(rf"^Mean    KLD: +{_NUMBER} ± +\S+$", re.MULTILINE)
_TAIL = re.compile(rf"^99\.9%   KLD: +{_NUMBER}$", re.MULTILINE)
_SAME = re.compile(rf"^Same top p: +{_NUMBER} ± +\S+ %$", re.MULTILINE)
_ROUNDED = 1e-3  # nats below 0 that rounding makes: f16/f16's logarithms are kept in 16 bits
LEAST_POSITIONS = 100  # kl_divergence: statistics of fewer are not printed


@dataclass(frozen=True)
class Chunks:
    """`count` pieces of a text, `tokens` each, read from an empty cache; what follows their second half is compared."""

    count: int
    tokens: int

    @property
    def positions(self) -> int:
        """Places that are compared (perplexity.cpp: n_ctx - 1 - n_ctx/2 a chunk)."""
        return self.count * (self.tokens - 1 - self.tokens // 2)


def chunks_done(text: str) -> int:
    """How many chunks it says it has read."""
    found = _CHUNK_OF_PAIR.findall(text) or _CHUNK_OF_BASE.findall(text)
    return int(found[-1]) if found else 0


def parse_divergence(text: str, chunks: Chunks) -> Divergence:
    """The result of a whole run over `chunks`. ValueError says what of it is missing."""
    if _OVER.findall(text) != [(str(chunks.count), str(chunks.tokens))]:
        raise ValueError(f"it does not say that it read {chunks.count} chunks of {chunks.tokens} tokens")
    if [int(n) for n in _CHUNK_OF_PAIR.findall(text)] != list(range(1, chunks.count + 1)):
        raise ValueError(f"it does not list {chunks.count} chunks")
    mean, tail, same = (_one(pattern, text) for pattern in (_MEAN, _TAIL, _SAME))
    if min(mean, tail) < -_ROUNDED or not 0 <= same <= 100:
        raise ValueError("its figures are none of a divergence")
    return Divergence(max(mean, 0.0), max(tail, 0.0), same / 100, chunks.positions, exact=True)


def _one(pattern: re.Pattern[str], text: str) -> float:
    found = pattern.findall(text)
    name = pattern.pattern.partition(":")[0].lstrip("^").replace("\\", "")
    if len(found) != 1:
        raise ValueError(f"it says {name} {len(found) or 'no'} times, not once" if found else f"it says no {name}")
    value = float(found[0])
    if not math.isfinite(value):
        raise ValueError(f"its {name} is {found[0]}")
    return value
