"""llama-server's options in its environment, LLAMA_ARG_*: read before its command line, which wins."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from kvtui.base.build import DEFAULT_BUILD, Build
from kvtui.base.data import data_file
from kvtui.base.findings import UsageError
from kvtui.flags.known import known_flags

PREFIX = "LLAMA_ARG_"
_NO = "LLAMA_ARG_NO_"  # common/arg.cpp, get_value_from_env: of a switch with both words, set to anything
_TRUE, _FALSE = ("on", "enabled", "true", "1"), ("off", "disabled", "false", "0")  # is_truthy, is_falsey


@dataclass(frozen=True)
class _Variable:
    """`name` stands for the flag `yes`; `no`: the word for its contrary, "" where there is none."""

    name: str
    yes: str
    no: str

    def words(self, environ: Mapping[str, str], values: int) -> tuple[str, ...]:
        """The flags that say the same. Raises UsageError for what is no switch's value."""
        if self.no and self.name.replace(PREFIX, _NO, 1) in environ:
            return (self.no,)
        said = environ.get(self.name)
        if said is None:
            return ()
        if values:
            return self.yes, said
        if said in _TRUE:
            return (self.yes,)
        if said in _FALSE or not self.no:
            return (self.no,) if self.no else ()
        raise UsageError(f"{self.name}={said}: one of {', '.join((*_TRUE, *_FALSE))}")


@cache
def _variables() -> tuple[_Variable, ...]:
    found = []
    for line in data_file("server-variables.txt").read_text().splitlines():
        if not line.startswith("#"):
            name, *flags = line.split()
            long = [f for f in flags if f.startswith("--")] or flags
            yes = next((f for f in long if not f.startswith("--no-")), long[0])
            found.append(_Variable(name, yes, next((f for f in long if f.startswith("--no-") and f != yes), "")))
    return tuple(found)


def variables_as_flags(environ: Mapping[str, str], build: Build = DEFAULT_BUILD) -> tuple[str, ...]:
    """What `environ` says to a llama-server, as flags that come before those of its command line. Variables that it does not
    know go unheard, as there. Raises UsageError."""
    known = known_flags(build)
    words: list[str] = []
    for variable in _variables():
        if variable.yes in known:
            words += variable.words(environ, max(known[variable.yes], 0))
    return tuple(words)
