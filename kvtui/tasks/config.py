"""The JSON config of the user's guide, and more: read, checked, merged under the options of the command line."""

import json
import re
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from kvtui.base.files import locked, read_regular, replace_locked
from kvtui.base.findings import UsageError
from kvtui.base.parse import ParseError, parse_json
from kvtui.base.text import printable
from kvtui.flags.cache_types import CACHE_TYPES
from kvtui.server.process.ports import LARGEST_PORT
from kvtui.tasks.options import Options

MOST_BYTES = 1 << 20  # a config has a few hundred
MOST_ENTRIES = 1000  # of a list: pins are tried on every tensor
MOST_SHOWN = 64  # characters of a key or value in a sentence
_INDENT = 2  # as the guide's
_NEW_MODE = 0o644
_KEYS: dict[str, tuple[str, ...]] = {
    "": ("context_size", "kv_cache", "model", "devices", "ram", "margin", "display_margin", "pins", "slots", "server", "keys"),
    "kv_cache": ("type", "type_k", "type_v"),
    "server": ("port", "host", "args", "path"),
}


def _model() -> Any:
    """The pydantic model; made on first use, since importing pydantic costs 40 ms that most commands need not pay."""
    from pydantic import BaseModel, ConfigDict, Field

    class KvCache(BaseModel):
        model_config = ConfigDict(extra="forbid")
        type: str = "f16"
        type_k: str | None = None
        type_v: str | None = None

    class Server(BaseModel):
        model_config = ConfigDict(extra="forbid")
        port: Annotated[int, Field(ge=1, le=LARGEST_PORT)] | None = None
        host: str | None = None
        args: list[str] = Field(default_factory=list, max_length=MOST_ENTRIES)
        path: str | None = None

    class Config(BaseModel):
        model_config = ConfigDict(extra="forbid")
        context_size: int | None = Field(None, ge=0, lt=2**31)
        kv_cache: KvCache = Field(default_factory=KvCache)
        model: str | None = None
        devices: list[str] = Field(default_factory=list, max_length=MOST_ENTRIES)
        ram: str | None = None
        margin: str | None = None
        display_margin: str | None = None
        pins: dict[str, str] = Field(default_factory=dict, max_length=MOST_ENTRIES)
        slots: int | None = Field(None, ge=1, le=256)
        server: Server = Field(default_factory=Server)
        keys: dict[str, str] = Field(default_factory=dict, max_length=MOST_ENTRIES)

    return Config


def read_config(path: Path) -> Any:
    """The config at `path`, checked. Raises UsageError with file, line, and the nearest valid key or type."""
    return _checked(path, *_parsed(path))


def _parsed(path: Path) -> tuple[str, dict[str, Any]]:
    """(the text, its object)."""
    try:
        text = read_regular(path, MOST_BYTES).decode()
    except (OSError, UnicodeDecodeError) as e:
        raise UsageError(f"{path}: {getattr(e, 'strerror', None) or 'is no text file'}") from None
    except ValueError:
        raise UsageError(f"{str(path)!r} is no file's name") from None
    try:
        data = parse_json(text, lambda pairs: _once(path, text, pairs))
    except ParseError as e:
        raise UsageError(f"{path}, line {e.line}: {e}") from None
    if not isinstance(data, dict):
        raise UsageError(f"{path}: the config is a JSON object")
    return text, data


def _given(data: dict[str, Any]) -> dict[str, Any]:
    """Without what is null: that is "not given", as in the guide's `type_k`."""
    return {k: _given(v) if isinstance(v, dict) and k not in ("pins", "keys") else v for k, v in data.items() if v is not None}


def _checked(path: Path, text: str, data: dict[str, Any]) -> Any:
    _check_keys(path, text, data)
    from pydantic import ValidationError

    try:
        config = _model().model_validate(_given(data))
    except ValidationError as e:
        first = e.errors()[0]
        where = _shown(".".join(str(x) for x in first["loc"]))
        raise UsageError(f"{path}, line {_line(text, str(first['loc'][-1]))}: {where}: {first['msg']}") from None
    for name in ("type", "type_k", "type_v"):
        value = getattr(config.kv_cache, name)
        if value is not None and value not in CACHE_TYPES:
            near = get_close_matches(value[:MOST_SHOWN].lower(), CACHE_TYPES, n=1, cutoff=0.3)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UsageError(f"{path}, line {_line(text, name)}: kv_cache.{name}: no cache type {_shown(value)!r}{hint}")
    return config


