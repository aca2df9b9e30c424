"""What the first screen does not need: a module is imported when something of it is first used, or by `load_all`."""

import sys
from importlib import import_module
from threading import RLock
from typing import Any

# One thread at a time: modules of a package import each other, and of two threads that begin at different ends of that one
# would be handed a module that is half there (importlib gives up waiting rather than wait for ever).
_IMPORTING = RLock()


class Late:
    """Stands for a module, or for `name` of one: a function or a class that is called, or asked for an attribute. Where a type
    checker looks, the thing itself is imported in its place, so that the rules of who may import whom see it too."""

    def __init__(self, module: str, name: str = "") -> None:
        self._module, self._name = module, name

    def load(self) -> Any:
        """The thing itself."""
        with _IMPORTING:
            module = import_module(self._module)
        return getattr(module, self._name) if self._name else module

    def __getattr__(self, name: str) -> Any:
        return getattr(self.load(), name)

    def __call__(self, *args: Any, **values: Any) -> Any:
        return self.load()(*args, **values)


def load_all(package: str) -> None:
    """Imports all that stands late in the modules of `package` that are there."""
    with _IMPORTING:
        there = [module for name, module in sys.modules.items() if name.startswith(f"{package}.")]
        for module in there:
            for thing in vars(module).values():
                if isinstance(thing, Late):
                    thing.load()
