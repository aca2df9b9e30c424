"""What is so, whatever an app shows: asked of /proc and of the server itself at each look, and held against what is shown."""

import http.client
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kvtui.base.sizes import short_context

Json = dict[str, Any]
PROC = Path("/proc")
LAUNCH_MARK, ASKED_MARK = b"KVTUI_LAUNCH=", b"KVTUI_ASKED_BY="
ANSWER_SECONDS = 2.0
# How long an app may show what was so and is not: it reads logs four times a second and asks once in two seconds, where the
# machine gives it a core. Counted in looks too: a machine that stands still shows nothing.
LAG_SECONDS, LAG_LOOKS = 10.0, 20
_RUNS = re.compile(r"running: (\S+) (\S+), port (\d+)")
_SAME = re.compile(r"on screen: the same(?: |$)")


@dataclass(frozen=True)
class Alive:
    """A server of ours that /proc has: the words it was started with, and what it says. `health` is the HTTP status, 0 where
    nobody answers; `busy` and the rest None where it does not tell. `counted`: tokens of answers that are over; `most`: with
    those under way, never fewer than anybody was told before."""

    launch: str
    pid: int
    words: tuple[str, ...]
    health: int = 0
    slots: int = 0
    busy: int | None = None
    counted: float | None = None
    most: float | None = None

    def value(self, *names: str, default: str = "") -> str:
        """What follows an option."""
        at = [i for i, word in enumerate(self.words) if word in names]
        return self.words[at[-1] + 1] if at else default


@dataclass(frozen=True)
class Truth:
    """One moment."""

    servers: tuple[Alive, ...] = ()
    unasked: tuple[str, ...] = ()  # programs asked for their words by somebody who has gone


def look(launches: Iterable[str]) -> Truth:
    """What is so now of these launches."""
    wanted, servers, unasked = set(launches), [], []
    for pid in (int(entry) for entry in os.listdir(PROC) if entry.isdigit()):
        marks = _marks(pid)
        if (name := marks.get(LAUNCH_MARK)) in wanted and name is not None:
            words = tuple(w.decode("utf-8", "replace") for w in _read(pid, "cmdline").split(b"\0")[:-1])
            if words and Path(words[0]).name == "llama-server":
                servers.append(_asked(Alive(name, pid, words)))
        elif (asker := marks.get(ASKED_MARK)) and not (PROC / asker.split()[0]).exists():
            unasked.append(f"pid {pid}, which pid {asker.split()[0]} asked for its words,")
    return Truth(tuple(s for s in servers if _lives(s.pid)), tuple(unasked))


def _read(pid: int, name: str) -> bytes:
    try:
        return (PROC / str(pid) / name).read_bytes()
    except OSError:
        return b""


def _lives(pid: int) -> bool:
    return _read(pid, "stat").rpartition(b")")[2].split()[:1] not in ([], [b"Z"], [b"X"])


def _marks(pid: int) -> dict[bytes, str]:
    said = (entry.partition(b"=") for entry in _read(pid, "environ").split(b"\0"))
    return {name + b"=": value.decode() for name, _, value in said if name + b"=" in (LAUNCH_MARK, ASKED_MARK)}


def _asked(server: Alive) -> Alive:
    url = f"http://127.0.0.1:{server.value('--port')}"
    health, _ = _get(f"{url}/health")
    if health != 200:
        return Alive(server.launch, server.pid, server.words, health)
    _, listed = _get(f"{url}/slots")  # first: an answer that ends between is counted twice, so none is missed
    _, metrics = _get(f"{url}/metrics")
    total = re.search(rb"^llamacpp:tokens_predicted_total (\S+)$", metrics, re.MULTILINE)
    counted = float(total[1]) if total else None
    if not listed.startswith(b"["):
        return Alive(server.launch, server.pid, server.words, health, counted=counted)
    slots = json.loads(listed)
    busy = [s for s in slots if s["is_processing"]]
    most = None if counted is None else counted + sum(map(_decoded, busy))
    return Alive(server.launch, server.pid, server.words, health, len(slots), len(busy), counted, most)


def _decoded(slot: Json) -> int:
    tokens = slot.get("next_token", {})
    return sum(int(t.get("n_decoded", 0)) for t in (tokens if isinstance(tokens, list) else [tokens]))


def _get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, b""
    except (OSError, http.client.HTTPException):
        return 0, b""


