"""A plan taken elsewhere: as a command, a script, a service, an entry of llama-swap, a preset, an environment file.

Each carries the flags and the environment they need, one argument staying one argument whatever it holds. What a
format cannot hold raises ExportError with a sentence, rather than being written wrongly.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from kvtui.base.findings import KvtuiError
from kvtui.base.shell import script_word, shell_line, shell_word
from kvtui.server.binary.abilities import split_options
from kvtui.server.binary.environment import LAUNCH_ENVIRONMENT, child_environment
from kvtui.server.binary.help import Option
from kvtui.server.binary.inspect import ServerBinary

_ENV_OF_OPTION = re.compile(r"\(env: (\w+)\)")
_SECTION = re.compile(r"[^\]\s][^\]]*$")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*$")


class ExportError(KvtuiError, ValueError):
    """What a form of export cannot hold; one sentence."""


def export_environment(binary: ServerBinary, plan_env: Mapping[str, str] | None = None) -> dict[str, str]:
    """What the command needs beside what any shell has: the plan's own, and where the binary's libraries are."""
    library = {k: v for k, v in child_environment(binary.path, inherited={}).items() if k.endswith("LIBRARY_PATH")}
    return {**LAUNCH_ENVIRONMENT, **library, **(plan_env or {})}


def shell_command(command: Sequence[str], env: Mapping[str, str]) -> str:
    """One line to paste: for any POSIX shell, or with $'...' where a word holds what a terminal would obey."""
    check_words(command, env)
    return " ".join([*(f"{name}={shell_word(value)}" for name, value in env.items()), shell_line(command)])


def shell_script(command: Sequence[str], env: Mapping[str, str]) -> str:
    """A script that takes further arguments; inherited LLAMA_ARG_* would beat the plan, so they are unset."""
    check_words(command, env)
    lines = [
        "#!/bin/sh",
        "# llama-server with the placement that kvtui planned",
        "set -eu",
        "for name in $(env | sed -n 's/^\\(LLAMA_ARG_[A-Z0-9_]*\\)=.*/\\1/p'); do unset \"$name\"; done",
        *(f"export {name}={_script_word(value)}" for name, value in env.items()),
        f"exec {_script_word(command[0])} \\",
        *(f"    {_script_word(word)} \\" for word in command[1:]),
        '    "$@"',
    ]
    return "\n".join(lines) + "\n"


def systemd_unit(command: Sequence[str], env: Mapping[str, str], description: str = "llama-server") -> str:
    """A unit for `systemctl --user`; put it in ~/.config/systemd/user/."""
    check_words(command, env)
    if not Path(command[0]).is_absolute():
        raise ExportError(f"a unit needs the program's whole path, not {command[0]!r}")
    if re.search(r"[\"'\\]", command[0]) or not command[0].isprintable():  # systemd: string_is_safe
        raise ExportError(f"systemd takes no program whose path holds a quote or a backslash: {command[0]!r}")
    # the program itself is taken as it stands, without $ expansion
    words = [_systemd(command[0], dollar=False), *(_systemd(word, dollar=True) for word in command[1:])]
    lines = [
        "[Unit]",
        f"Description={''.join(c for c in description if c.isprintable()).replace('%', '%%').replace(chr(92), '/')}",
        "",
        "[Service]",
        *(f"Environment={_systemd(f'{name}={value}', dollar=False)}" for name, value in env.items()),
        "ExecStart=" + " \\\n    ".join(words),
        "KillSignal=SIGINT",
        "KillMode=mixed",  # to the program alone: a second signal ends a llama-server at once (tools/server/server.cpp)
        "TimeoutStopSec=30",
        "Restart=on-failure",
        "RestartSec=5",
        "",
        "[Install]",
        "WantedBy=default.target",
    ]
    return "\n".join(lines) + "\n"


def llama_swap_entry(name: str, command: Sequence[str], env: Mapping[str, str]) -> str:
    """An entry for llama-swap's `models:`; its ${PORT} takes the place of the port."""
    check_words(command, env)
    words = list(command)
    if "--port" in words:
        del words[words.index("--port") : words.index("--port") + 2]
    if any("\n" in word for word in words):
        raise ExportError("llama-swap reads a command line by line: an argument with a line break cannot be written")
    if any("${" in value for value in env.values()):
        raise ExportError("llama-swap would take ${ in a variable's value for a macro")
    _check_utf8("YAML", [name, *words, *env.values()])
    # '$''{' is the same word for its command parser and no macro for its configuration
    said = " ".join(shlex.quote(word).replace("${", "$''{") for word in words) + " --port ${PORT}"
    lines = [
        "models:",
        f"  {_yaml(name)}:",
        f"    cmd: {_yaml(said)}",
        *(["    env:"] if env else []),
        *(f"      - {_yaml(f'{key}={value}')}" for key, value in env.items()),
    ]
    return "\n".join(lines) + "\n"


