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
    try:
        files = [f for f in _folder(state).iterdir() if f.suffix == ".json"]
    except OSError:
        return ()
    return tuple(sorted((s for f in files if (s := _SPEED.load(f))), key=lambda s: -s.at))


def damaged_speeds(state: Path | None = None) -> tuple[Finding, ...]:
    """A note on speeds that could not be read, as long as they lie there."""
    return set_aside(_folder(state), "a measured speed")


def _folder(state: Path | None) -> Path:
    return (state or state_folder()) / "speeds"


def _path(setting: SpeedSetting, argv: Sequence[str], depth: tuple[int, int], state: Path | None) -> Path:
    key = repr((setting, tuple(argv), depth))
    return _folder(state) / f"{hashlib.sha256(key.encode('utf-8', 'surrogateescape')).hexdigest()[:32]}.json"


def _speed(fields: Fields) -> MeasuredSpeed:
    s = Fields(fields.get("setting"))
    gpus = tuple(gpu_pair(pair) for pair in s.items("gpus"))
    found = MeasuredSpeed(
        setting=SpeedSetting(s.text("server"), s.text("model"), gpus, s.text("driver")),
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
