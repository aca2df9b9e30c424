"""What the counters of /metrics say together. Where a build has no such counter, or nothing was counted yet, there is none."""

from collections.abc import Mapping, Sequence

from kvtui.server.http.client import Slot


def generated(counters: Mapping[str, float], slots: Sequence[Slot]) -> float | None:
    """Tokens since the start: a request is counted at its end (server_context_impl::metrics_on_prediction), so what the
    answers under way have is added. Read the counters first: else an answer that ends between counts twice."""
    total = counters.get("tokens_predicted_total")
    return None if total is None else total + sum(s.generated for s in slots)


def cache_share(counters: Mapping[str, float]) -> float | None:
    """Of all prompt tokens those that were not computed again, 0 to 1."""
    cached, computed = counters.get("prompt_tokens_cached_total"), counters.get("prompt_tokens_total")
    if cached is None or computed is None:
        return None
    return _share(cached, cached + computed)


def draft_share(counters: Mapping[str, float]) -> float | None:
    """Of the tokens that were drafted those that were accepted, 0 to 1."""
    accepted = counters.get("spec_decode_num_accepted_tokens_total")
    drafted = counters.get("spec_decode_num_draft_tokens_total")
    return None if accepted is None or drafted is None else _share(accepted, drafted)


def _share(part: float, whole: float) -> float | None:
    return min(max(part / whole, 0.0), 1.0) if whole > 0 else None
