"""The client against servers that answer garbage, slowly, endlessly, or not at all."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from kvtui.server.http.client import ANSWER_LIMIT_BYTES, Health, ServerClient, ServerError, Slot, completion, decode_rate

Answer = Callable[[socket.socket], None]


@contextlib.contextmanager
def answering(answer: Answer) -> Iterator[ServerClient]:
    """A listener that lets `answer` write to each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    connection.recv(65536)
                    answer(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield ServerClient(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout_seconds=0.5)
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def http(body: bytes, status: str = "200 OK", more: str = "") -> Answer:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode()
    return lambda connection: connection.sendall(head + body)


def endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65536)


def dripping(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    for _ in range(300):  # each well within any time-out for one read
        connection.sendall(b" ")
        time.sleep(0.05)


def dripping_headers(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    for _ in range(300):
        connection.sendall(b"y")
        time.sleep(0.05)


def silent(connection: socket.socket) -> None:
    connection.recv(1)  # until the client gives up


BAD = {
    "garbage": lambda c: c.sendall(b"\x00\xff\x1b]52;c;AAAA\x07 not http\r\n\r\n"),
    "endless": endless,
    "dripping": dripping,
    "dripping headers": dripping_headers,
    "silent": silent,
    "hangs up": lambda c: None,
    "no json": http(b"<html>"),
    "deep json": http(b"[" * 100_000),
    "gzip bomb": http(b"\x1f\x8b\x08" + b"\0" * 100, more="Content-Encoding: gzip\r\n"),
    "redirect": http(b"", "302 Found", "Location: file:///etc/passwd\r\n"),
    "lies about its length": lambda c: c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n[]"),
    "wrong type": http(b'"text"'),
    "error page": http(b'{"error":{"message":"no\\u001b[2J"}}', "500 Oops"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_answer_is_one_sentence(kind: str) -> None:
    with answering(BAD[kind]) as client:
        began = time.monotonic()
        with pytest.raises(ServerError) as error:
            client.slots()
        with pytest.raises(ServerError):
            client.complete("x", timeout_seconds=0.5)
        health = client.health()
        assert time.monotonic() - began < 10  # three answers, each bounded
    assert health.state in ("silent", "strange")
    assert str(error.value).isprintable()
    assert health.said.isprintable()


def test_nobody_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = ServerClient(f"http://127.0.0.1:{unused.getsockname()[1]}", timeout_seconds=0.5)
        assert client.health() == Health("silent", "nobody answers")


def test_loading_and_ready_are_told_apart() -> None:
    loading = b'{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}'
    with answering(http(loading, "503 Service Unavailable")) as client:
        assert client.health() == Health("loading", "Loading model")
    with answering(http(b'{"status":"ok"}')) as client:
        assert client.health() == Health("ready")
    with answering(http(b'{"status":"fine"}')) as client:
        assert client.health().state == "strange"


def test_slots_with_nonsense_in_them() -> None:
    body = b'[{"id":1,"n_ctx":1024,"n_prompt_tokens":13,"is_processing":true},{"id":"x","n_ctx":-5,"n_past":1e400},7]'
    with answering(http(body)) as client:
        assert client.slots() == (Slot(1, 1024, 13, True), Slot(0, 0, 0, False))


def test_metrics_are_numbers_by_name() -> None:
    body = b"# HELP x\nllamacpp:tokens_predicted_total 8\nllamacpp:odd NaN\nother 3\nllamacpp:broken\n"
    with answering(http(body)) as client:
        assert client.metrics() == {"tokens_predicted_total": 8.0, "odd": 0.0}


def test_metrics_without_end_are_cut_off() -> None:
    with answering(http(b"llamacpp:a 1\n" * (ANSWER_LIMIT_BYTES // 10))) as client, pytest.raises(ServerError, match="more than"):
        client.metrics()


def test_an_answers_text_is_made_safe() -> None:
    answer = completion(
        {
            "content": "one\x1b[2J\ntwo",
            "tokens_predicted": 2,
            "tokens_evaluated": 3,
            "timings": {"predicted_per_second": 88.5, "prompt_per_second": "fast"},
        }
    )
    assert answer.lines == ("one", "two")
    assert (answer.prompt_tokens, answer.predicted_tokens, answer.predicted_rate, answer.prompt_rate) == (3, 2, 88.5, 0)


def test_rate_between_two_looks() -> None:
    before = {"tokens_predicted_total": 100.0, "tokens_predicted_seconds_total": 10.0}
    after = {"tokens_predicted_total": 150.0, "tokens_predicted_seconds_total": 12.0}
    assert decode_rate(before, after) == 25.0
    assert decode_rate(after, after) is None


def test_the_key_is_sent_as_a_header_only() -> None:
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def once() -> None:
            connection, _ = listener.accept()
            with connection:
                seen.append(connection.recv(65536))
                http(b'{"status":"ok"}')(connection)

        thread = threading.Thread(target=once)
        thread.start()
        ServerClient(f"http://127.0.0.1:{listener.getsockname()[1]}", "sesame").health()
        thread.join(10)
    assert b"Authorization: Bearer sesame\r\n" in seen[0]
    assert seen[0].startswith(b"GET /health HTTP/1.1\r\n")
