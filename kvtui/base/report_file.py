"""What is kept of an error that nobody foresaw: a file for a bug report, without locals and without secrets."""

import os
import platform
import re
import secrets
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from kvtui.base.files import state_folder, write_atomically

KEPT_REPORTS = 20
_GONE = "[removed]"
# Flags of llama-server (common/arg.cpp) and of kvtui whose value is a secret, and where the environment has the same.
SECRET_FLAGS = ("--api-key", "--hf-token", "-hft")
SECRET_VARIABLES = ("LLAMA_API_KEY", "LLAMA_ARG_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_LEAST_SECRET = 4  # characters; a shorter value is no secret, and replacing it would tear the text apart
_FLAG_VALUE = re.compile(rf"({'|'.join(SECRET_FLAGS)})((?:=|['\"]?,?\s+)['\"]?)([^\s'\",\])]+)")
_URL = re.compile(r"\b([a-z][a-z0-9+.-]*://)(?:[^\s/?#@'\"]*@)?([^\s?#'\"]*)([?#][^\s'\"]*)?", re.IGNORECASE)
_HEADER = re.compile(r"(authorization['\"]?\s*[:=]\s*['\"]?(?:bearer\s+)?|bearer\s+)[^\s'\",]+", re.IGNORECASE)


def write_report(error: BaseException, doing: str) -> Path | None:
    """Write what `error` was and where it came from, while `doing` (a few words), into a new file of the state folder.
    None where it cannot be written: a report is never the reason of a second error."""
    try:
        folder = state_folder() / "reports"
        path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}.txt"
        write_atomically(path, _report(error, doing).encode("utf-8", "backslashreplace"))
        for old in sorted(folder.glob("*.txt"))[:-KEPT_REPORTS]:
            old.unlink(missing_ok=True)
    except Exception:
        return None
    return path


def without_secrets(text: str) -> str:
    """The text without values of secret flags, of their environment variables, and of this program's own command line;
    without user, password, query and fragment of every URL in it, where tokens live."""
    for secret in _secrets_here():
        text = text.replace(secret, _GONE)
    text = _FLAG_VALUE.sub(rf"\1\2{_GONE}", text)
    text = _URL.sub(lambda m: f"{m[1]}{m[2]}" + (f"{m[3][0]}{_GONE}" if m[3] else ""), text)
    return _HEADER.sub(rf"\1{_GONE}", text)


def _report(error: BaseException, doing: str) -> str:
    from kvtui import __version__

    lines = [
        f"kvtui {__version__}, Python {platform.python_version()}, {platform.platform()}",
        time.strftime("%Y-%m-%d %H:%M:%S %z"),
        f"doing: {doing}",
        "",
        *traceback.format_exception(error, chain=True),
    ]
    return without_secrets("\n".join(text.rstrip("\n") for text in lines)) + "\n"


def _secrets_here() -> list[str]:
    found = {os.environ.get(name, "") for name in SECRET_VARIABLES} | set(_argv_secrets())
    return sorted((s for s in found if len(s) >= _LEAST_SECRET), key=len, reverse=True)


def _argv_secrets() -> Iterator[str]:
    for i, word in enumerate(sys.argv):
        flag, equals, value = word.partition("=")
        if flag in SECRET_FLAGS:
            yield value if equals else sys.argv[i + 1] if i + 1 < len(sys.argv) else ""
