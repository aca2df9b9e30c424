"""Headers behind a URL, from real HTTP servers on loopback that behave well or badly."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from kvtui.base.secrets import shown_url
from kvtui.header.address import ModelAddress
from kvtui.header.reader import HeaderError
from kvtui.header.remote import open_remote_header
from kvtui.tasks.demo import demo_header

SIZE = 666_071_228_960
Answer = Callable[[BaseHTTPRequestHandler], None]


def header_bytes() -> bytes:
    from importlib.resources import files

    return files("kvtui.data").joinpath("kimi-k2.head").read_bytes()


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ranged(request: BaseHTTPRequestHandler, data: bytes, size: int = SIZE) -> None:
    """A sparse file: `data`, then zeros up to `size`."""
    first, last = (int(x) for x in request.headers["Range"].removeprefix("bytes=").split("-"))
    body = data[first : last + 1].ljust(last + 1 - first, b"\0")
    request.send_response(206)
    request.send_header("Content-Range", f"bytes {first}-{last}/{size}")
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


def test_only_the_headers_ranges_are_read() -> None:
    fetched: list[int] = []
    with serving(lambda r: ranged(r, header_bytes())) as url:
        header = open_remote_header(ModelAddress(f"{url}/kimi.gguf"), fetched.append)
    assert header.tensors == demo_header().tensors
    assert header.file_bytes == SIZE
    assert fetched[-1] == 128 << 10


def test_redirect_to_another_port_is_followed() -> None:
    with serving(lambda r: ranged(r, header_bytes())) as target:

        def redirect(request: BaseHTTPRequestHandler) -> None:
            request.send_response(302)
            request.send_header("Location", f"{target}/elsewhere")
            request.end_headers()

        with serving(redirect) as url:
            assert len(open_remote_header(ModelAddress(f"{url}/kimi.gguf")).tensors) == 1096


def plain_status(code: int, **headers: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(code)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()

    return answer


def cut(request: BaseHTTPRequestHandler) -> None:
    request.send_response(206)
    request.send_header("Content-Range", f"bytes 0-131071/{SIZE}")
    request.send_header("Content-Length", "131072")
    request.end_headers()
    request.wfile.write(header_bytes()[:5000])


def endless(request: BaseHTTPRequestHandler) -> None:
    """Claims the range and sends far more."""
    request.send_response(206)
    request.send_header("Content-Range", f"bytes 0-131071/{SIZE}")
    request.end_headers()
    try:
        for _ in range(100_000):
            request.wfile.write(b"GGUF" + b"\0" * 65532)
    except OSError:
        pass


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (plain_status(404), r"/kimi\.gguf: the server answers HTTP 404"),
        (plain_status(403), "refuses access"),
        (plain_status(200, Content_Length="0"), "does not support range requests"),
        (plain_status(302, Location="file:///etc/passwd"), "redirects to a file: address"),
        (plain_status(302, Location="/again"), "more than 5 times"),
        (plain_status(206, Content_Length="0"), "does not say how long"),
        (plain_status(206, Content_Range="bytes 0-1/*", Content_Length="0"), "does not say how long"),
        (plain_status(206, Content_Range="bytes 0-1/9", Content_Encoding="gzip", Content_Length="0"), "compresses"),
        (cut, "the connection failed"),
        (endless, "GGUF version 0 is not supported|big-endian"),
    ],
)
def test_bad_servers_get_one_clear_sentence(answer: Answer, message: str) -> None:
    with serving(answer) as url, pytest.raises(HeaderError, match=message):
        open_remote_header(ModelAddress(f"{url}/kimi.gguf?token=secret"))


def test_no_server() -> None:
    with pytest.raises(HeaderError, match="the connection failed"):
        open_remote_header(ModelAddress("http://127.0.0.1:1/m.gguf"))


def test_secrets_are_not_shown() -> None:
    assert shown_url("https://me:pass@host:8443/a/b.gguf?token=x#y") == "https://host:8443/a/b.gguf"
    with serving(plain_status(404)) as url, pytest.raises(HeaderError) as error:
        open_remote_header(ModelAddress(f"{url}/kimi.gguf?token=secret"))
    assert "secret" not in str(error.value)
