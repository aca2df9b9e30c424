"""The files of a repository, as `huggingface_hub` lists them. It is imported on first use: it takes 0.2 s.

The library waits without end, tries again for half a minute, follows wherever it is sent, warns on stderr, and asks the
Hub what else might be running here. So each of its requests passes a gate of ours that lets through questions for models
to the Hub's own origin alone, bounds them, says no more of this machine than that kvtui asks, and turns what goes wrong into
one sentence at once."""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kvtui.base.secrets import redacted
from kvtui.header.access import same_origin
from kvtui.header.hub.endpoint import Endpoint
from kvtui.header.hub.quantizations import HubFile
from kvtui.header.hub_name import HubName
from kvtui.header.reader import HeaderError

if TYPE_CHECKING:
    import httpx2

_TIMEOUT = 20.0  # seconds to connect, and between two pieces of an answer
_MOST_SECONDS = 60.0  # for one list
_MOST_BYTES = 64 << 20  # of one list; a file takes about 300
_REFUSED = (401, 403)
_MODELS = "/api/models/"  # where the Hub's API has them


def hub_files(name: HubName, endpoint: Endpoint, watch: Callable[[], None] = lambda: None) -> tuple[HubFile, ...]:
    """All files of a repository, in its order. `watch` is called as answers come in, and may raise to cancel. Raises
    HeaderError with one sentence."""
    if endpoint.offline:
        raise HeaderError(f"{name}: HF_HUB_OFFLINE is set, so {endpoint.host} is not asked")
    from huggingface_hub import HfApi, close_session, set_client_factory

    gate = _Gate(name, endpoint, watch)
    set_client_factory(gate.client)
    api = HfApi(endpoint=endpoint.url, token=endpoint.token or False)
    try:
        listed = list(api.list_repo_tree(name.repo, recursive=True))
        return tuple(HubFile(str(f.path), int(f.size)) for f in listed if hasattr(f, "size"))
    except (ValueError, TypeError, KeyError, AttributeError):
        raise HeaderError(f"{name}: {endpoint.host} answers with what is no list of files") from None
    finally:
        close_session()


class _Gate:
    """What every request of the library passes."""

    def __init__(self, name: HubName, endpoint: Endpoint, watch: Callable[[], None]) -> None:
        self._name, self._endpoint, self._watch = name, endpoint, watch
        self._until = time.monotonic() + _MOST_SECONDS
        self._left = _MOST_BYTES

    def client(self) -> "httpx2.Client":
        """Without a proxy or a netrc, as the reader of headers is."""
        import httpx2

        gate = self

        class Transport(httpx2.BaseTransport):
            def __init__(self) -> None:
                self._inner = httpx2.HTTPTransport(trust_env=False)

            def handle_request(self, request: httpx2.Request) -> httpx2.Response:
                gate.check_request(str(request.url))
                request.headers["Accept-Encoding"], request.headers["User-Agent"] = "identity", "kvtui"
                try:
                    answer = self._inner.handle_request(request)
                    assert isinstance(answer.stream, httpx2.SyncByteStream)
                    body = b"".join(gate.bounded(answer.stream))
                    answer.close()
                except httpx2.TimeoutException:
                    raise gate.problem("is silent, or too slow to be waited for") from None
                except httpx2.TransportError as e:
                    raise gate.problem(f"cannot be reached: {redacted(str(e)) or type(e).__name__}") from None
                gate.check_status(answer.status_code)
                return httpx2.Response(answer.status_code, headers=answer.headers, content=body, request=request)

            def close(self) -> None:
                self._inner.close()

        return httpx2.Client(transport=Transport(), timeout=_TIMEOUT, follow_redirects=True, trust_env=False)

    def problem(self, said: str) -> HeaderError:
        """One sentence on the Hub's host."""
        return HeaderError(f"{self._name}: {self._endpoint.host} {said}")

    def check_request(self, url: str) -> None:
        """Its own origin alone is asked: the token goes along."""
        self._watch()
        if not same_origin(url, self._endpoint.url):
            raise self.problem("sends the question for its files to another host, which is not followed")
        if _MODELS not in urlsplit(url).path:
            raise self.problem("is asked for models alone")

    def bounded(self, pieces: "httpx2.SyncByteStream") -> Iterator[bytes]:
        """An answer, as far as it is waited for."""
        for piece in pieces:
            self._watch()
            self._left -= len(piece)
            if self._left < 0 or time.monotonic() > self._until:
                raise self.problem("sends a list that is too long, or too slow, to be waited for")
            yield piece

    def check_status(self, status: int) -> None:
        """Raises HeaderError for all but an answer and a way to one."""
        if status in _REFUSED:
            said = f"no such repository, or it is private or gated and {self._endpoint.token_said}"
            raise self.problem(f"refuses access (HTTP {status}): {said}")
        if status == 404:
            raise self.problem("has no such repository (HTTP 404)")
        if status >= 400:
            raise self.problem(f"answers HTTP {status}")
