"""A plan's flags in the words of the build that will read them: translated, or left out with a note."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kvtui.flags.read import guessed_count, split_argv
from kvtui.server.binary.inspect import ServerBinary

Arguments = tuple[str, ...]


@dataclass(frozen=True)
class Rule:
    """What to say instead of an option: `into` gives the replacement for a value, `None` if there is none."""

    names: tuple[str, ...]
    into: Callable[[str, ServerBinary], Arguments | None]


def _load_mode(value: str, binary: ServerBinary) -> Arguments | None:
    """-lm where the build knows only the older switches."""
    older: dict[str, Arguments] = {
        "auto": (),
        "mmap": (),
        "none": ("--no-mmap",),
        "mlock": ("--no-mmap", "--mlock"),
        "mmap+mlock": ("--mlock",),
        "dio": ("--no-mmap", "--direct-io"),
    }
    return _known(older.get(value), binary)


def _known(arguments: Arguments | None, binary: ServerBinary) -> Arguments | None:
    if arguments is None or not all(a in binary.flags for a in arguments if a.startswith("-")):
        return None
    return arguments


def _always(*arguments: str) -> Callable[[str, ServerBinary], Arguments | None]:
    return lambda _, binary: _known(arguments, binary)


def _verbosity(value: str, binary: ServerBinary) -> Arguments | None:
    """Without levels there is only everything."""
    return _known(("--verbose",) if value.isdigit() and int(value) > 3 else (), binary)


def _slots_unified(_: str, binary: ServerBinary) -> Arguments | None:
    """Before unified caches existed there was one cache for all slots (src/llama-kv-cache.cpp)."""
    return () if "--kv-unified" not in binary.flags else None


# For an option that the build lacks. Order does not matter: each name is in one rule.
MISSING = (
    Rule(("-lm", "--load-mode"), _load_mode),
    Rule(("--no-mmap",), _always("--load-mode", "none")),
    Rule(("--mmap",), _always("--load-mode", "mmap")),
    Rule(("--mlock",), _always("--load-mode", "mmap+mlock")),
    Rule(("-dio", "--direct-io"), _always("--load-mode", "dio")),
    Rule(("-kvu", "--kv-unified"), _slots_unified),
    Rule(("-lv", "--verbosity", "--log-verbosity"), _verbosity),
)
# Options whose absence changes nothing with this value: a build that cannot do it does not do it.
HARMLESS = {
    ("-fit", "off"),
    ("--fit", "off"),
    ("-no-kvu", ""),
    ("--no-kv-unified", ""),
    ("-lzm", "off"),
    ("--lazy-mode", "off"),
    ("-ndio", ""),
    ("--no-direct-io", ""),
    ("-fit", "0"),
    ("--fit", "0"),
    ("-cram", "0"),
    ("--cache-ram", "0"),
}
FLASH_SWITCH = {"on": ("--flash-attn",), "1": ("--flash-attn",), "off": (), "0": ()}


def adapt_argv(argv: Sequence[str], binary: ServerBinary) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """`argv` as this build takes it, and one sentence for each option that was translated or left out."""
    adapted: list[str] = []
    notes: list[str] = []
    for option, values in split_options(argv, binary):
        replaced, note = _adapt(option, values, binary)
        adapted += replaced
        if note:
            notes.append(note)
    return tuple(adapted), tuple(notes)


def split_options(argv: Sequence[str], binary: ServerBinary) -> list[tuple[str, Arguments]]:
    """Options with their values: as many as the build's help says; an option it lacks takes one at most."""

    def count(option: str, rest: Sequence[str]) -> int:
        known = binary.by_name.get(option)
        if known is None:
            return guessed_count(option, rest)
        if option in ("-fa", "--flash-attn") and not known.value_hint:
            return int(bool(rest) and rest[0] in ("on", "off", "auto", "0", "1", "-1"))
        return known.values

    return list(split_argv(argv, count))


def _adapt(option: str, values: Arguments, binary: ServerBinary) -> tuple[Arguments, str]:
    value = values[0] if values else ""
    said = " ".join((option, *values))
    known = binary.by_name.get(option)
    build = binary.build or "this build"
    if known is not None and option in ("-fa", "--flash-attn") and not known.value_hint and values:
        if value in FLASH_SWITCH:
            return FLASH_SWITCH[value], ""
        return (), f"{said} left out: {build} can only switch flash attention on, and leaves it off"
    if known is not None:
        return (option, *values), ""
    if (option, value) in HARMLESS:
        return (), ""
    rule = next((r for r in MISSING if option in r.names), None)
    replaced = rule.into(value, binary) if rule else None
    if replaced is None:
        return (), f"{said} left out: {build} has no {option}"
    if not replaced:
        return (), f"{said} left out: it is what {build} does anyway"
    return replaced, f"{said} is {' '.join(replaced)} in {build}"
