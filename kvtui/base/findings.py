"""What a person should know about an estimate or a plan: errors, warnings and notes; and the one base of all errors."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]

DOES_NOT_FIT = "does-not-fit"  # the only error code that is no refusal
SET_ASIDE = "set-aside"  # a file of kvtui's own that was damaged


@dataclass(frozen=True)
class Finding:
    """One sentence with a stable code; any error but `does-not-fit` means llama-server would refuse."""

    code: str
    severity: Severity
    message: str


class KvtuiError(Exception):
    """What is foreseen to go wrong, as one sentence for a person: what, where, what to do. No secret is in it."""


class UsageError(KvtuiError):
    """Bad usage or an unreadable model: one line for a person, exit code 2."""
