"""How fast servers really were on this machine, kept with the conditions they were measured under: with another build, driver
or other flags it is another measurement."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from kvtui.base.fields import Fields
from kvtui.base.files import state_folder
from kvtui.base.findings import Finding
from kvtui.base.stored import Kept, set_aside
from kvtui.server.measure.measured import conditions, gpu_pair
from kvtui.server.measure.served import Kind, ServedRate


@dataclass(frozen=True)
class SpeedSetting:
    """What a speed depends on, the flags aside. `server`: its identity; `model`: its `model_key`; `gpus`: (name, description);
    `driver`: its version, "" where there is none."""

    server: str
    model: str
    gpus: tuple[tuple[str, str], ...]
    driver: str


@dataclass(frozen=True)
class MeasuredSpeed:
    """One run: tokens a second of a prompt of `prompt_tokens`, of which nothing was cached, and of `generated_tokens` behind
    it. `argv`: the flags that decide it; `asked`: a digest of the request it is an answer to, "" where nobody asked."""

    setting: SpeedSetting
    argv: tuple[str, ...]
    at: float  # seconds since the epoch
    prompt_tokens: int
    generated_tokens: int
    prompt_rate: float
    decode_rate: float
    asked: str = ""

    @property
    def turn_seconds(self) -> float:
        """Prompt and answer."""
        return self.prompt_tokens / self.prompt_rate + self.generated_tokens / self.decode_rate

    @property
    def depth(self) -> tuple[int, int]:
        """Which of several runs of the same flags it is."""
        return self.prompt_tokens, self.generated_tokens


def keep_speed(speed: MeasuredSpeed, state: Path | None = None) -> None:
    """In place of an earlier one of the same flags and lengths; one that cannot be written is measured again some day."""
    _SPEED.save_if_possible(_path(speed.setting, speed.argv, speed.depth, state), speed)


def recall_speed(
    setting: SpeedSetting, argv: Sequence[str], depth: tuple[int, int], state: Path | None = None
) -> MeasuredSpeed | None:
    """What was measured with exactly these flags and lengths."""
    return _SPEED.load(_path(setting, conditions(argv), depth, state))


def kept_speeds(state: Path | None = None) -> tuple[MeasuredSpeed, ...]:
    """All of them, newest first."""
    return tuple(sorted((s for f in _files(_folder(state)) if (s := _SPEED.load(f))), key=lambda s: -s.at))


def damaged_speeds(state: Path | None = None) -> tuple[Finding, ...]:
    """A note on speeds that could not be read, as long as they lie there."""
    return (*set_aside(_folder(state), "a measured speed"), *set_aside(_served_folder(state), "a measured speed"))


@dataclass(frozen=True)
class SeenRate:
    """What a server's own requests showed, with the flags that decide it."""

    setting: SpeedSetting
    argv: tuple[str, ...]
    at: float  # seconds since the epoch
    served: ServedRate


def keep_rate(seen: SeenRate, state: Path | None = None) -> None:
    """In place of an earlier one of the same flags and a depth within the same power of two: no more than some twenty a plan."""
    key = repr((seen.setting, seen.argv, seen.served.kind, seen.served.depth.bit_length()))
    _SEEN.save_if_possible(_file(_served_folder(state), key), seen)


def kept_rates(state: Path | None = None) -> tuple[SeenRate, ...]:
    """All of them, newest first."""
    return tuple(sorted((s for f in _files(_served_folder(state)) if (s := _SEEN.load(f))), key=lambda s: -s.at))


def _files(folder: Path) -> list[Path]:
    try:
        return [f for f in folder.iterdir() if f.suffix == ".json"]
    except OSError:
        return []


def _served_folder(state: Path | None) -> Path:
    return (state or state_folder()) / "served"


def _file(folder: Path, key: str) -> Path:
    return folder / f"{hashlib.sha256(key.encode('utf-8', 'surrogateescape')).hexdigest()[:32]}.json"


def _folder(state: Path | None) -> Path:
    return (state or state_folder()) / "speeds"


def _path(setting: SpeedSetting, argv: Sequence[str], depth: tuple[int, int], state: Path | None) -> Path:
    return _file(_folder(state), repr((setting, tuple(argv), depth)))


def _setting(fields: Fields) -> SpeedSetting:
    s = Fields(fields.get("setting"))
    gpus = tuple(gpu_pair(pair) for pair in s.items("gpus"))
    return SpeedSetting(s.text("server"), s.text("model"), gpus, s.text("driver"))


def _seen(fields: Fields) -> SeenRate:
    s = Fields(fields.get("served"))
    kind: Kind = "decode" if s.text("kind") == "decode" else "prompt"
    served = ServedRate(kind, s.number("rate"), s.whole("tokens"), s.whole("depth"))
    if s.text("kind") != kind or served.rate <= 0 or served.tokens < 1 or served.depth < 0:
        raise ValueError("what was served is no rate")
    return SeenRate(_setting(fields), fields.texts("argv"), fields.number("at"), served)


def _speed(fields: Fields) -> MeasuredSpeed:
    found = MeasuredSpeed(
        setting=_setting(fields),
        argv=fields.texts("argv"),
        at=fields.number("at"),
        prompt_tokens=fields.whole("prompt_tokens"),
        generated_tokens=fields.whole("generated_tokens"),
        prompt_rate=fields.number("prompt_rate"),
        decode_rate=fields.number("decode_rate"),
        asked=fields.text("asked", ""),
    )
    if min(found.prompt_rate, found.decode_rate) <= 0 or min(found.depth) < 1:
        raise ValueError("a rate or a length is none")
    return found


_SPEED = Kept(1, _speed, asdict)
_SEEN = Kept(1, _seen, asdict)
