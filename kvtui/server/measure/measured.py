"""What servers really took on this machine, kept with the conditions it was measured under."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from kvtui.base.fields import Fields
from kvtui.base.files import state_folder
from kvtui.base.findings import Finding
from kvtui.base.stored import Kept, set_aside
from kvtui.flags.read import split_argv

SCHEMA = 1
# Flags that decide no memory: with these out, the same placement is found again on another port.
_IDLE = frozenset(
    (
        *("--host", "--port", "--api-key-file", "-a", "--alias", "--timeout", "-lv", "--verbosity", "-v", "--verbose"),
        *("--metrics", "--slots", "--props", "--no-warmup", "--log-jsonl"),
    )
)
_HIGHEST = ("overhead_bytes", "peak_bytes")
_LATEST = ("model_bytes", "context_bytes", "compute_bytes", "estimated_compute_bytes", "context", "held_bytes")
_AMOUNTS = tuple(name for name in (*_HIGHEST, *_LATEST) if name != "context")


@dataclass(frozen=True)
class Measurement:
    """One run. Bytes by device name ("RAM" too): `model`, `context` and `compute` by the log (the model in RAM only
    where it is not mapped: the log tells the file's span then), `held` what the process had once it was ready, `peak`
    the most it held, `overhead` what that was beyond everything the log lists; `estimated_compute` and `context`: what
    the plan had expected, and the context flags. `proven`: it lived through a prompt to its slots' limit."""

    build: str
    model: str  # who it is, whatever its path: see `model_key`
    gpus: tuple[tuple[str, str], ...]  # (name, description) in llama.cpp's order
    argv: tuple[str, ...]
    at: float  # seconds since the epoch
    model_bytes: Mapping[str, int] = field(default_factory=dict)
    context_bytes: Mapping[str, int] = field(default_factory=dict)
    compute_bytes: Mapping[str, int] = field(default_factory=dict)
    estimated_compute_bytes: Mapping[str, int] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    held_bytes: Mapping[str, int] = field(default_factory=dict)
    overhead_bytes: Mapping[str, int] = field(default_factory=dict)
    peak_bytes: Mapping[str, int] = field(default_factory=dict)
    proven: bool = False
    prompt_tokens: int = 0


def model_key(architecture: str, name: str, weights_bytes: int) -> str:
    """The same for a file that was moved or renamed."""
    return f"{architecture}/{name}/{weights_bytes}"


def conditions(argv: Sequence[str]) -> tuple[str, ...]:
    """The flags that decide memory, in a fixed order."""
    pairs = [(option, *values) for option, values in split_argv(argv) if option not in _IDLE]
    return tuple(word for pair in sorted(pairs) for word in pair)


def remember(measurement: Measurement, state: Path | None = None) -> None:
    """Keep it in place of an earlier one under the same conditions; a proof is kept as long as nothing else is. OSError
    or KvtuiError if it cannot be written."""
    path = _path(measurement.build, measurement.model, measurement.gpus, measurement.argv, state)
    _MEASUREMENT.update(path, lambda earlier: _joined(earlier, replace(measurement, argv=conditions(measurement.argv))))


def _joined(earlier: Measurement | None, new: Measurement) -> Measurement:
    if earlier is None:
        return new
    both: dict[str, Any] = {name: {**getattr(earlier, name), **getattr(new, name)} for name in _LATEST}
    both |= {name: _highest(getattr(earlier, name), getattr(new, name)) for name in _HIGHEST}
    prompt_tokens = max(earlier.prompt_tokens, new.prompt_tokens)
    return replace(new, proven=earlier.proven or new.proven, prompt_tokens=prompt_tokens, **both)


def recall(
    build: str, model: str, gpus: Sequence[tuple[str, str]], argv: Sequence[str], state: Path | None = None
) -> Measurement | None:
    """What was measured under exactly these conditions."""
    return _MEASUREMENT.load(_path(build, model, gpus, argv, state))


def measurements(state: Path | None = None) -> tuple[Measurement, ...]:
    """All of them, newest first."""
    try:
        files = [f for f in _folder(state).iterdir() if f.suffix == ".json"]
    except OSError:
        return ()
    return tuple(sorted((m for f in files if (m := _MEASUREMENT.load(f))), key=lambda m: -m.at))


def damaged(state: Path | None = None) -> tuple[Finding, ...]:
    """A note on measurements that could not be read, as long as they lie there."""
    return set_aside(_folder(state), "a measurement")


def overhead(description: str, build: str, state: Path | None = None) -> int | None:
    """The most that a GPU of this kind held beyond what is listed, with any model in this build; `None`: unknown."""
    seen = [
        m.overhead_bytes[name]
        for m in measurements(state)
        if m.build == build
        for name, kind in m.gpus
        if kind == description and name in m.overhead_bytes
    ]
    return max(seen, default=None)


def _highest(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in {**one, **other}}


def _folder(state: Path | None) -> Path:
    return (state or state_folder()) / "measurements"


def _path(build: str, model: str, gpus: Sequence[tuple[str, str]], argv: Sequence[str], state: Path | None) -> Path:
    key = repr((build, model, tuple(map(tuple, gpus)), conditions(argv)))
    return _folder(state) / f"{hashlib.sha256(key.encode('utf-8', 'surrogateescape')).hexdigest()[:32]}.json"


def _measurement(fields: Fields) -> Measurement:
    return Measurement(
        build=fields.text("build"),
        model=fields.text("model"),
        gpus=tuple(gpu_pair(pair) for pair in fields.items("gpus")),
        argv=fields.texts("argv"),
        at=fields.number("at"),
        context=fields.table("context", {}),
        proven=fields.flag("proven", False),
        prompt_tokens=fields.whole("prompt_tokens", 0),
        **{name: fields.amounts(name, {}) for name in _AMOUNTS},
    )


def gpu_pair(pair: Any) -> tuple[str, str]:
    """(name, description) as a file has them. ValueError where they are none."""
    if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(word, str) for word in pair):
        raise ValueError("gpus holds what is no name and description")
    return pair[0], pair[1]


_MEASUREMENT = Kept(SCHEMA, _measurement, asdict)
