"""What the hosts of a model may be told, and where they may send us."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}

# Hosts that hand their files out from elsewhere, and the domains they do it from. Any other redirect to another host
# is refused: an address from the internet must not make this machine ask its neighbours.
HUB_DOMAINS = ("hf.co", "huggingface.co")
_ELSEWHERE = {
    "huggingface.co": HUB_DOMAINS,
    "hf.co": HUB_DOMAINS,
    "github.com": ("githubusercontent.com",),
    "modelscope.cn": ("modelscope.cn", "aliyuncs.com"),
}


@dataclass(frozen=True)
class Access:
    """`token` is told to `origin` (a URL's scheme, host and port) and to nobody else, wherever that redirects to;
    `elsewhere` are the domains that its files may come from beside its own; `refused` follows the sentence on a refusal."""

    origin: str = ""
    token: str = field(default="", repr=False)
    elsewhere: tuple[str, ...] = ()
    refused: str = ""

    def headers(self, url: str) -> dict[str, str]:
        """What a request for `url` says of who asks."""
        return {"Authorization": f"Bearer {self.token}"} if self.token and same_origin(url, self.origin) else {}

    def follows(self, here: str, there: str) -> bool:
        """Whether the host `here` may send us to the host `there`."""
        known = next((d for name, d in _ELSEWHERE.items() if _within(here, name)), ())
        own = self.elsewhere if self.origin and here == (urlsplit(self.origin).hostname or "").lower() else ()
        return here == there or any(_within(there, domain) for domain in (*known, *own))


ANYBODY = Access()


def same_origin(one: str, other: str) -> bool:
    """Whether two URLs have one scheme, host and port."""
    return _origin(one) == _origin(other)


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme.lower(), (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme.lower(), 0)


def _within(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")
