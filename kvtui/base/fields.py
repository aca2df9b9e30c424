"""The fields of an object that was read from a file, each checked as it is taken. Raises ValueError, which names it."""

import math
from collections.abc import Mapping
from typing import Any

MOST_TEXT = 1 << 20  # characters of a text field
MOST_ITEMS = 10_000  # entries of a list or a table
_LARGEST = 2**63  # bytes, tokens, counts


class Fields:
    """Typed access to a parsed object; what is not there takes the default, where there is one."""

    def __init__(self, value: Any) -> None:
        if not isinstance(value, dict):
            raise ValueError("no object")
        self._value: dict[str, Any] = value

    def get(self, name: str, default: Any = ...) -> Any:
        """As it is, unchecked."""
        if name in self._value:
            return self._value[name]
        if default is ...:
            raise ValueError(f"{name} is missing")
        return default

    def text(self, name: str, default: Any = ...) -> str:
        """A string."""
        return _text(name, self.get(name, default))

    def whole(self, name: str, default: Any = ...) -> int:
        """An integer of 64 bits."""
        return _whole(name, self.get(name, default))

    def number(self, name: str, default: Any = ...) -> float:
        """A finite number."""
        value = self.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or abs(value) > _LARGEST:
            raise ValueError(f"{name} is no number")
        return float(value)

    def flag(self, name: str, default: Any = ...) -> bool:
        """True or false."""
        value = self.get(name, default)
        if not isinstance(value, bool):
            raise ValueError(f"{name} is neither true nor false")
        return value

    def items(self, name: str, default: Any = ...) -> list[Any]:
        """A list, its entries unchecked."""
        value = self.get(name, default)
        if not isinstance(value, list | tuple) or len(value) > MOST_ITEMS:
            raise ValueError(f"{name} is no list")
        return list(value)

    def texts(self, name: str, default: Any = ...) -> tuple[str, ...]:
        """A list of strings."""
        return tuple(_text(name, v) for v in self.items(name, default))

    def table(self, name: str, default: Any = ...) -> dict[str, Any]:
        """An object, its values unchecked."""
        value = self.get(name, default)
        if not isinstance(value, Mapping) or len(value) > MOST_ITEMS:
            raise ValueError(f"{name} is no table")
        return dict(value)

    def amounts(self, name: str, default: Any = ...) -> dict[str, int]:
        """Integers by name: bytes by device."""
        return {key: _whole(f"{name}.{key}", value) for key, value in self.table(name, default).items()}


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > MOST_TEXT:
        raise ValueError(f"{name} is no text")
    return value


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= _LARGEST:
        raise ValueError(f"{name} is no whole number")
    return value
