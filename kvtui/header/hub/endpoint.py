"""Which Hub is asked, and as whom: HF_ENDPOINT and HF_TOKEN, as llama-server reads them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from kvtui.base.findings import UsageError
from kvtui.base.secrets import shown_url
from kvtui.header.access import HUB_DOMAINS, Access
from kvtui.header.hub_name import HubName

_USUAL = "https://huggingface.co"
# common/common.cpp, common_get_model_endpoint: the first that is set
_ENDPOINTS = ("MODEL_ENDPOINT", "HF_ENDPOINT")
_TOKEN = "HF_TOKEN"


@dataclass(frozen=True)
class Endpoint:
    """`url` without a slash at its end. The token is shown nowhere."""

    url: str = _USUAL
    token: str = field(default="", repr=False)
    offline: bool = False

    @property
    def host(self) -> str:
        """Fit for a screen."""
        return urlsplit(shown_url(self.url)).netloc

    @property
    def token_said(self) -> str:
        """What to look at where access is refused."""
        return f"{_TOKEN} does not open it" if self.token else f"{_TOKEN} is not set"

    @property
    def access(self) -> Access:
        """For the files themselves."""
        return Access(self.url, self.token, HUB_DOMAINS, f": it is private or gated, and {self.token_said}")

    def file_url(self, name: HubName, path: str) -> str:
        """Where a file of a repository is read."""
        return f"{self.url}/{name.repo}/resolve/main/{quote(path)}"


def endpoint_of(env: Mapping[str, str]) -> Endpoint:
    """What the environment says. Raises UsageError."""
    name = next((n for n in _ENDPOINTS if env.get(n)), None)
    url = (env[name] if name else _USUAL).rstrip("/")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username is not None:
        raise UsageError(f"{name} is no address of a Hub: write it as https://HOST")
    token = env.get(_TOKEN, "").strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(f"{_TOKEN} holds what no token has: a space, a control character, or a letter beyond ASCII")
    return Endpoint(url, token, env.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"))
