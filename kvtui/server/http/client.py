"""Asking a running llama-server how it is, bounded in time and size whatever answers at that address."""

import contextlib
import json
import math
import re
import socket
import threading
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from kvtui.base.findings import KvtuiError
from kvtui.base.text import printable
from kvtui.cache.divergence import Likeliest

if TYPE_CHECKING:
    pass

State = Literal["ready", "loading", "silent", "strange"]
ANSWER_LIMIT_BYTES = 4 * 2**20
CONNECT_SECONDS = 5.0  # a server of this machine takes a connection at once or is stuck
METRICS_LIMIT = 500
SLOTS_LIMIT = 512
_AGAIN = {"cache_prompt": True, "id_slot": 0}
_SURE = 1e-4  # a logarithm of probability above 0 by no more than rounding
_METRIC = re.compile(r"llamacpp:(\w+) (\S+)$")


class ServerError(KvtuiError):
    """No answer, or none that a llama-server gives: one sentence."""


@dataclass(frozen=True)
class Health:
    """`loading` is its own 503; `silent`: nobody answers in time; `strange`: something else does."""

    state: State
    said: str = ""


@dataclass(frozen=True)
class Slot:
    """One line of /slots: `used` of `context` tokens hold something (0 where the build does not tell); `generated`: tokens
    of the answer under way, 0 where there is none."""

    number: int
    context: int
    used: int
    busy: bool
    generated: int = 0


@dataclass(frozen=True)
class Completion:
    """An answer to one prompt: printable lines, tokens and the server's own rates (tokens a second, 0 if unknown)."""

    lines: tuple[str, ...]
    prompt_tokens: int
    predicted_tokens: int
    prompt_rate: float
    predicted_rate: float
    truncated: bool


