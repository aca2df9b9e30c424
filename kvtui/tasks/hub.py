"""Names of the Hub, looked up with what the environment says of it."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from kvtui.base.findings import UsageError
from kvtui.header.address import ModelAddress
from kvtui.header.hub_name import HubName

if TYPE_CHECKING:
    from kvtui.header.hub.repository import Repository


def repository_of(name: HubName, env: Mapping[str, str], watch: Callable[[], None] = lambda: None) -> "Repository":
    """What is in the repository. `watch` is called as answers come in, and may raise to cancel. Raises UsageError."""
    from kvtui.header.hub.endpoint import endpoint_of
    from kvtui.header.hub.repository import open_repository
    from kvtui.header.reader import HeaderError

    try:
        return open_repository(name, endpoint_of(env), watch)
    except HeaderError as e:
        raise UsageError(str(e)) from None


def found_on_hub(name: HubName, env: Mapping[str, str]) -> tuple[ModelAddress, str]:
    """(what opens the model that `name` means, a sentence on what else there is where it was chosen unasked). Raises
    UsageError."""
    from kvtui.header.hub.repository import model_named
    from kvtui.header.reader import HeaderError

    repository = repository_of(name, env)
    try:
        address = repository.address(model_named(repository, name.quant))
    except HeaderError as e:
        raise UsageError(str(e)) from None
    return address, "" if name.quant else repository.others_said
