"""An HTTP client whose whole answer, its head included, has a time limit: a server that drips a byte every few seconds
never runs into a time limit between two bytes."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx


@dataclass
class Clock:
    """Seconds left, of all requests together (`most`) and of the one under way."""

    most: float
    began: float = field(default_factory=time.monotonic)
    until: float = 0.0

    def allow(self, seconds: float) -> None:
        """A request begins that may take this long."""
        self.until = min(time.monotonic() + seconds, self.began + self.most)

    @property
    def left(self) -> float:
        """Below 0: it is over."""
        return self.until - time.monotonic()


def bounded_client(clock: Clock, timeout_seconds: float) -> "httpx.Client":
    """A client that follows no redirects, uses no proxy, and obeys `clock` at every read. Made on first use: httpx
    takes 60 ms to import."""
    import httpcore
    import httpx

    class Stream(httpcore.NetworkStream):
        def __init__(self, inner: httpcore.NetworkStream) -> None:
            self._inner = inner

        def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
            return self._inner.read(max_bytes, _sooner(timeout))

        def write(self, buffer: bytes, timeout: float | None = None) -> None:
            self._inner.write(buffer, _sooner(timeout))

        def close(self) -> None:
            self._inner.close()

        def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> "Stream":
            return Stream(self._inner.start_tls(ssl_context, server_hostname, _sooner(timeout)))

        def get_extra_info(self, info: str) -> Any:
            return self._inner.get_extra_info(info)

    class Backend(httpcore.NetworkBackend):
        def __init__(self) -> None:
            self._inner = httpcore.SyncBackend()

        def connect_tcp(
            self,
            host: str,
            port: int,
            timeout: float | None = None,
            local_address: str | None = None,
            socket_options: Iterable[Any] | None = None,
        ) -> httpcore.NetworkStream:
            return Stream(self._inner.connect_tcp(host, port, _sooner(timeout), local_address, socket_options))

    def _sooner(timeout: float | None) -> float:
        if clock.left <= 0:
            raise httpcore.ReadTimeout("the time for this answer is over")
        return clock.left if timeout is None else min(timeout, clock.left)

    class Body(httpx.SyncByteStream):
        def __init__(self, answer: httpcore.Response) -> None:
            self._answer = answer

        def __iter__(self) -> Iterator[bytes]:
            try:
                yield from self._answer.iter_stream()
            except tuple(_ERRORS) as e:
                raise _ERRORS[type(e)](str(e)) from None

        def close(self) -> None:
            self._answer.close()

    class Transport(httpx.BaseTransport):
        def __init__(self) -> None:
            self._pool = httpcore.ConnectionPool(network_backend=Backend())

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            url = request.url
            asked = httpcore.Request(
                request.method,
                httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                extensions=request.extensions,
            )
            try:
                answer = self._pool.handle_request(asked)
            except tuple(_ERRORS) as e:
                raise _ERRORS[type(e)](str(e)) from None
            return httpx.Response(answer.status, headers=answer.headers, stream=Body(answer), extensions=answer.extensions)

        def close(self) -> None:
            self._pool.close()

    _ERRORS: dict[type[Exception], type[httpx.TransportError]] = {
        httpcore.ConnectTimeout: httpx.ConnectTimeout,
        httpcore.ReadTimeout: httpx.ReadTimeout,
        httpcore.WriteTimeout: httpx.WriteTimeout,
        httpcore.PoolTimeout: httpx.PoolTimeout,
        httpcore.ConnectError: httpx.ConnectError,
        httpcore.ReadError: httpx.ReadError,
        httpcore.WriteError: httpx.WriteError,
        httpcore.LocalProtocolError: httpx.LocalProtocolError,
        httpcore.RemoteProtocolError: httpx.RemoteProtocolError,
        httpcore.UnsupportedProtocol: httpx.UnsupportedProtocol,
    }
    return httpx.Client(transport=Transport(), timeout=timeout_seconds, follow_redirects=False, trust_env=False)
