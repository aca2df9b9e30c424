"""A coverage-guided fuzzer of the reader and of all that follows it, by atheris (libFuzzer).

usage: fuzz.py FOLDER [libFuzzer's options]; FOLDER gets the corpus, and what breaks the chain."""

import random
import struct
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["kvtui.header", "kvtui.model", "kvtui.memory", "kvtui.cache", "kvtui.placement"]):
    from chain import end_of

from header_archive import DATA, HeaderArchive
from mutants import CHANGES
from odd_headers import CASES

MOST_BYTES = 16_384  # of a seed, and of what is made of it


def seed(folder: Path) -> None:
    """Headers of real models, and odd ones."""
    archive = HeaderArchive(DATA / "headers.tar.xz")
    found = {name: head for name in archive if len(head := archive.head(name)) <= MOST_BYTES}
    found |= {f"odd-{i}": head for i, case in enumerate(CASES) if len(head := case.make().head()[0]) <= MOST_BYTES}
    for name, head in found.items():
        (folder / name).write_bytes(head)


def mutate(data: bytes, most: int, number: int) -> bytes:
    """As often by fields as by bytes."""
    rng = random.Random(number)
    if rng.random() < 0.5:
        try:
            return rng.choice(CHANGES)(rng, data)[:most]
        except (struct.error, ValueError, IndexError, KeyError, OverflowError, MemoryError):
            pass  # it is no sound header any more: there are no fields to change
    return bytes(atheris.Mutate(data, most))


def main() -> None:
    """Until it finds something, or the time is up; libFuzzer ends the process."""
    folder = Path(sys.argv.pop(1))
    corpus = folder / "corpus"
    corpus.mkdir(exist_ok=True)
    seed(corpus)
    options = [f"-artifact_prefix={folder}/", f"-max_len={MOST_BYTES}", "-timeout=60", "-rss_limit_mb=3000"]
    atheris.Setup([sys.argv[0], *options, *sys.argv[1:], str(corpus)], end_of, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
