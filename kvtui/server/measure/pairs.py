"""What pairs of cache types cost on one model, measured with a real llama-server: f16/f16 first, then each pair beside it.
Where there is a llama-perplexity of the same build, the divergence is its own; what is hidden, llama-server looks for."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kvtui.cache.divergence import Divergence, Likeliest, divergence
from kvtui.cache.measured_here import MeasuredHere
from kvtui.server.binary.inspect import ServerBinary
from kvtui.server.http.client import ServerClient
from kvtui.server.log.divergence import Chunks
from kvtui.server.measure.exact import Comparer, chunks_of, compare, drop_base, has_base, make_base, passage
from kvtui.server.measure.forced import NEEDLES, Text, find_needles, hidden, read_text
from kvtui.server.measure.quality_kept import (
    Reference,
    Setting,
    digest,
    keep_pair,
    keep_reference,
    recall_pair,
    recall_reference,
)
from kvtui.server.process.passing import NotServed, passing_server

Pair = tuple[str, str]
REFERENCE: Pair = ("f16", "f16")
Progress = Callable[[str, int, int], None]  # what is done, steps done, steps in all (0: not known)


@dataclass(frozen=True)
class Bench:
    """What to measure with. `argv`: everything after `-m MODEL` but the cache types. `model`: its `model_identity`;
    `comparer`: where there is one, it tells the divergences."""

    binary: ServerBinary
    path: Path
    model: str
    gpus: tuple[tuple[str, str], ...]  # (name, description), as the measurement of a run has them
    argv: tuple[str, ...]
    env: Mapping[str, str]
    positions: int
    comparer: Comparer | None = None
    state: Path | None = None

    def setting(self, text: Text) -> Setting:
        """What a measurement on `text` is filed under."""
        program = self.comparer.binary.identity if self.comparer else ""
        return Setting(self.binary.identity, self.model, self.gpus, self.argv, digest(text.content), self.positions, program)


@dataclass(frozen=True)
class Outcome:
    """A pair on a text: what was measured, before or now, or why it could not be."""

    pair: Pair
    text: Text
    measured: MeasuredHere | None = None
    before: bool = False
    problem: str = ""


def measure(
    bench: Bench, pairs: Sequence[Pair], texts: Sequence[Text], progress: Progress, *, again: bool = False
) -> list[Outcome]:
    """Every pair on every text; what was measured before in the same setting is not repeated, unless `again`. Each result
    is kept as soon as it is there. Raises NotServed where f16/f16 itself cannot be run; OSError if nothing can be kept."""
    known = {} if again else {(p, t): m for p in pairs for t in texts if (m := recall_pair(bench.setting(t), p, bench.state))}
    lacking = [t for t in texts if any((p, t) not in known for p in pairs)]
    references = _references(bench, lacking, progress, again)
    outcomes = []
    for pair in pairs:
        missing = [t for t in texts if (pair, t) not in known]
        fresh, problem = _measure_pair(bench, pair, {t: references[t] for t in missing}, progress) if missing else ({}, "")
        for text in texts:
            before = known.get((pair, text))
            found = before or fresh.get(text)
            outcomes.append(Outcome(pair, text, found, before is not None, "" if found else problem))
    if bench.comparer is not None:
        for text in lacking:
            drop_base(bench.comparer, bench.setting(text).key)
    return outcomes


def _references(bench: Bench, texts: Sequence[Text], progress: Progress, again: bool) -> dict[Text, Reference]:
    found = {} if again else {t: r for t in texts if (r := recall_reference(bench.setting(t), bench.state))}
    missing = [t for t in texts if t not in found]
    if missing:
        with _served(bench, REFERENCE) as client:
            for text in missing:
                found[text] = _read(bench, client, "f16/f16", text, progress)
                keep_reference(bench.setting(text), found[text], bench.state)
    if bench.comparer is not None:
        for text in texts:
            key, chunks = bench.setting(text).key, _chunks(bench, found[text])
            if again or not has_base(bench.comparer, key, chunks):
                make_base(bench.comparer, key, text, chunks, partial(progress, "f16/f16: llama-perplexity"))
    return found


def _chunks(bench: Bench, reference: Reference) -> Chunks:
    return chunks_of(reference.tokens, reference.n_ctx, bench.positions)


def _measure_pair(
    bench: Bench, pair: Pair, references: Mapping[Text, Reference], progress: Progress
) -> tuple[dict[Text, MeasuredHere], str]:
    """(what was measured on each text, why it ended early)."""
    found: dict[Text, MeasuredHere] = {}
    try:
        exact = _compared(bench, pair, references, progress)
        with _served(bench, pair) as client:
            for text, reference in references.items():
                read = _read(bench, client, "/".join(pair), text, progress)
                found[text] = MeasuredHere(
                    *pair,
                    divergence=exact.get(text) or divergence(reference.likeliest, read.likeliest),
                    needles=(read.needles, len(NEEDLES)),
                    reference_needles=reference.needles,
                    context=read.n_ctx,
                    text=text.source,
                    build=bench.binary.build,
                    at=time.time(),
                )
                keep_pair(bench.setting(text), found[text], bench.state)
    except NotServed as e:
        return found, str(e)
    return found, ""


def _compared(bench: Bench, pair: Pair, references: Mapping[Text, Reference], progress: Progress) -> dict[Text, Divergence]:
    """What llama-perplexity says, where there is one. Raises NotServed."""
    if bench.comparer is None:
        return {}
    told = partial(progress, f"{'/'.join(pair)}: llama-perplexity")
    return {
        text: compare(bench.comparer, bench.setting(text).key, pair, _chunks(bench, reference), told)
        for text, reference in references.items()
    }


def _served(bench: Bench, pair: Pair) -> AbstractContextManager[ServerClient]:
    return passing_server(bench.binary, bench.path, (*bench.argv, "-ctk", pair[0], "-ctv", pair[1]), bench.env)


def _read(bench: Bench, client: ServerClient, name: str, text: Text, progress: Progress) -> Reference:
    """What this server says of `text`."""
    progress(f"{name}: starting on {text.source}", 0, 0)
    n_ctx = client.slots()[0].context
    likeliest: tuple[Likeliest, ...] = ()
    tokens = 0
    if bench.comparer is None:
        likeliest = read_text(client, text, n_ctx, bench.positions, partial(progress, f"{name}: reading"))
    else:
        tokens = len(client.tokens(passage(text, bench.positions), special=True))
    prompt = hidden(client, text, n_ctx)
    finding = partial(progress, f"{name}: finding hidden numbers in {n_ctx:,} tokens")
    return Reference(likeliest, find_needles(client, prompt, finding), tokens, n_ctx)
