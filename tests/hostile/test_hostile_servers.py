"""Remote headers from servers that lie, drip, never end or send one elsewhere: one sentence, bounded in time and bytes."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from kvtui.header import remote
from kvtui.header.access import ANYBODY
from kvtui.header.address import ModelAddress
from kvtui.header.bounded_http import Clock, bounded_client
from kvtui.header.reader import HeaderError
from kvtui.header.remote import open_remote_header

Send = Callable[[bytes], None]
HEAD = b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-131071/600000\r\n"


@contextmanager
def serving(answer: Callable[[Send, threading.Event], None]) -> Iterator[str]:
    """A server whose every connection gets `answer`; the event says that the test is over."""
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def one(connection: socket.socket) -> None:
        with connection:
            try:
                while b"\r\n\r\n" not in connection.recv(65536):
                    pass
                answer(connection.sendall, over)
            except OSError:
                pass  # the client has had enough

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=one, args=(connection,)))
            threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/x.gguf"
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in (accepting, *threads):
            thread.join()


def drip_body(send: Send, over: threading.Event) -> None:
    send(HEAD + b"\r\n")
    while not over.wait(0.05):
        send(b"G")


def drip_head(send: Send, over: threading.Event) -> None:
    send(b"HTTP/1.1 206 Partial\r\nX: ")
    while not over.wait(0.05):
        send(b"a")


def endless_head(send: Send, over: threading.Event) -> None:
    send(b"HTTP/1.1 206 Partial\r\n")
    while not over.is_set():
        send(b"X: " + b"a" * 60_000 + b"\r\n")


def silent(send: Send, over: threading.Event) -> None:
    over.wait()


def redirect(to: bytes) -> Callable[[Send, threading.Event], None]:
    return lambda send, _: send(b"HTTP/1.1 302 Found\r\nLocation: " + to + b"\r\nContent-Length: 0\r\n\r\n")


def plain(head: bytes, body: bytes = b"") -> Callable[[Send, threading.Event], None]:
    return lambda send, _: send(head + b"Connection: close\r\n\r\n" + body)


ZEROS = b"GGUF" + struct.pack("<IQQ", 3, 10**5, 0) + b"\0" * 4096
LONG = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1) + b"a" + struct.pack("<IQ", 8, 400 << 20)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (drip_body, "too slow"),
        (drip_head, "too slow"),
        (silent, "too slow"),
        (endless_head, "the connection failed"),
        (redirect(b"http://127.0.0.2:1/x.gguf"), r"redirects to another host, 127\.0\.0\.2"),
        (redirect(b"http://me:hunter2@169.254.169.254/latest?token=s3cret"), r"another host, 169\.254\.169\.254;"),
        (redirect(b"http://127.0.0.1.example.org/"), "another host"),
        (redirect(b"ftp://127.0.0.1/x"), "a ftp: address"),
        (redirect(b"data:text/plain,x"), "the connection failed"),
        (redirect(b"http://[::1"), "the connection failed"),
        (redirect(b"http://127.0.0.1:99999999/x"), "the connection failed"),
        (redirect(b"\x1b[31m://x"), "the connection failed"),
        (plain(b"HTTP/1.1 206 P\r\nContent-Range: bytes 0-1/-5\r\n"), "does not say how long"),
        (plain("HTTP/1.1 206 P\r\nContent-Range: bytes 0-1/\u0663\u0660\r\n".encode()), "does not say how long"),
        (plain(b"HTTP/1.1 206 P\r\nContent-Range: bytes 0-1/100000000000000000\r\n"), "which no model has"),
        (plain(b"HTTP/1.1 206 P\r\nContent-Range: bytes 0-131071/1000000000000\r\n", LONG), "longer than 128 MiB"),
        (plain(b"HTTP/1.1 206 P\r\nContent-Range: bytes 0-131071/1000000000000\r\n", ZEROS), "'' occurs twice"),
        (plain(bytes(range(256)) * 20), "the connection failed"),
    ],
)
def test_each_ends_with_one_sentence(
    answer: Callable[[Send, threading.Event], None], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "_TIMEOUT", 0.5)
    monkeypatch.setattr(remote, "_SLOWEST", 1 << 20)
    with serving(answer) as url, pytest.raises(HeaderError, match=message) as error:
        open_remote_header(ModelAddress(url.replace("//", "//me:hunter2@") + "?token=s3cret"))
    assert "\n" not in str(error.value)
    assert "hunter2" not in str(error.value)
    assert "s3cret" not in str(error.value)


def test_a_header_without_end_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_MOST_BYTES", 1 << 20)

    asked: list[int] = []

    def words(send: Send, over: threading.Event) -> None:
        """A vocabulary of empty words."""
        start = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1) + b"a" + struct.pack("<IIQ", 9, 8, 10**9)
        head = b"" if asked else start
        asked.append(1)
        send(b"HTTP/1.1 206 P\r\nContent-Range: bytes 0-131071/1000000000000\r\nConnection: close\r\n\r\n" + head)
        send(b"\0" * (8 << 20))

    fetched: list[int] = []
    with serving(words) as url, pytest.raises(HeaderError, match="longer than 1 MiB"):
        open_remote_header(ModelAddress(url), fetched.append)
    assert fetched[-1] <= 1 << 20


def test_a_set_of_99999_parts_is_asked_for_nothing() -> None:
    with pytest.raises(HeaderError, match="a split set of 99999 parts"):
        open_remote_header(ModelAddress("http://127.0.0.1:1/x-00001-of-99999.gguf"))


@pytest.mark.parametrize(
    ("here", "there", "allowed"),
    [
        ("huggingface.co", "cas-bridge.xethub.hf.co", True),
        ("huggingface.co", "evilhf.co", False),
        ("example.org", "cdn.hf.co", False),
        ("huggingface.co.example.org", "cdn.hf.co", False),
        ("github.com", "objects.githubusercontent.com", True),
    ],
)
def test_only_known_hosts_hand_out_from_elsewhere(here: str, there: str, allowed: bool) -> None:
    assert ANYBODY.follows(here, there) is allowed


def test_all_requests_share_one_time_limit() -> None:
    clock = Clock(most=0.0)
    clock.allow(1000.0)
    assert clock.left <= 0
    import httpx

    with bounded_client(clock, 20.0) as client, pytest.raises(httpx.TimeoutException):
        client.get("http://127.0.0.1:1/")
