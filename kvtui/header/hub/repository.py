"""A repository of the Hub: its quantizations, the one that a name means, and where its header is read."""

from collections.abc import Callable
from dataclasses import dataclass

from kvtui.header.address import ModelAddress
from kvtui.header.hub.endpoint import Endpoint
from kvtui.header.hub.listing import hub_files
from kvtui.header.hub.quantizations import Quantization, check_whole, chosen_file, quantizations
from kvtui.header.hub_name import HubName
from kvtui.header.reader import HeaderError


@dataclass(frozen=True)
class Repository:
    """`models` in the repository's order; `usual`: the name of the one that llama-server takes unasked."""

    repo: str
    endpoint: Endpoint
    models: tuple[Quantization, ...]
    usual: str

    def address(self, model: Quantization) -> ModelAddress:
        """What opens it. Raises HeaderError where parts of it are not there."""
        check_whole(model)
        name = HubName(self.repo, model.name)
        return ModelAddress(str(name), self.endpoint.file_url(name, model.files[0].path))

    @property
    def others_said(self) -> str:
        """One sentence on what was taken unasked; "" where there was nothing to choose."""
        others = [m.name for m in self.models if m.name != self.usual]
        return f"hf:{self.repo}: {self.usual} is taken; there is also {', '.join(others)}" if others else ""


def open_repository(name: HubName, endpoint: Endpoint, watch: Callable[[], None] = lambda: None) -> Repository:
    """What the Hub lists. Raises HeaderError, also where there is no model in it."""
    files = hub_files(name, endpoint, watch)
    models = quantizations(files)
    first = chosen_file(files, "")
    usual = next((m.name for m in models if m.files[0] == first), None)
    if usual is None:
        raise HeaderError(f"hf:{name.repo}: there is no GGUF model in this repository")
    return Repository(name.repo, endpoint, models, usual)


def model_named(repository: Repository, quant: str) -> Quantization:
    """The model that `quant` means; the usual one where it is "". Raises HeaderError."""
    if not quant:
        return next(m for m in repository.models if m.name == repository.usual)
    first = chosen_file([m.files[0] for m in repository.models], quant)
    found = next((m for m in repository.models if m.files[0] == first), None)
    if found is None:
        there = ", ".join(m.name for m in repository.models)
        raise HeaderError(f"hf:{repository.repo}:{quant}: there is no such quantization; there is {there}")
    return found
