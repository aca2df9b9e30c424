"""How far figures for a build and a family are that build's own."""

from kvtui.base.build import Build
from kvtui.base.findings import Finding
from kvtui.model.spec import ModelSpec

# Where not every family was held against loads of a build: those that were
_HELD = {Build(10644): frozenset(("qwen2", "qwen3", "qwen3moe", "qwen35moe", "gpt-oss"))}


def standing_of(model: ModelSpec, build: Build) -> tuple[Finding, ...]:
    """A note where another build's rules stand in, or the family's graph may have been another one then."""
    said = build.standing
    held = _HELD.get(build.stand_in)
    if not said and held is not None and model.architecture not in held:
        said = (
            f"{build} was measured with other families than {model.architecture}: what is known to have changed since is "
            "undone, the graph is else that of later builds"
        )
    return (Finding("unmeasured-build", "note", said),) if said else ()
