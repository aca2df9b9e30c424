"""Keys and tokens kept out of sight: of a process list, of files others can read, of reports."""

import os
import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit, urlunsplit

# Options of llama-server whose value is a secret, and the variable it reads the same from (common/arg.cpp, set_env of
# --api-key; --hf-token's default).
SECRET_OPTIONS = {"--api-key": "LLAMA_API_KEY", "--hf-token": "HF_TOKEN", "-hft": "HF_TOKEN"}
HIDDEN = "***"

_URL = re.compile(r"\b[a-zA-Z][a-zA-Z0-9+.-]{0,15}://[^\s'\"<>]*")
_OPTIONS, _VARIABLES = ("|".join(sorted(set(names))) for names in (SECRET_OPTIONS, SECRET_OPTIONS.values()))
# A value ends with its quotes, or with the word: llama-server takes a list of keys, by commas.
_VALUE = r"(?:'[^']*'?|\"[^\"]*\"?|[^\s'\"]+)"
_GIVEN = re.compile(rf"((?:{_OPTIONS})(?:['\"]?,\s*|\s*=\s*|['\"]?\s+)|\b(?:{_VARIABLES})=){_VALUE}")
_QUOTED = re.compile(rf"(['\"])((?:{_OPTIONS}|{_VARIABLES})=)(?:(?!\1).)*")  # the quotes are around both
_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{16,}")  # of the Hub, wherever it stands: huggingface.co/docs/hub/security-tokens
_BEARER = re.compile(r"(?i)\b(bearer|basic)(\s+)[\w.~+/=-]+")
_SHORTEST = 4  # characters of a secret that is looked for by its value


def without_secrets(argv: Sequence[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Arguments without the options that hold a secret, and the variables that say the same. Several values join as
    llama-server's own lists do, by commas."""
    kept: list[str] = []
    found: dict[str, list[str]] = {}
    words = iter(argv)
    for word in words:
        option, equals, value = word.partition("=")
        variable = SECRET_OPTIONS.get(option)
        if variable is None:
            kept.append(word)
            continue
        given = value if equals else next(words, None)
        if given is None:
            kept.append(word)  # llama-server's parser has the word for an option without a value
        else:
            found.setdefault(variable, []).append(given)
    return tuple(kept), {name: ",".join(values) for name, values in found.items()}


def shown_url(url: str) -> str:
    """A URL fit for a screen: without user, password, query and fragment, where tokens live."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return f"{url.partition('://')[0]}://{HIDDEN}"
    host = f"[{host}]" if ":" in host else host
    return urlunsplit((parts.scheme, f"{host}:{port}" if port is not None else host, parts.path, "", ""))


def own_secrets(environment: Mapping[str, str]) -> tuple[str, ...]:
    """What must not be shown of an environment, the longest first: keys as a list of them and each by itself."""
    values = {environment.get(name, "") for name in SECRET_OPTIONS.values()}
    parts = {part for value in values for part in (value, *value.split(",")) if len(part) >= _SHORTEST}
    return tuple(sorted(parts, key=lambda part: (-len(part), part)))


def without(text: str, secrets: Sequence[str]) -> str:
    """`text` with each of `secrets` blotted out."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return text


def redacted(text: str) -> str:
    """`text` without the secrets of URLs and options in it, nor those of this process's own variables."""
    text = without(text, own_secrets(os.environ))
    text = _URL.sub(lambda m: shown_url(m[0]), text)
    text = _QUOTED.sub(rf"\1\2{HIDDEN}", text)
    text = _GIVEN.sub(rf"\1{HIDDEN}", text)
    text = _TOKEN.sub(HIDDEN, text)
    return _BEARER.sub(rf"\1\2{HIDDEN}", text)
