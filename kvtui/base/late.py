"""What the first screen does not need: a module is imported when something of it is first used, by whichever thread uses it."""

from importlib import import_module
from typing import Any


class Late:
    """Stands for a module, or for `name` of one: a function or a class that is called, or asked for an attribute. Where a type
    checker looks, the thing itself is imported in its place, so that the rules of who may import whom see it too."""

    def __init__(self, module: str, name: str = "") -> None:
        self._module, self._name = module, name

    def _itself(self) -> Any:
        module = import_module(self._module)
        return getattr(module, self._name) if self._name else module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._itself(), name)

    def __call__(self, *args: Any, **values: Any) -> Any:
        return self._itself()(*args, **values)
