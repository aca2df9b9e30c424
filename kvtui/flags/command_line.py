"""A command line as a person pastes it: what is around llama-server's own flags taken off, and the model found in them."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath

from kvtui.base.build import DEFAULT_BUILD, Build
from kvtui.base.findings import UsageError
from kvtui.flags.read import is_flag, split_argv
from kvtui.flags.variables import variables_as_flags

_PROGRAM = re.compile(r"^llama-server(-[\w.-]+)?(\.exe)?$", re.IGNORECASE)
_ONE_FOR_ALL, _ITS_WORDS = "llama", ("serve", "server")  # the program that holds all tools, and its word for this one
_ASSIGNMENT = re.compile(r"^[A-Za-z_]\w*=")
_CONTINUED = re.compile(r"[\\^`][ \t]*\r?\n")  # of a shell, of cmd.exe, of PowerShell
_PROMPTS = ("$", "#", "%", ">")
_BETWEEN = re.compile(r"^(\||\|\||&|&&|;)$")  # another command follows
_REDIRECTION = re.compile(r"^[\d&]?>")

# Options that name the model, and what is before their value where a model is named otherwise
_MODELS = {
    **dict.fromkeys(("-m", "--model", "-mu", "--model-url"), ""),
    **dict.fromkeys(("-hf", "-hfr", "--hf-repo"), "hf:"),
}
_NO_HEADER = {
    **dict.fromkeys(("-dr", "--docker-repo"), "the header of a container registry's model cannot be read here"),
    **dict.fromkeys(("-hff", "--hf-file"), "a file is chosen by its quantization here (hf:org/repo:quant)"),
    **dict.fromkeys(("--models-dir", "--models-preset"), "it is the models' own commands that load them"),
}


@dataclass(frozen=True)
class CommandLine:
    """`argv`: the words after the program, as they stand; `env`: what is set before it; `program`: "" where none is named."""

    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    program: str = ""

    def flags(self, build: Build = DEFAULT_BUILD) -> tuple[str, ...]:
        """What the environment says, and then what the command does. Raises UsageError."""
        return (*variables_as_flags(dict(self.env), build), *self.argv)


def read_command(words: Sequence[str]) -> CommandLine:
    """Words that a shell made, or one that holds a whole command. Raises UsageError for what is no llama-server's."""
    if len(words) == 1 and any(c.isspace() for c in words[0].strip()):
        return read_pasted(words[0])
    torn = [word for word in words if word != "\\" and (not word or word.strip())]  # a backslash before a space, as arguments
    return _without_surroundings(torn)


def read_pasted(text: str) -> CommandLine:
    """A command as it stands in a shell, a script or a README. Raises UsageError."""
    try:
        words = shlex.split(_CONTINUED.sub(" ", text), comments=False)
    except ValueError as e:
        raise UsageError(f"the command cannot be read: {str(e).lower()}") from None
    commands: list[list[str]] = [[]]
    for word in words:
        if _BETWEEN.match(word):
            commands.append([])
        else:
            commands[-1].append(word.removesuffix(";"))
    of_ours = next((c for c in commands if any(_is_program(w) for w in c)), commands[0])
    end = next((i for i, word in enumerate(of_ours) if _REDIRECTION.match(word)), len(of_ours))
    return _without_surroundings([w for w in of_ours[:end] if w != "\\"])


def starts_server(words: Sequence[str]) -> bool:
    """Whether a process's words begin with llama-server itself."""
    return _program_at(words[:1]) == 0 or (_program_at(words[:2]) == 1 and _name(words[0]) == _ONE_FOR_ALL)


def _is_program(word: str) -> bool:
    return bool(_PROGRAM.match(_name(word)))


def _name(word: str) -> str:
    return PureWindowsPath(word).name if "\\" in word else PurePosixPath(word).name


def _without_surroundings(words: Sequence[str]) -> CommandLine:
    words = words[1:] if words[:1] and words[0] in _PROMPTS else words
    at = _program_at(words)
    before = words[: at + 1] if at is not None else words[: next((i for i, w in enumerate(words) if is_flag(w)), len(words))]
    env = tuple((w.partition("=")[0], w.partition("=")[2]) for w in before if _ASSIGNMENT.match(w))
    if at is not None:
        return CommandLine(tuple(words[at + 1 :]), env, words[at])
    strange = next((w for w in before if not _ASSIGNMENT.match(w)), None)
    if strange is not None:
        raise UsageError(f"{strange}: a command of llama-server is its name, or a path to it, and its flags")
    if not words[len(before) :] and not env:
        raise UsageError("the command is empty: give llama-server's flags after --, or --pid")
    return CommandLine(tuple(words[len(before) :]), env)


def _program_at(words: Sequence[str]) -> int | None:
    """Where llama-server itself stands, behind what only starts it (sudo, nice -n 5, env A=1); None where flags come first,
    or it is not there."""
    first = next((w for w in words if not _ASSIGNMENT.match(w)), "")
    if is_flag(first):
        return None
    for i, word in enumerate(words):
        if _is_program(word):
            return i
        if _name(word) == _ONE_FOR_ALL and words[i + 1 : i + 2] and words[i + 1] in _ITS_WORDS:
            return i + 1
    return None


def split_model(argv: Sequence[str], *, wanted: bool = True) -> tuple[str, tuple[str, ...]]:
    """The model that flags name ("" where none does), as kvtui names one, and the flags without it. The last one counts.
    Raises UsageError for one whose header cannot be read, where it is `wanted`."""
    model: str = ""
    rest: list[str] = []
    for flag, values in split_argv(argv):
        plain = flag.replace("_", "-") if flag.startswith("--") else flag
        if plain in _NO_HEADER and wanted:
            raise UsageError(f"{flag}: {_NO_HEADER[plain]}; name the model before --, and leave this out")
        if plain in _MODELS and values:
            model = _MODELS[plain] + values[0]
        elif plain not in _NO_HEADER:
            rest += [flag, *values]
    return model, tuple(rest)