def never_so(told: Json, truth: Truth) -> list[str]:
    """What is shown and was so at no moment up to this one, which came after it was shown."""
    server = next((s for s in truth.servers if s.launch == told["launch"]), None)
    if server is None or not told["running"]:
        return []
    wrong = []
    if told["ready"] and server.health == 503:
        wrong.append("ready, and /health says that it loads")
    pair, length, port = _shown(told["head"])
    if port and port != server.value("--port"):
        wrong.append(f"port {port}, and it was started with {server.value('--port')}")
    types = [server.value(*names, default="f16") for names in (("-ctk", "--cache-type-k"), ("-ctv", "--cache-type-v"))]
    real = types[0] if types[0] == types[1] else "/".join(types)
    if pair and pair != real:
        wrong.append(f"{pair}, and it was started with {real}")
    n_ctx = int(server.value("-c", "--ctx-size", default="0"))
    if length and length != short_context(n_ctx):
        wrong.append(f"context {length}, and it was started with {n_ctx}")
    if _SAME.search(told["head"]) and told["types"] != types:
        wrong.append(f"the plan on the screen as the one that runs, and that has {real}")
    if told["context"] not in (0, n_ctx):
        wrong.append(f"{told['context']} cells, and it was started with {n_ctx}")
    if told["used"] > told["context"]:
        wrong.append(f"{told['used']} of {told['context']} cells in use")
    if told["slots"] and server.slots and told["slots"] != server.slots:
        wrong.append(f"{told['slots']} slots, and /slots has {server.slots}")
    if server.most is not None and told["generated"] > server.most:
        wrong.append(f"having made {told['generated']:.0f} tokens, and it has made {server.most:.0f}")
    return [f"{server.launch} is shown as {text}" for text in wrong]


def not_so(told: Json, truth: Truth) -> list[str]:
    """What is shown and is not so now; it may have been a moment ago."""
    server = next((s for s in truth.servers if s.launch == told["launch"]), None)
    others = [s.launch for s in truth.servers if s.launch != told["launch"]]
    wrong = []
    if told["running"] and server is None:
        wrong.append(f"{told['launch']} is shown to run, and /proc has it not")
    if not told["running"] and server is not None:
        wrong.append(f"{server.launch} is shown as {told['text']!r}, and /proc has it as pid {server.pid}")
    if others and not (told["running"] and server is not None):
        wrong.append(f"no word of {', '.join(others)}, which /proc has")
    stopping = str(told["text"]).startswith("stopping")
    if told["running"] and server is not None and not stopping:
        if server.health == 200 and not told["ready"]:
            wrong.append(f"{server.launch} is shown as {told['text']!r}, and /health says that it is ready")
        if told["ready"] and server.busy is not None and told["busy"] != server.busy:
            wrong.append(f"{server.launch}: busy slots are shown and /slots has others")
    return wrong + [f"{program} still runs" for program in truth.unasked]


def _shown(head: str) -> tuple[str, str, str]:
    found = _RUNS.search(head)
    return (found[1], found[2], found[3]) if found else ("", "", "")


@dataclass
class Watch:
    """Every look of one app after another. `wrong`: what was shown and never so, or was not so for longer than an app may
    take to see it."""

    looks: int = 0
    wrong: list[str] = field(default_factory=list)
    _since: Mapping[str, tuple[float, int]] = field(default_factory=dict)
    _counted: list[tuple[float, int, str, float]] = field(default_factory=list)

    def begin(self) -> None:
        """An app that has just started has shown nothing yet."""
        self._since, self._counted = {}, []

    def saw(self, told: Json, truth: Truth, at: float | None = None) -> None:
        """One look; `at`: time.monotonic() of it."""
        at = time.monotonic() if at is None else at
        self.looks += 1

        def late(since: float, look: int) -> bool:
            return at - since > LAG_SECONDS and self.looks - look > LAG_LOOKS

        self._since = {text: self._since.get(text, (at, self.looks)) for text in not_so(told, truth)}
        stale = [text for text, (since, look) in self._since.items() if late(since, look)]
        if told["ready"] and self._fewer(told, late):
            stale.append(f"{told['launch']} is shown with fewer tokens than it had counted")
        self._counted += [(at, self.looks, s.launch, s.counted) for s in truth.servers if s.counted is not None]
        self._note([*never_so(told, truth), *(f"{text}, for {LAG_SECONDS:.0f} s and more" for text in stale)])

    def _fewer(self, told: Json, late: Callable[[float, int], bool]) -> bool:
        old = [n for at, look, launch, n in self._counted if launch == told["launch"] and late(at, look)]
        return bool(old) and told["generated"] < max(old)

    def _note(self, found: Sequence[str]) -> None:
        self.wrong += [text for text in found if text not in self.wrong]
