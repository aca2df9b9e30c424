"""A llama-server that runs, whoever started it: its command line and what its environment says of it."""

import os
from dataclasses import dataclass
from pathlib import Path

from kvtui.base.findings import UsageError
from kvtui.flags.command_line import CommandLine, read_command, starts_server
from kvtui.flags.known import known_flags
from kvtui.flags.read import split_argv
from kvtui.flags.variables import PREFIX
from kvtui.server.program.marks import PROC, name_of

_FILES = ("-m", "--model", "-mm", "--mmproj", "-md", "--model-draft", "--spec-draft-model")
_WITH = (PREFIX, "GGML_")  # of its environment what says how it loads
_VISIBLE = "_VISIBLE_DEVICES"


@dataclass(frozen=True)
class RunningServer:
    """A process and its command; files in it are named so that they are found from anywhere."""

    pid: int
    command: CommandLine


def running_server(pid: int) -> RunningServer:
    """The llama-server of that pid. Raises UsageError where there is none, or it may not be looked at."""
    try:
        words, environ, folder = _read(pid)
    except (FileNotFoundError, ProcessLookupError):
        raise UsageError(f"--pid {pid}: no such process") from None
    except PermissionError:
        raise UsageError(f"--pid {pid}: {name_of(pid)} is another user's, and does not show its command") from None
    try:
        command = read_command(words)
    except UsageError:
        command = CommandLine(())
    if not command.program:
        raise UsageError(f"--pid {pid}: {name_of(pid)} is no llama-server")
    env = tuple((name, value) for name, value in environ.items() if name.startswith(_WITH) or name.endswith(_VISIBLE))
    return RunningServer(pid, CommandLine(_from_anywhere(command.argv, folder), env, command.program))


def running_servers() -> tuple[int, ...]:
    """Pids of the llama-servers that run here and may be looked at."""
    import psutil

    found = []
    for process in psutil.process_iter():
        try:
            if starts_server(process.cmdline()):
                process.environ()
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return tuple(found)


def _read(pid: int) -> tuple[list[str], dict[str, str], Path]:
    """Words, environment and working folder. OSError."""
    folder = PROC / str(pid)
    if not (PROC / "self" / "cmdline").exists():
        return _read_by_psutil(pid)
    words = _texts((folder / "cmdline").read_bytes())
    said = (text.partition("=") for text in _texts((folder / "environ").read_bytes()))
    return words, {name: value for name, equals, value in said if equals}, Path(os.readlink(folder / "cwd"))


def _texts(content: bytes) -> list[str]:
    return [os.fsdecode(part) for part in content.removesuffix(b"\0").split(b"\0")]


def _read_by_psutil(pid: int) -> tuple[list[str], dict[str, str], Path]:
    import psutil

    try:
        process = psutil.Process(pid)
        return process.cmdline(), process.environ(), Path(process.cwd())
    except psutil.AccessDenied:
        raise PermissionError(pid) from None
    except psutil.Error:
        raise ProcessLookupError(pid) from None


def _from_anywhere(argv: tuple[str, ...], folder: Path) -> tuple[str, ...]:
    """`argv` with whole paths of the files it names."""
    counts = known_flags()
    words: list[str] = []
    for flag, values in split_argv(argv):
        plain = flag.replace("_", "-") if flag.startswith("--") else flag
        is_file = plain in _FILES and plain in counts
        words += [flag, *(str(folder / v) for v in values)] if is_file else [flag, *values]
    return tuple(words)
