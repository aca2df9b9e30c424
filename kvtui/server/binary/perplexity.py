"""The llama-perplexity that belongs to a llama-server: of the same build, named by a person or found beside it."""

import os
import sys
from pathlib import Path

from kvtui.base.findings import UsageError
from kvtui.server.binary.environment import child_environment
from kvtui.server.binary.help import parse_help
from kvtui.server.binary.inspect import ServerBinary, version_line
from kvtui.server.binary.named import asked
from kvtui.server.program.run import run_program

NAME = "llama-perplexity.exe" if sys.platform == "win32" else "llama-perplexity"
OPTION, VARIABLE = "--llama-perplexity", "LLAMA_PERPLEXITY"
NONE = "none"  # measure with llama-server alone
NEEDED_OPTIONS = frozenset({"--kl-divergence", "--kl-divergence-base", "--chunks", "--cache-type-k"})


def perplexity_of(server: ServerBinary, explicit: str | None = None) -> tuple[ServerBinary | None, str]:
    """(the llama-perplexity of `server`'s build, or None, and why the one beside it is not used). UsageError where the one
    named by the option or by LLAMA_PERPLEXITY is none, or of another build."""
    for named, where in ((explicit, OPTION), (os.environ.get(VARIABLE), VARIABLE)):
        if named == NONE:
            return None, ""
        if named:
            return _named(named, where, server), ""
    folders = dict.fromkeys((server.path.parent, server.path.resolve().parent))
    beside = next((f / NAME for f in folders if os.access(f / NAME, os.X_OK) and (f / NAME).is_file()), None)
    if beside is None:
        return None, ""
    try:
        found, problem = _asked(beside, server)
    except OSError as error:
        return None, f"{beside} cannot be started: {error.strerror or error}"
    return found, problem


def _named(text: str, where: str, server: ServerBinary) -> ServerBinary:
    found, problem = asked(text, NAME, where, lambda path: _asked(path, server))
    if found is None:
        raise UsageError(f"{where}: {problem}")
    return found


def _asked(path: Path, server: ServerBinary) -> tuple[ServerBinary | None, str]:
    """(what it said of itself, or None, and why it cannot measure what `server` does). OSError if it cannot be started."""
    env = child_environment(path)
    options = parse_help(run_program([str(path), "--help"], env).text)
    if not {name for option in options for name in option.names} >= NEEDED_OPTIONS:
        return None, f"{path} does not answer --help as llama-perplexity does"
    version = version_line(run_program([str(path), "--version"], env).text)
    if version != server.version:
        return None, f"{path} is of another build than the llama-server: {version or 'unknown'}, not {server.version}"
    return ServerBinary(path, server.build, server.build_source, version, server.backends, options), ""
