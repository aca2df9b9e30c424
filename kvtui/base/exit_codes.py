"""How this program ends, in the number that a shell sees."""

EXIT_OK, EXIT_NO, EXIT_USAGE, EXIT_UNFORESEEN = 0, 1, 2, 3
_SIGNALLED = 128  # POSIX shells, $? of a command that a signal ended: 128 + its number
INTERRUPTED = _SIGNALLED + 2  # SIGINT
NOBODY_READS = _SIGNALLED + 13  # SIGPIPE, which Windows has no name for


def by_signal(number: int) -> int:
    """The exit code of what ended by a signal."""
    return _SIGNALLED + number


def as_shells_say(returncode: int) -> int:
    """A child's `returncode` (subprocess: below 0, minus the signal that ended it) as an exit code."""
    return returncode if returncode >= 0 else by_signal(-returncode)
