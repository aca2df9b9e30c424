"""The model that a person named."""

import os

from kvtui.cli.boundary import say
from kvtui.header.address import ModelAddress


def named_model(text: str) -> ModelAddress:
    """A name of the Hub is looked up there; what was taken unasked is said. Raises UsageError."""
    address = ModelAddress(text)
    if not address.is_hub:
        return address
    from kvtui.tasks.hub import found_on_hub

    found, said = found_on_hub(address.hub, os.environ)
    if said:
        say(said)
    return found