def server_preset(name: str, model: Path, argv: Sequence[str], binary: ServerBinary) -> str:
    """A section for llama-server's --models-preset (common/preset.cpp: a value ends at ; or # or the line)."""
    _check_utf8("a preset", [name, str(model), *argv])  # common/preset.cpp parses code points
    if not _SECTION.match(name):
        raise ExportError(f"a preset cannot be called {name!r}")
    lines = [f"[{name}]"]
    for option, value in (("-m", str(model)), *((o, _one(o, v)) for o, v in split_options(argv, binary))):
        known = _known(option, binary)
        if known.value_hint:
            text = value
        else:
            text = "false" if _is_negative(known, option) else "true"
        if re.search(r"[;#\r\n]", text) or text != text.strip():
            raise ExportError(f"a preset cannot hold {text!r}: it would end at ; # or the line's end")
        _check_shown("a preset", [text])
        lines.append(f"{_long(known).lstrip('-')} = {text}")
    return "\n".join(lines) + "\n"


def router_preset(
    models: Mapping[str, tuple[Path, Sequence[str]]], env: Mapping[str, str], host: str, port: int, binary: ServerBinary
) -> str:
    """All models by name, for a llama-server without -m; each is loaded when it starts (common/arg.cpp,
    common_params_add_preset_options). How it is started stands in a comment: a preset holds neither the number of models
    that may be loaded nor an environment (tools/server/server-models.cpp, unset_reserved_args)."""
    command = (str(binary.path), "--models-preset", "FILE", "--models-max", str(len(models)), "--host", host, "--port", str(port))
    sections = [f"{server_preset(name, model, argv, binary)}load-on-startup = true\n" for name, (model, argv) in models.items()]
    return "\n".join([f"; {shell_command(command, env)}", *sections])


def environment_file(model: Path, argv: Sequence[str], env: Mapping[str, str], binary: ServerBinary) -> str:
    """Variables that llama-server reads instead of flags, for `set -a; . FILE` (or a unit's EnvironmentFile)."""
    variables = dict(env)
    for option, value in (("-m", str(model)), *((o, _one(o, v)) for o, v in split_options(argv, binary))):
        known = _known(option, binary)
        found = _ENV_OF_OPTION.search(known.text)
        if not found:
            raise ExportError(f"{option} has no variable in {binary.build or 'this build'}")
        variables[found[1]] = value if known.value_hint else ("0" if _is_negative(known, option) else "1")
    check_words((), variables)
    _check_shown("an environment file", list(variables.values()))
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())


def check_words(command: Sequence[str], env: Mapping[str, str]) -> None:
    """What no form can hold. Raises ExportError."""
    for name in env:
        if not _NAME.match(name):
            raise ExportError(f"{name!r} is no name of a variable")
    if any("\0" in word for word in (*command, *env.values())):
        raise ExportError("no argument may hold a zero byte")


def _check_utf8(form: str, words: Sequence[str]) -> None:
    for word in words:
        if any("\ud800" <= c <= "\udfff" for c in word):
            raise ExportError(f"{form} is UTF-8, and {shell_word(word)} is not")


def _check_shown(form: str, words: Sequence[str]) -> None:
    """For forms that have no escapes. Raises ExportError."""
    for word in words:
        if (shown := shell_word(word)).startswith("$"):
            raise ExportError(f"{form} has no escapes, and a terminal would obey what stands in {shown}")


def _script_word(word: str) -> str:
    try:
        return script_word(word)
    except ValueError as e:
        raise ExportError(f"a script: {e}") from None


def _known(option: str, binary: ServerBinary) -> Option:
    known = binary.by_name.get(option)
    if known is None:
        raise ExportError(f"{binary.build or 'this build'} has no {option}")
    return known


def _one(option: str, values: Sequence[str]) -> str:
    if len(values) > 1:
        raise ExportError(f"{option} takes two values, which only a command line can give")
    return values[0] if values else ""


def _long(option: Option) -> str:
    """The positive long name: presets and variables are named by it."""
    return next((n for n in option.names if n.startswith("--") and not n.startswith("--no-")), option.names[-1])


def _is_negative(option: Option, name: str) -> bool:
    """Whether this name switches it off: the help lists the names that switch it on first."""
    positive = _long(option)
    has_both = any(n.startswith("--no-") for n in option.names) and not positive.startswith("--no-")
    return has_both and option.names.index(name) > option.names.index(positive)


def _yaml(text: str) -> str:
    """A string in double quotes (YAML 1.2, 5.7): JSON's form, but a code point beyond 16 bits is one escape or itself."""
    return '"' + "".join(c if c.isprintable() and c not in '"\\' else _yaml_escape(c) for c in text) + '"'


def _yaml_escape(character: str) -> str:
    return f"\\{character}" if character in '"\\' else f"\\U{ord(character):08x}"


def _systemd(word: str, dollar: bool) -> str:
    """systemd.syntax(7), "Quoting"; systemd.service(5), "Command lines": $ and % are doubled."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    if dollar:
        text = text.replace("$", "$$")
    return '"' + "".join(c if c.isprintable() else _systemd_escape(c) for c in text) + '"'


def _systemd_escape(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
