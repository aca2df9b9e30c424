"""The header of a model behind an http(s) URL, by range requests alone: a few hundred kB of a 600 GB file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from kvtui.header.reader import Header, HeaderError, read_header
from kvtui.header.source import join_split_set

if TYPE_CHECKING:
    import httpx

Progress = Callable[[int], None]  # gets the bytes fetched so far; may raise to cancel

_FIRST, _LARGEST = 128 << 10, 4 << 20  # bytes a request; doubled as the header turns out long
_MAX_HEADER = 512 << 20  # no header is that long: a server that never ends is given up here
_REDIRECTS = 5
_TIMEOUT = 20.0  # seconds to connect, and between two pieces of an answer


def is_url(text: str) -> bool:
    """Whether MODEL is a URL and not a path."""
    return text.lower().startswith(("http://", "https://"))


def shown_url(url: str) -> str:
    """A URL fit for a screen: without user, password, query and fragment, where tokens live."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return urlunsplit((parts.scheme, f"{host}:{parts.port}" if parts.port else host, parts.path, "", ""))


def open_remote_header(url: str, progress: Progress | None = None) -> Header:
    """Header of the model at `url`, its split set joined. Raises HeaderError with one sentence."""
    import httpx

    base, _, rest = url.partition("?")
    folder, _, name = base.rpartition("/")
    query = f"?{rest}" if rest else ""
    fetched = _Counter(progress)
    with httpx.Client(timeout=_TIMEOUT, follow_redirects=False, trust_env=False) as client:

        def one(part: str) -> Header:
            address = f"{folder}/{part}{query}"
            try:
                return read_header(_Remote.open(client, address, fetched))
            except HeaderError as e:
                raise HeaderError(f"{shown_url(address)}: {e}") from None

        return join_split_set(name, one)


@dataclass
class _Counter:
    """Bytes fetched, told to whoever watches."""

    progress: Progress | None
    total: int = 0

    def add(self, n: int) -> None:
        self.total += n
        if self.progress is not None:
            self.progress(self.total)


@dataclass
class _Remote:
    """A file read by ranges; requests grow from 128 kB, so that a short header costs one."""

    client: "httpx.Client"
    url: str
    size: int
    fetched: _Counter
    first: bytes = field(default=b"", repr=False)
    step: int = _FIRST * 2

    @classmethod
    def open(cls, client: "httpx.Client", url: str, fetched: _Counter) -> "_Remote":
        """Asks for the first range, which tells whether the server knows ranges and how long the file is."""
        for _ in range(_REDIRECTS + 1):
            with _asked(client, url, 0, _FIRST) as answer:
                if answer.is_redirect:
                    url = _redirected(answer, url)
                    continue
                size = _total_size(answer)
                return cls(client, url, size, fetched, _body(answer, _FIRST, fetched))
        raise HeaderError(f"the server redirects more than {_REDIRECTS} times")

    def read(self, at: int, least: int, most: int) -> bytes:
        if at + least <= len(self.first):
            return self.first[at : at + most]
        if at + least > _MAX_HEADER:
            raise HeaderError(f"the header is longer than {_MAX_HEADER >> 20} MiB")
        want = min(max(least, self.step), self.size - at)
        self.step = min(self.step * 2, _LARGEST)
        with _asked(self.client, self.url, at, want) as answer:
            if answer.is_redirect:
                raise HeaderError("the server redirects in the middle of the header")
            if _total_size(answer) != self.size:
                raise HeaderError("the file changed while it was read")
            return _body(answer, want, self.fetched)


@contextmanager
def _asked(client: "httpx.Client", url: str, at: int, n: int) -> Iterator["httpx.Response"]:
    import httpx

    headers = {"Range": f"bytes={at}-{at + n - 1}", "Accept-Encoding": "identity"}
    try:
        with client.stream("GET", url, headers=headers) as answer:
            yield answer
    except httpx.TimeoutException:
        raise HeaderError(f"the server did not answer for {_TIMEOUT:.0f} s") from None
    except (httpx.HTTPError, httpx.InvalidURL) as e:
        raise HeaderError(f"the connection failed: {e or type(e).__name__}") from None


def _redirected(answer: "httpx.Response", url: str) -> str:
    import httpx

    target = str(httpx.URL(url).join(answer.headers.get("location", "")))
    old, new = urlsplit(url).scheme, urlsplit(target).scheme
    if new != old and (old, new) != ("http", "https"):
        raise HeaderError(f"the server redirects to a {new or 'nameless'}: address, which is not followed")
    return target


def _total_size(answer: "httpx.Response") -> int:
    """Size of the whole file from `Content-Range: bytes a-b/SIZE`."""
    if answer.status_code == 200:
        raise HeaderError("the server does not support range requests; download the file instead")
    if answer.status_code in (401, 403):
        raise HeaderError(f"the server refuses access (HTTP {answer.status_code})")
    if answer.status_code != 206:
        raise HeaderError(f"the server answers HTTP {answer.status_code} {answer.reason_phrase}".rstrip())
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise HeaderError("the server compresses ranges, which cannot be read in parts")
    size = answer.headers.get("content-range", "").rpartition("/")[2]
    if not size.isdecimal() or len(size) > 18:
        raise HeaderError("the server does not say how long the file is")
    return int(size)


def _body(answer: "httpx.Response", most: int, fetched: _Counter) -> bytes:
    """At most `most` bytes, whatever length the server claims."""
    parts, left = [], most
    for piece in answer.iter_raw():
        parts.append(piece[:left])
        left -= len(parts[-1])
        fetched.add(len(parts[-1]))
        if left <= 0:
            break
    return b"".join(parts)
