"""What pairs cost in quality as it was measured here before, for a request."""

from dataclasses import replace
from pathlib import Path

from kvtui.base.build import build_in
from kvtui.header.identity import model_identity, same_model
from kvtui.placement.request import Request
from kvtui.server.measure.quality_kept import KeptPair, kept_pairs


def with_measured(request: Request, state: Path | None = None) -> Request:
    """`request` with what pairs cost on its model, measured here: of each pair and text the one that is nearest to the
    request's server and build, an exact one before a lower bound, then the one of most positions, then the newest."""
    best: dict[tuple[str, str, str], KeptPair] = {}
    all_kept = kept_pairs(state)
    model = model_identity(request.model.header) if all_kept else ""
    for kept in all_kept:
        if same_model(kept.model, model):
            m = kept.measured
            name = (m.type_k, m.type_v, kept.text)
            best[name] = max(best.get(name, kept), kept, key=lambda k: _nearness(k, request))
    return replace(request, measured=tuple(k.measured for k in best.values()))


def _nearness(kept: KeptPair, request: Request) -> tuple[bool, bool, bool, int, float]:
    m = kept.measured
    same_server = kept.server == request.server
    of_build = same_server or build_in(m.build) == request.build
    return of_build, m.divergence.exact, same_server, m.divergence.positions, m.at
