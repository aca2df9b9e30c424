"""A moment as a person reads it."""

import time


def when(at: float) -> str:
    """14:05 of today, with its date of another day. `at`: seconds since the epoch."""
    then = time.localtime(at)
    today = time.strftime("%Y%j") == time.strftime("%Y%j", then)
    return time.strftime("%H:%M" if today else "%Y-%m-%d %H:%M", then)


def as_measured(at: float | None) -> str:
    """Where a figure comes from, behind it; nothing of a calibrated one."""
    return "" if at is None else f", as measured here, {when(at)}"
