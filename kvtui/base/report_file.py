"""The report of something unforeseen: what happened and where in the program, without anybody's secrets."""

import contextlib
import os
import platform
import time
import traceback
from pathlib import Path

from kvtui import __version__
from kvtui.base.files import private_folder, state_folder
from kvtui.base.secrets import redacted

KEPT_REPORTS = 20
_MOST_SAID = 300  # characters of an error's own text on the screen; all of it is in the report
_MOST_LINE = 2_000  # characters of one line of a report: an exception's text may be a whole file
_MOST_LINES = 2_000


def write_report(error: BaseException, doing: str) -> Path | None:
    """Write what is known of `error`, which came while `doing`; the file, or None where it cannot be written. Never
    raises."""
    try:
        folder = state_folder() / "reports"
        private_folder(folder)
        path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{time.monotonic_ns() % 10**6:06}.txt"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(_report(error, doing))
        for old in sorted(folder.glob("*.txt"))[:-KEPT_REPORTS]:
            old.unlink(missing_ok=True)
        return path
    except Exception:  # on a full disk or with no memory left there is nothing more to be done
        return None


def _report(error: BaseException, doing: str) -> str:
    told = traceback.TracebackException.from_exception(error, capture_locals=False, compact=True)
    head = (
        f"kvtui {__version__}, Python {platform.python_version()}, {platform.platform()}",
        f"at {time.strftime('%Y-%m-%d %H:%M:%S %z')}, while: {doing}",
        "",
    )
    lines = [line[:_MOST_LINE] for part in (*head, *told.format()) for line in part.splitlines()]
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES // 2], "...", *lines[-_MOST_LINES // 2 :]]
    return _short(redacted("\n".join(lines) + "\n"))


def _short(text: str) -> str:
    """Without the home folder, whose name is often a person's."""
    with contextlib.suppress(RuntimeError, OSError):
        home = str(Path.home())
        if len(home) > 1:
            return text.replace(home + os.sep, "~" + os.sep)
    return text


def unforeseen(error: BaseException, doing: str) -> str:
    """One line for a person: what it was, and where its report lies."""
    path = write_report(error, doing)
    try:
        said = str(error)
    except Exception:
        said = ""
    what = redacted(f"{type(error).__name__}{': ' + said[:_MOST_LINE] if said else ''}")[:_MOST_SAID]
    where = f"a report is at {path}" if path is not None else "no report could be written"
    return f"something unforeseen: {what}; {where}"
