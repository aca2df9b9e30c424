"""Models side by side: whether and how each fits here, from their headers alone."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kvtui.base.findings import KvtuiError, UsageError
from kvtui.header.address import ModelAddress
from kvtui.header.hub_name import HubName
from kvtui.header.shelf import ShelfModel, shelf_models, usual_places
from kvtui.placement.fitting import Fitting, Offer
from kvtui.placement.plan import searched_plan
from kvtui.tasks.history import with_learned
from kvtui.tasks.hub import repository_of
from kvtui.tasks.opening import load, request_of
from kvtui.tasks.options import Options

if TYPE_CHECKING:
    from kvtui.header.hub.quantizations import Quantization
    from kvtui.header.hub.repository import Repository
    from kvtui.placement.request import Request


def offers_of(model: str | None) -> tuple[str, tuple[Offer, ...]]:
    """(the one taken unasked, "" where none is; the offers): of a repository, or of this machine. Raises UsageError."""
    if model is None:
        return "", tuple(map(_local, shelf_models(usual_places(os.environ, Path.home(), Path.cwd()))))
    address = ModelAddress(model)
    if not address.is_hub or address.hub.quant:
        raise UsageError(f"{address}: name a repository, hf:ORG/REPO, or nothing for the models of this machine")
    return repository_offers(address.hub)


def repository_offers(name: HubName, watch: Callable[[], None] = lambda: None) -> tuple[str, tuple[Offer, ...]]:
    """(the quantization that llama-server takes unasked, an offer a quantization). `watch` may raise to cancel. Raises
    UsageError."""
    repository = repository_of(name, os.environ, watch)
    return repository.usual, tuple(_of_hub(repository, model) for model in repository.models)


def fittings(offers: Sequence[Offer], options: Options, watch: Callable[[int], None]) -> Iterator[Fitting]:
    """One after the other. `watch` hears the bytes read of a header, and may raise to cancel."""
    base: Request | None = None
    for offer in offers:
        if offer.address is None:
            yield Fitting(offer, problem=offer.problem)
            continue
        try:
            spec = load(offer.address, options, watch)
            # the machine is looked at for the first alone
            base = request_of(spec, options) if base is None else with_learned(replace(base, model=spec))
            yield Fitting(offer, searched_plan(base))
        except KvtuiError as e:
            yield Fitting(offer, problem=str(e))


def _of_hub(repository: "Repository", model: "Quantization") -> Offer:
    name = f"hf:{repository.repo}:{model.name}"
    plain = Offer(model.name, name, model.n_bytes, len(model.files), repository.endpoint.host)
    try:
        return replace(plain, address=repository.address(model))
    except KvtuiError as e:
        return replace(plain, problem=str(e))


def _local(model: ShelfModel) -> Offer:
    plain = Offer(model.name, str(model.path), model.n_bytes, model.files, model.place)
    if model.missing:
        return replace(plain, problem=f"{model.missing} of its parts lack")
    return replace(plain, address=ModelAddress(str(model.path)))
