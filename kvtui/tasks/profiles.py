"""Sets of options with a name, a file a kind: profiles, and machines, which are the options that describe one."""

import re
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args

from kvtui.base.fields import Fields
from kvtui.base.files import FileError, state_folder
from kvtui.base.findings import UsageError
from kvtui.base.stored import Kept
from kvtui.tasks.options import OF_MACHINES, Options

_SCHEMA = 1
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
NOT_KEPT = frozenset(("config", "profile", "machine"))  # where options came from; they are in the others already
Profiles = dict[str, "Profile"]


@dataclass(frozen=True)
class Profile:
    """A model, where one was named, and the options given with it."""

    model: str | None
    options: Options


def _default(f: "Field[Any]") -> Any:
    assert f.default is not MISSING
    return f.default


def _written(options: Options) -> dict[str, Any]:
    """What was given, by the option's name."""
    given = {f.name: getattr(options, f.name) for f in fields(Options) if f.name not in NOT_KEPT}
    plain = {f.name: _default(f) for f in fields(Options)}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in given.items() if v != plain[name]}


def _read(table: Fields, names: dict[str, Any]) -> Options:
    """Options of an object; ValueError for a name or a kind of value that no option has."""
    known = {f.name: f for f in fields(Options) if f.name not in NOT_KEPT}
    values: dict[str, Any] = {}
    for name in names:
        if name not in known:
            raise ValueError(f"{name} is no option")
        f = known[name]
        kinds = (f.type, *get_args(f.type))
        if isinstance(_default(f), tuple):
            values[name] = table.texts(name)
        elif bool in kinds:
            values[name] = table.flag(name)
        elif int in kinds:
            values[name] = table.whole(name)
        else:
            values[name] = table.text(name)
    return Options(**values)


@dataclass(frozen=True)
class Kind:
    """What is saved under names of its own: `name` in sentences, and with an s in its file."""

    name: str

    @property
    def path(self) -> Path:
        """Its file."""
        return state_folder() / f"{self.name}s.json"

    @property
    def store(self) -> "Kept[Profiles]":
        """How that is read and written."""
        return Kept(_SCHEMA, self._of_fields, self._as_json)

    def _of_fields(self, data: Fields) -> "Profiles":
        found = {}
        for name, value in data.table(f"{self.name}s").items():
            entry = Fields(value)
            model = entry.get("model", None)
            options = entry.table("options")
            found[name] = Profile(None if model is None else entry.text("model"), _read(Fields(options), options))
        return found

    def _as_json(self, kept: "Profiles") -> dict[str, Any]:
        return {f"{self.name}s": {name: {"model": p.model, "options": _written(p.options)} for name, p in kept.items()}}


PROFILES, MACHINES = Kind("profile"), Kind("machine")


def profiles(of: Kind = PROFILES) -> Profiles:
    """All of them by name, in alphabetical order."""
    return dict(sorted((of.store.load(of.path) or {}).items()))


def read_profile(name: str, of: Kind = PROFILES) -> Profile:
    """The one of this name. Raises UsageError, which names those there are."""
    found = profiles(of)
    if name not in found:
        there = f"there are {', '.join(found)}" if found else "none is saved yet"
        raise UsageError(f"no {of.name} {name}: {there}")
    return found[name]


def save_profile(name: str, profile: Profile, of: Kind = PROFILES) -> None:
    """Keep it, in place of one of the same name. Raises UsageError."""
    if not _NAME.match(name):
        raise UsageError(f"{name!r} is no {of.name}'s name: letters, digits, dots, hyphens and underscores, 64 at most")
    _change(of, lambda before: {**before, name: profile})


def delete_profile(name: str, of: Kind = PROFILES) -> None:
    """Raises UsageError where there is none."""
    read_profile(name, of)
    _change(of, lambda before: {n: p for n, p in before.items() if n != name})


def _change(of: Kind, change: Callable[[Profiles], Profiles]) -> None:
    try:
        of.store.update(of.path, lambda before: change(before or {}))
    except FileError:
        raise
    except OSError as e:
        raise UsageError(f"{of.path}: cannot be written: {e.strerror or e}") from None


def on_machine(name: str, given: Options) -> Options:
    """`given` on the machine saved as `name`: it says what of the machine `given` leaves open. Raises UsageError."""
    return under_given(read_profile(name, MACHINES), given)


def same_machine(options: Options, described: Options) -> Options:
    """`options`, for the machine of `described`."""
    return replace(options, **{name: getattr(described, name) for name in OF_MACHINES})


def under_given(profile: Profile, given: Options) -> Options:
    """`given`, with what it leaves open taken from the profile."""
    left = {f.name: getattr(profile.options, f.name) for f in fields(Options) if getattr(given, f.name) == _default(f)}
    return replace(given, **left)


def settings(profile: Profile) -> dict[str, str]:
    """What a profile says, by the names that llama-server and the command line use, for people."""
    said = {"model": profile.model} if profile.model is not None else {}
    for name, value in _written(profile.options).items():
        said[name.replace("_", "-")] = ", ".join(value) if isinstance(value, list) else str(value)
    return said


def difference(a: Profile, b: Profile) -> dict[str, tuple[str | None, str | None]]:
    """What differs, None where one of them leaves it open."""
    one, other = settings(a), settings(b)
    return {key: (one.get(key), other.get(key)) for key in sorted({*one, *other}) if one.get(key) != other.get(key)}
