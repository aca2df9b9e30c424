"""KL divergence of a pair from f16/f16 over the whole vocabulary, by llama-perplexity: f16/f16's logarithms of probability go
to a file (--kl-divergence-base), each pair is compared with that file (--kl-divergence)."""

import contextlib
import os
import shutil
import struct
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kvtui.base.files import private_folder
from kvtui.base.findings import UsageError
from kvtui.cache.divergence import Divergence
from kvtui.server.binary.abilities import adapt_argv, split_options
from kvtui.server.binary.environment import child_environment
from kvtui.server.binary.inspect import ServerBinary
from kvtui.server.log.divergence import LEAST_POSITIONS, Chunks, chunks_done, parse_divergence
from kvtui.server.log.follow import parse_line
from kvtui.server.log.reasons import explain, telling
from kvtui.server.measure.forced import CHARACTERS_PER_TOKEN, REQUEST_SECONDS, Text
from kvtui.server.process.passing import LOAD_SECONDS, NotServed
from kvtui.server.program.run import OUTPUT_LIMIT_BYTES
from kvtui.server.program.short_lived import ShortLived

MOST_TOKENS = 512  # of a chunk: what llama-perplexity takes by itself, and what published figures are of
_SPARE_TOKENS = 2  # that llama-server may count beside a text and llama-perplexity not
STALE_SECONDS = 7 * 86400.0  # a base that nobody went on with for so long is removed
_MAGIC = b"_logits_"
_HEAD = struct.Struct("<8sIii")  # perplexity.cpp, perplexity: magic, n_ctx, n_vocab, n_chunk
_ADDS_EOS = "GGML_ASSERT(!llama_vocab_get_add_eos(vocab)) failed"  # perplexity.cpp, perplexity and kl_divergence
_SUFFIX = ".base"
_SLACK_BYTES = 1 << 30  # that stay free beside a base
# Said here, or of no meaning where one text is read: the context and the batch are a chunk, and what is printed is read
_OWN_FLAGS = frozenset(
    [
        "-c",
        "--ctx-size",
        "-b",
        "--batch-size",
        "-np",
        "--parallel",
        "-lv",
        "--verbosity",
        "--log-verbosity",
        "-v",
        "--verbose",
        "--log-verbose",
        "--log-disable",
        "--log-file",
        "--log-colors",
        "--log-prefix",
        "--no-log-prefix",
        "--log-timestamps",
        "--no-log-timestamps",
        "--log-jsonl",
        "--no-log-jsonl",
    ]
)
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Comparer:
    """A llama-perplexity with what it is run with. `argv`: llama-server's flags but for the cache types; `folder`: where
    bases are kept; `n_vocab`: logits a position."""

    binary: ServerBinary
    model: Path
    argv: tuple[str, ...]
    env: Mapping[str, str]
    folder: Path
    n_vocab: int

    def flags(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """(those of `argv` that it takes, a sentence for each that it does not)."""
        kept = [w for name, values in split_options(self.argv, self.binary) if name not in _OWN_FLAGS for w in (name, *values)]
        return adapt_argv(kept, self.binary)

    def path(self, key: str) -> Path:
        """The base of a setting."""
        return self.folder / f"{key}{_SUFFIX}"


def chunks_of(tokens: int, n_ctx: int, positions: int) -> Chunks:
    """How a text of `tokens` is read to compare at least `positions` places, or all it has: llama-perplexity wants two chunks
    of text at least. UsageError for a text or a context too short."""
    each = min(MOST_TOKENS, n_ctx, (tokens - _SPARE_TOKENS) // 2)
    one = Chunks(1, each).positions if each > 1 else 0
    count = min(-(-max(positions, LEAST_POSITIONS) // one), tokens // each) if one > 0 else 0
    if count * one < LEAST_POSITIONS:
        raise UsageError(
            f"{tokens} tokens of text in a context of {n_ctx} are too few for llama-perplexity, which compares {LEAST_POSITIONS} "
            "places or none; --llama-perplexity none measures with llama-server alone"
        )
    return Chunks(count, each)


def passage(text: Text, positions: int) -> str:
    """As much of `text` as comparing `positions` places may take: half of each chunk is compared. Without the line's end that
    llama-perplexity takes away (common/arg.cpp, --file)."""
    return text.content[: (2 * positions + 4 * MOST_TOKENS) * CHARACTERS_PER_TOKEN].rstrip("\n")


def has_base(comparer: Comparer, key: str, chunks: Chunks) -> bool:
    """Whether f16/f16 was read before, and its file is whole."""
    path = comparer.path(key)
    if not _is_whole(path, chunks):
        return False
    with contextlib.suppress(OSError):
        os.utime(path)  # in use
    return True


def make_base(comparer: Comparer, key: str, text: Text, chunks: Chunks, progress: Progress) -> None:
    """Read `text` with f16/f16 and keep what it expects. Raises NotServed; OSError if it cannot be started or written."""
    private_folder(comparer.folder)
    _remove_stale(comparer.folder)
    needed = _base_bytes(chunks, comparer.n_vocab)
    if shutil.disk_usage(comparer.folder).free < needed + _SLACK_BYTES:
        raise NotServed(f"{comparer.folder} has no room for {needed / 2**30:.2f} GiB of f16/f16's logits")
    with tempfile.TemporaryDirectory(prefix=".making-", dir=comparer.folder) as name:
        written, words = Path(name, "base"), Path(name, "text")
        words.write_text(passage(text, chunks.positions), "utf-8", "surrogatepass")
        more = ("-f", str(words), "--chunks", str(chunks.count), "--kl-divergence-base", str(written))
        said = _run(comparer, ("f16", "f16"), more, chunks, progress)
        if not _is_whole(written, chunks):
            raise NotServed(f"llama-perplexity wrote no whole file of logits: {_why(said)}")
        os.replace(written, comparer.path(key))


def compare(comparer: Comparer, key: str, pair: tuple[str, str], chunks: Chunks, progress: Progress) -> Divergence:
    """How far `pair` is from the base. Raises NotServed with the reason; OSError if it cannot be started."""
    said = _run(comparer, pair, ("--kl-divergence-base", str(comparer.path(key)), "--kl-divergence"), chunks, progress)
    try:
        return parse_divergence(said, chunks)
    except ValueError as error:
        raise NotServed(f"llama-perplexity gave no result: {error}; {_why(said)}") from None


def drop_base(comparer: Comparer, key: str) -> None:
    """All was compared with it: it is large, and one run makes it again."""
    with contextlib.suppress(OSError):
        comparer.path(key).unlink()


def _run(comparer: Comparer, pair: tuple[str, str], more: Sequence[str], chunks: Chunks, progress: Progress) -> str:
    """What it says. One chunk at a time in a context of a chunk, so that no more memory is taken than a server takes."""
    size = str(chunks.tokens)
    own = ("-c", size, "-b", size, "-ctk", pair[0], "-ctv", pair[1])
    command = (str(comparer.binary.path), "-m", str(comparer.model.absolute()), *comparer.flags()[0], *own, *more)
    env = child_environment(comparer.binary.path, comparer.env)
    said = b""
    with ShortLived(command, env, LOAD_SECONDS + chunks.count * REQUEST_SECONDS) as program:
        progress(0, chunks.count)
        for piece in program.pieces(OUTPUT_LIMIT_BYTES):
            said += piece
            progress(min(chunks_done(said.decode("utf-8", "replace")), chunks.count - 1), chunks.count)
    text = said.decode("utf-8", "replace")
    if not program.ended:
        raise NotServed("llama-perplexity said too much" if program.too_much else "llama-perplexity did not end in its time")
    if _ADDS_EOS in text:
        raise NotServed(
            "llama-perplexity takes no model whose vocabulary ends each text by itself (add_eos); --llama-perplexity none "
            "measures with llama-server alone"
        )
    if program.returncode != 0:
        raise NotServed(f"llama-perplexity ended with {program.returncode}: {_why(text)}")
    return text


def _why(said: str) -> str:
    """Its last telling words."""
    lines = [parse_line(line.encode()) for line in said.splitlines() if line]
    last = next((line.text.partition(": ")[2] or line.text for line in telling(lines, 1)), "")
    return explain(lines) or last or "it gave no reason"


def _base_bytes(chunks: Chunks, n_vocab: int) -> int:
    """perplexity.cpp, perplexity and log_softmax: the tokens, then 16 bits a logit and four more values a position."""
    values = 2 * ((n_vocab + 1) // 2) + 4
    return _HEAD.size + 4 * chunks.count * chunks.tokens + 2 * chunks.positions * values


def _is_whole(path: Path, chunks: Chunks) -> bool:
    try:
        with path.open("rb") as file:
            magic, tokens, n_vocab, count = _HEAD.unpack(file.read(_HEAD.size))
            size = os.fstat(file.fileno()).st_size
    except (OSError, struct.error):
        return False
    said = (magic, tokens, count) == (_MAGIC, chunks.tokens, chunks.count)
    return said and n_vocab > 0 and size == _base_bytes(chunks, n_vocab)


def _remove_stale(folder: Path) -> None:
    """Bases of measurements that were broken off and never taken up again, and what a killed kvtui left half written."""
    oldest = time.time() - STALE_SECONDS
    for entry in folder.iterdir():
        with contextlib.suppress(OSError):
            if entry.lstat().st_mtime < oldest:
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