class ServerClient:
    """Blocking requests to one server: for a worker thread. No redirects, no proxies, no compressed answers."""

    def __init__(self, url: str, api_key: str | None = None, timeout_seconds: float = 2.0) -> None:
        self._url = url
        self._headers = {"Accept-Encoding": "identity"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._timeout = timeout_seconds

    def health(self) -> Health:
        """Whether it answers requests by now."""
        try:
            status, body = self._request("GET", "/health")
        except ServerError as error:
            return Health("silent", str(error))
        said = _words(body)
        if status == 200 and said == "ok":
            return Health("ready")
        return Health("loading", said) if status == 503 else Health("strange", f"HTTP {status} {said}".strip())

    def slots(self) -> tuple[Slot, ...]:
        """State of each slot. ServerError also while it is busy with a long batch: it answers between batches."""
        found = self._json("GET", "/slots")
        if not isinstance(found, list):
            raise ServerError(f"/slots answered {type(found).__name__}, not a list")
        return tuple(_slot(s) for s in found[:SLOTS_LIMIT] if isinstance(s, dict))

    def metrics(self) -> dict[str, float]:
        """Numbers of /metrics by their names without `llamacpp:`; needs --metrics."""
        status, body = self._request("GET", "/metrics")
        if status != 200:
            raise ServerError(f"/metrics answered HTTP {status} {_words(body)}".strip())
        numbers: dict[str, float] = {}
        for line in body.decode("utf-8", "replace").splitlines():
            if (found := _METRIC.match(line)) and len(numbers) < METRICS_LIMIT:
                numbers[found[1]] = _number(found[2])
        return numbers

    def complete(self, prompt: str | Sequence[int], tokens: int = 64, timeout_seconds: float = 120.0) -> Completion:
        """One prompt (text, or token numbers), to its end. The prompt cache is left alone."""
        asked = {"prompt": prompt if isinstance(prompt, str) else list(prompt), "n_predict": tokens}
        asked |= {"cache_prompt": False}
        return completion(self._completed(asked, timeout_seconds))

    def timed(self, prompt: Sequence[int], tokens: int, timeout_seconds: float) -> Completion:
        """Exactly so many tokens after `prompt`, the likeliest each time: for its rates. Nothing that is cached helps."""
        asked = {"prompt": list(prompt), "n_predict": tokens, "temperature": 0, "ignore_eos": True, "cache_prompt": False}
        found = completion(self._completed(asked, timeout_seconds))
        if not (found.prompt_rate > 0 and found.predicted_rate > 0):
            raise ServerError("/completion told no rates")
        return found

    def tokens(self, text: str, *, special: bool = False, timeout_seconds: float = 60.0) -> tuple[int, ...]:
        """`text` in the model's tokens; `special`: with those that its vocabulary puts around a text."""
        answer = self._json("POST", "/tokenize", {"content": text, "add_special": special}, timeout_seconds)
        found = answer.get("tokens") if isinstance(answer, dict) else None
        if not isinstance(found, list) or not all(isinstance(t, int) for t in found):
            raise ServerError("/tokenize answered something else than tokens")
        return tuple(found)

    def likeliest(self, prompt: Sequence[int], most: int, timeout_seconds: float) -> Likeliest:
        """The `most` likeliest tokens after `prompt`, before any sampling. What slot 0 holds of it is used again."""
        asked = {"prompt": list(prompt), "n_predict": 1, "n_probs": most, "samplers": []}
        answer = self._json("POST", "/completion", {**asked, **_AGAIN}, timeout_seconds)
        try:
            told = answer["completion_probabilities"][0]["top_logprobs"]
            found = Likeliest(tuple(int(t["id"]) for t in told), tuple(float(t["logprob"]) for t in told))
        except (KeyError, IndexError, TypeError, ValueError):
            raise ServerError("/completion told no probabilities") from None
        if not found.tokens or not all(math.isfinite(p) and p <= _SURE for p in found.logprobs):
            raise ServerError("/completion told probabilities that are none")
        return found

    def continued(self, prompt: Sequence[int], tokens: int, timeout_seconds: float) -> str:
        """What follows `prompt` where the likeliest token is always taken. What slot 0 holds of it is used again."""
        asked = {"prompt": list(prompt), "n_predict": tokens, "top_k": 1, "samplers": ["top_k"]}
        return printable(self._completed({**asked, **_AGAIN}, timeout_seconds)["content"], 2000)

    def stream(self, asked: Mapping[str, Any], timeout_seconds: float) -> Generator[dict[str, Any]]:
        """Events of a streamed /completion, each a JSON object. Closing the iterator stops the server's work."""
        rest = b""
        asked = {**asked, "stream": True}
        with contextlib.closing(self._pieces("POST", "/completion", asked, timeout_seconds)) as pieces:
            for piece in pieces:
                *whole, rest = (rest + piece).split(b"\n")
                if len(rest) > ANSWER_LIMIT_BYTES:
                    raise ServerError("/completion sent a line without end")
                for line in whole:
                    if line.startswith((b"data: {", b"error: {")):
                        event = _parse(line.partition(b": ")[2])
                        if isinstance(event, dict):
                            yield event

    def _completed(self, asked: Mapping[str, Any], timeout_seconds: float) -> dict[str, Any]:
        answer = self._json("POST", "/completion", asked, timeout_seconds)
        if not isinstance(answer, dict) or not isinstance(answer.get("content"), str):
            raise ServerError("/completion answered something else than a completion")
        return answer

    def _json(self, method: str, path: str, asked: object = None, timeout: float | None = None) -> Any:
        status, body = self._request(method, path, asked, timeout)
        if status != 200:
            raise ServerError(f"{path} answered HTTP {status} {_words(body)}".strip())
        return _parse(body)

    def _request(self, method: str, path: str, asked: object = None, timeout: float | None = None) -> tuple[int, bytes]:
        body = b""
        with contextlib.closing(self._pieces(method, path, asked, timeout or self._timeout, any_status=True)) as pieces:
            status = next(pieces)
            for piece in pieces:
                body += piece
                if len(body) > ANSWER_LIMIT_BYTES:
                    raise ServerError(f"{path} answered more than {ANSWER_LIMIT_BYTES // 2**20} MiB")
        return int(status), body

    def _pieces(self, method: str, path: str, asked: object, timeout: float, any_status: bool = False) -> Generator[bytes]:
        """Raw pieces of an answer until the deadline; the status first, in decimal, if `any_status`."""
        import httpx

        limits = httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS))
        deadline = _Deadline(timeout)
        body: dict[str, Any] = {} if asked is None else {"json": asked}
        try:
            with (
                httpx.Client(trust_env=False, timeout=limits) as client,
                client.stream(
                    method, self._url + path, headers=self._headers, extensions={"trace": deadline.watch}, **body
                ) as answer,
            ):
                if answer.headers.get("content-encoding", "identity") != "identity":
                    raise ServerError(f"{path} answered compressed, unasked")
                if any_status:
                    yield str(answer.status_code).encode()
                elif answer.status_code != 200:
                    raise ServerError(f"{path} answered HTTP {answer.status_code}")
                yield from answer.iter_raw()
                if deadline.passed:
                    raise ServerError(f"{path} did not end within {timeout:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ValueError, OSError) as error:
            said = f"{path} did not end within {timeout:g} s" if deadline.passed else _plainly(error, path)
            raise ServerError(said) from error
        finally:
            deadline.cancel()


class _Deadline:
    """Ends a connection when its time is up, however slowly something still trickles in: httpx's own time-outs are
    for each read."""

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True
        self._timer.start()

    def watch(self, event: str, info: Mapping[str, Any]) -> None:
        """httpcore's trace of a request: here the connection is made."""
        if event == "connection.connect_tcp.complete":
            self._socket = info["return_value"].get_extra_info("socket")

    def cancel(self) -> None:
        self._timer.cancel()

    def _end(self) -> None:
        self.passed = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


def completion(answer: Mapping[str, Any]) -> Completion:
    """The final object of /completion, made safe."""
    timings = answer.get("timings")
    timings = timings if isinstance(timings, dict) else {}
    return Completion(
        tuple(printable(line, 2000) for line in str(answer.get("content", "")).splitlines()[:1000]),
        _count(answer.get("tokens_evaluated")),
        _count(answer.get("tokens_predicted")),
        _number(timings.get("prompt_per_second")),
        _number(timings.get("predicted_per_second")),
        answer.get("truncated") is True,
    )


def decode_rate(before: Mapping[str, float], after: Mapping[str, float]) -> float | None:
    """Tokens a second between two /metrics; `None` if nothing was generated."""
    tokens = after.get("tokens_predicted_total", 0.0) - before.get("tokens_predicted_total", 0.0)
    seconds = after.get("tokens_predicted_seconds_total", 0.0) - before.get("tokens_predicted_seconds_total", 0.0)
    return tokens / seconds if tokens > 0 and seconds > 0 else None


def _slot(said: Mapping[str, Any]) -> Slot:
    # tools/server/server-context.cpp, server_slot::to_json: n_prompt_tokens is what the slot holds, answer included
    used = _count(said.get("n_prompt_tokens", said.get("n_past")))
    busy, next_token = said.get("is_processing") is True, said.get("next_token")
    first = next_token[0] if isinstance(next_token, list) and next_token else next_token
    generated = _count(first.get("n_decoded")) if busy and isinstance(first, dict) else 0
    return Slot(_count(said.get("id")), _count(said.get("n_ctx")), used, busy, generated)


def _count(value: object) -> int:
    number = _number(value)
    return int(number) if 0 <= number < 2**53 else 0


def _number(value: object) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return number if math.isfinite(number) else 0.0


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ServerError("the answer is no JSON") from error


def _words(body: bytes) -> str:
    """`status`, or the message of an error object, or nothing."""
    try:
        said = json.loads(body[:65536])
        if not isinstance(said, dict):
            return ""
        error = said.get("error")
        return printable(str(error.get("message", "") if isinstance(error, dict) else said.get("status", "")), 200)
    except (ValueError, RecursionError):
        return ""


def _plainly(error: Exception, path: str) -> str:
    import httpx

    if isinstance(error, httpx.TimeoutException):
        return f"{path} did not answer in time"
    if isinstance(error, httpx.ConnectError):
        return "nobody answers"
    return f"{path}: {printable(str(error), 200) or type(error).__name__}"
