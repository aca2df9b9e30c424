"""The header of a model behind an http(s) URL, by range requests alone: a few hundred kB of a 600 GB file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kvtui.base.secrets import redacted, shown_url
from kvtui.header.access import ANYBODY, Access
from kvtui.header.address import ModelAddress
from kvtui.header.bounded_http import Clock, bounded_client
from kvtui.header.reader import Header, HeaderError, read_header
from kvtui.header.source import join_split_set

if TYPE_CHECKING:
    import httpx

Progress = Callable[[int], None]  # gets the bytes fetched so far; may raise to cancel

_FIRST, _LARGEST = 128 << 10, 4 << 20  # bytes a request; doubled as the header turns out long
_MOST_BYTES = 128 << 20  # of all parts together; the longest headers, with vocabularies of 260,000 words, have 20 MB
_MOST_FILE = 1 << 50  # bytes of a file; the largest models have 2**41
_REDIRECTS = 5
_TIMEOUT = 20.0  # seconds to connect, and between two pieces of an answer
_SLOWEST = 32 << 10  # bytes a second; an answer that comes more slowly is given up after _TIMEOUT and its bytes at this
_MOST_SECONDS = 600.0  # for everything


def open_remote_header(address: ModelAddress, progress: Progress | None = None, access: Access = ANYBODY) -> Header:
    """Header of the model at a URL, its split set joined. Raises HeaderError with one sentence."""
    base, _, rest = address.url.partition("#")[0].partition("?")
    folder, _, name = base.rpartition("/")
    query = f"?{rest}" if rest else ""
    fetched = _Counter(progress)
    clock = Clock(_MOST_SECONDS)
    with bounded_client(clock, _TIMEOUT) as client:

        def one(part: str) -> Header:
            url = f"{folder}/{part}{query}"
            try:
                return read_header(_Remote.open(client, url, fetched, clock, access))
            except HeaderError as e:
                raise HeaderError(f"{shown_url(url)}: {e}") from None

        return join_split_set(name, one)


@dataclass
class _Counter:
    """Bytes fetched, told to whoever watches."""

    progress: Progress | None
    total: int = 0

    def add(self, n: int) -> None:
        self.total += n
        if self.total > _MOST_BYTES:
            raise HeaderError(f"the header is longer than {_MOST_BYTES >> 20} MiB")
        if self.progress is not None:
            self.progress(self.total)


@dataclass
class _Remote:
    """A file read by ranges; requests grow from 128 kB, so that a short header costs one."""

    client: "httpx.Client"
    url: str
    size: int
    fetched: _Counter
    clock: Clock
    access: Access
    first: bytes = field(default=b"", repr=False)
    step: int = _FIRST * 2

    @classmethod
    def open(cls, client: "httpx.Client", url: str, fetched: _Counter, clock: Clock, access: Access) -> "_Remote":
        """Asks for the first range, which tells whether the server knows ranges and how long the file is."""
        for _ in range(_REDIRECTS + 1):
            with _asked(client, clock, url, 0, _FIRST, access) as answer:
                if answer.is_redirect:
                    url = _redirected(answer, url, access)
                    continue
                size = _total_size(answer, access)
                return cls(client, url, size, fetched, clock, access, _body(answer, _FIRST, fetched))
        raise HeaderError(f"the server redirects more than {_REDIRECTS} times")

    def read(self, at: int, least: int, most: int) -> bytes:
        if at + least <= len(self.first):
            return self.first[at : at + most]
        if least > _MOST_BYTES:
            raise HeaderError(f"the header is longer than {_MOST_BYTES >> 20} MiB")
        want = min(max(least, self.step), self.size - at)
        self.step = min(self.step * 2, _LARGEST)
        with _asked(self.client, self.clock, self.url, at, want, self.access) as answer:
            if answer.is_redirect:
                raise HeaderError("the server redirects in the middle of the header")
            if _total_size(answer, self.access) != self.size:
                raise HeaderError("the file changed while it was read")
            return _body(answer, want, self.fetched)


@contextmanager
def _asked(client: "httpx.Client", clock: Clock, url: str, at: int, n: int, access: Access) -> Iterator["httpx.Response"]:
    import httpx

    headers = {"Range": f"bytes={at}-{at + n - 1}", "Accept-Encoding": "identity", **access.headers(url)}
    clock.allow(_TIMEOUT + n / _SLOWEST)
    try:
        with client.stream("GET", url, headers=headers) as answer:
            yield answer
    except httpx.TimeoutException:
        raise HeaderError("the server is silent, or too slow to be waited for") from None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as e:
        raise HeaderError(f"the connection failed: {redacted(str(e)) or type(e).__name__}") from None


def _redirected(answer: "httpx.Response", url: str, access: Access) -> str:
    import httpx

    target = str(httpx.URL(url).join(answer.headers.get("location", "")))
    old, new = urlsplit(url), urlsplit(target)
    if new.scheme != old.scheme and (old.scheme, new.scheme) != ("http", "https"):
        raise HeaderError(f"the server redirects to a {new.scheme or 'nameless'}: address, which is not followed")
    here, there = (old.hostname or "").lower(), (new.hostname or "").lower()
    if not access.follows(here, there):
        raise HeaderError(f"the server redirects to another host, {there}; if you trust it, name its address itself")
    return target


def _total_size(answer: "httpx.Response", access: Access) -> int:
    """Size of the whole file from `Content-Range: bytes a-b/SIZE`."""
    if answer.status_code == 200:
        raise HeaderError("the server does not support range requests; download the file instead")
    if answer.status_code in (401, 403):
        raise HeaderError(f"the server refuses access (HTTP {answer.status_code}){access.refused}")
    if answer.status_code != 206:
        raise HeaderError(f"the server answers HTTP {answer.status_code} {answer.reason_phrase}".rstrip())
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise HeaderError("the server compresses ranges, which cannot be read in parts")
    size = answer.headers.get("content-range", "").rpartition("/")[2]
    if not (size.isascii() and size.isdecimal()) or len(size) > 18:
        raise HeaderError("the server does not say how long the file is")
    if int(size) > _MOST_FILE:
        raise HeaderError(f"the server says the file has {int(size):,} bytes, which no model has")
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
