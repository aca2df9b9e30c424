"""The one loader and the one saver of what kvtui keeps as JSON: measurements, records, choices, caches.

A file is an object with its `schema`. A damaged one is set aside as NAME.damaged; one of a newer kvtui is left alone."""

import contextlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from kvtui.base.fields import Fields
from kvtui.base.files import FileError, locked, private_folder, read_regular, replace_locked
from kvtui.base.findings import SET_ASIDE, Finding
from kvtui.base.parse import parse_json

T = TypeVar("T")
Fault = Literal["", "absent", "damaged", "newer"]
DAMAGED = ".damaged"


class NewerFileError(FileError):
    """A file that a newer kvtui wrote, and that this one would spoil."""


@dataclass(frozen=True)
class Kept(Generic[T]):
    """One kind of file. `read` makes the value of the object's fields and raises ValueError where one is wrong;
    `write` gives the object (without its schema)."""

    schema: int
    read: Callable[[Fields], T]
    write: Callable[[T], dict[str, Any]]
    limit_bytes: int = 4 << 20

    def load(self, path: Path) -> T | None:
        """What is there; None where there is nothing, nothing that can be read, or a newer kvtui's file. A damaged
        file is set aside, so that it is neither met again nor lost."""
        value, fault = self._look(path)
        if fault == "damaged":
            self._set_aside(path)
        return value

    def save(self, path: Path, value: T) -> None:
        """Put `value` in place of what is there. OSError, or NewerFileError with a sentence."""
        self.update(path, lambda _: value)

    def save_if_possible(self, path: Path, value: T) -> None:
        """`save` for what can be found out again: that there is no room for it is nobody's trouble."""
        with contextlib.suppress(OSError, NewerFileError):
            self.save(path, value)

    def update(self, path: Path, change: Callable[[T | None], T]) -> T:
        """Read, change and write with no other kvtui in between. OSError, or NewerFileError with a sentence."""
        private_folder(path.parent)
        with locked(path.parent) as alone:
            before, fault = self._look(path)
            if fault == "newer":
                raise NewerFileError(f"{path} was written by a newer kvtui and is kept as it is")
            if fault == "damaged":
                _rename(path)
            value = change(before)
            content = json.dumps({"schema": self.schema, **self.write(value)}).encode()
            replace_locked(path, content, clean=alone)
            return value

    def _look(self, path: Path) -> tuple[T | None, Fault]:
        try:
            data = read_regular(path, self.limit_bytes)
        except OSError:
            return None, "absent"
        except FileError:
            return None, "damaged"
        try:
            fields = Fields(parse_json(data.decode()))
            schema = fields.whole("schema", 1)
            if schema > self.schema:
                return None, "newer"
            if schema < self.schema:
                raise ValueError(f"schema {schema} is no longer read")
            return self.read(fields), ""
        except ValueError:
            return None, "damaged"

    def _set_aside(self, path: Path) -> None:
        with contextlib.suppress(OSError), locked(path.parent):
            if self._look(path)[1] == "damaged":  # and has not been written anew meanwhile
                _rename(path)


def _rename(path: Path) -> None:
    with contextlib.suppress(OSError):
        os.replace(path, path.with_name(path.name + DAMAGED))


def set_aside(folder: Path, what: str) -> tuple[Finding, ...]:
    """A note that names the damaged files of a folder, as long as they lie there."""
    try:
        names = sorted(f.name for f in folder.iterdir() if f.name.endswith(DAMAGED))
    except OSError:
        return ()
    if not names:
        return ()
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    said = f"{what} that could not be read is set aside as {folder / names[0]}{more}; delete it when you have looked"
    return (Finding(SET_ASIDE, "note", said),)
