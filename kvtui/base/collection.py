"""Python's collector of reference cycles, put off while much is made that is needed until the end."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Iterator[None]:
    """No collection meanwhile: it walks every object that is alive, which takes as long as a search itself. Where several
    threads pause it, the first to end resumes it."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
