"""What a person should know about an estimate or a plan: errors, warnings and notes."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]

DOES_NOT_FIT = "does-not-fit"  # the only error code that is no refusal


@dataclass(frozen=True)
class Finding:
    """One sentence with a stable code; any error but `does-not-fit` means llama-server would refuse."""

    code: str
    severity: Severity
    message: str


class UsageError(Exception):
    """Bad usage or an unreadable model: one line for a person, exit code 2."""
