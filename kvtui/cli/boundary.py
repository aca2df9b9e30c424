"""Where the command line ends: every outcome is an exit code, and every error one line on stderr."""

import contextlib
import gc
import os
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn

from kvtui.base.exit_codes import EXIT_OK, EXIT_UNFORESEEN, EXIT_USAGE, INTERRUPTED, NOBODY_READS, by_signal

_ALLOCATIONS = 50_000  # between two looks for garbage; with the usual 700 a tenth of the start goes into looking through modules


def main() -> None:
    """Entry point. Foreseen errors are one line and exit code 2; anything else one line, a report and exit code 3."""
    _end_in_order()
    gc.set_threshold(_ALLOCATIONS, 10, 10)
    threading.excepthook = _report_thread
    try:
        from kvtui.base.findings import KvtuiError

        code = _run(KvtuiError)
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.exit(code)


def _run(foreseen: type[Exception]) -> int:
    import click

    try:
        from kvtui.cli.commands import cli

        code = cli.main(standalone_mode=False)
        return code if isinstance(code, int) else EXIT_OK
    except SystemExit as e:
        return e.code if isinstance(e.code, int) else EXIT_OK
    except (click.exceptions.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except click.ClickException as e:
        return _told(e.format_message(), EXIT_USAGE)
    except foreseen as e:
        return _told(str(e), EXIT_USAGE)
    except BrokenPipeError:
        _nobody_reads()
        return NOBODY_READS
    except Exception as e:
        from kvtui.base.report_file import unforeseen

        return _told(unforeseen(e, " ".join(["kvtui", *sys.argv[1:]])), EXIT_UNFORESEEN)


def _report_thread(args: threading.ExceptHookArgs) -> None:
    """What ends a thread that has no boundary: in a report, not as a traceback over the screen."""
    from kvtui.base.report_file import write_report

    if args.exc_value is not None:
        write_report(args.exc_value, f"the thread {args.thread.name if args.thread else '?'}")


def emit(text: str) -> None:
    """Data to stdout, all of it at once. Raises KvtuiError where it cannot be written."""
    from kvtui.base.findings import KvtuiError

    if sys.stdout is None:  # closed by whoever started us
        raise KvtuiError("there is no standard output to write to")
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal without UTF-8
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        _nobody_reads()
        sys.exit(NOBODY_READS)
    except OSError as e:
        _nobody_reads()
        raise KvtuiError(f"the output cannot be written: {e.strerror}") from None


def say(text: str) -> None:
    """One line of words to stderr."""
    from kvtui.base.text import printable

    if sys.stderr is None:
        return
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"kvtui: {' '.join(printable(text).split())}\n")
        sys.stderr.flush()


def say_over(text: str) -> None:
    """Words to the terminal that stderr is, over those before: our own figures, no newline at their end."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def _told(message: str, code: int) -> int:
    say(message)
    return code


def _nobody_reads() -> None:
    """What is still buffered goes nowhere, instead of into a complaint at exit."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _end_in_order() -> None:
    """SIGTERM and SIGHUP end the program by an exception, so that what it started ends with it."""

    def end(number: int, _: FrameType | None) -> NoReturn:
        sys.exit(by_signal(number))

    for name in ("SIGTERM", "SIGHUP"):  # SIGHUP is not on Windows
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # nohup stays obeyed
            signal.signal(number, end)