def _once(path: Path, text: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise UsageError(f"{path}, line {_line(text, name)}: the key {_shown(name)!r} occurs twice")
        found[name] = value
    return found


def _shown(key: str) -> str:
    return printable(key, MOST_SHOWN)


def _check_keys(path: Path, text: str, data: dict[str, Any]) -> None:
    for section, allowed in _KEYS.items():
        found = data.get(section, {}) if section else data
        for key in found if isinstance(found, dict) else ():
            if key not in allowed:
                near = get_close_matches(key[:MOST_SHOWN], allowed, n=1, cutoff=0.3) or [allowed[0]]
                place = f"{section}." if section else ""
                raise UsageError(f"{path}, line {_line(text, key)}: no key {place}{_shown(key)}; did you mean {place}{near[0]}?")


def _line(text: str, key: str) -> int:
    """Line of the first occurrence of a key."""
    match = re.search(rf'"{re.escape(key)}"\s*:', text)
    return text.count("\n", 0, match.start()) + 1 if match else 1


def under_options(config: Any, options: Options) -> Options:
    """`options`, with what they leave open taken from the config."""
    cache = config.kv_cache
    return replace(
        options,
        ctx_size=options.ctx_size if options.ctx_size is not None or config.context_size is None else str(config.context_size),
        cache_type_k=options.cache_type_k or cache.type_k or cache.type,
        cache_type_v=options.cache_type_v or cache.type_v or cache.type,
        device=options.device or tuple(config.devices),
        ram=options.ram or config.ram,
        margin=options.margin or config.margin,
        display_margin=options.display_margin or config.display_margin,
        pin=options.pin or tuple(f"{pattern}={device}" for pattern, device in config.pins.items()),
        parallel=options.parallel if options.parallel is not None else config.slots,
        llama_server=options.llama_server or config.server.path,
        host=options.host or config.server.host,
        port=options.port or config.server.port,
        server_args=options.server_args or tuple(config.server.args),
    )


def keys_of(path: str | None) -> dict[str, str]:
    """Command -> key of the config at `path`, for the app. Raises UsageError."""
    return dict(read_config(Path(path)).keys) if path is not None else {}


def model_of(config: Any, path: Path) -> str | None:
    """The model that the config at `path` names; a file that is not where the person is, is looked for beside the config."""
    named: str | None = config.model
    if named is not None and not Path(named).exists() and (path.parent / named).is_file():
        return str(path.parent / named)
    return named


def write_config(path: Path, n_ctx: int, type_k: str, type_v: str) -> None:
    """Put context and K/V types into the config at `path`, or into a new one. Other keys and the order of all stay; a basic
    `kv_cache` stays basic where K and V are equal, and one with types of its own keeps them. Raises UsageError where the file
    is no config or can't be written."""
    data: dict[str, Any] = {}
    mode = _NEW_MODE
    if path.exists():
        text, data = _parsed(path)
        _checked(path, text, data)
        mode = path.stat().st_mode & 0o777
    data["context_size"] = n_ctx
    data["kv_cache"] = _types(data.get("kv_cache"), type_k, type_v)
    content = (json.dumps(data, indent=_INDENT, ensure_ascii=False) + "\n").encode()
    try:
        with locked(path.parent):
            replace_locked(path, content, mode, clean=False)
    except OSError as e:
        raise UsageError(f"{path}: cannot be written: {e.strerror or e}") from None


def _types(before: dict[str, Any] | None, type_k: str, type_v: str) -> dict[str, Any]:
    kept = before or {"type": "f16", "type_k": None, "type_v": None}
    if type_k == type_v and not kept.get("type_k") and not kept.get("type_v"):
        return {**kept, "type": type_k}
    return {**kept, "type_k": type_k, "type_v": type_v}
