"""Does a server that loads also live through its longest prompt? Many plans die there."""

import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kvtui.server.http.client import Completion, ServerClient, ServerError, Slot, completion

ANSWER_TOKENS = 4
SPARE_TOKENS = 8  # what the server keeps for itself at the context's end
SAMPLE_SECONDS = 0.25
FIRST_TOKEN, LAST_TOKEN = 1000, 4000  # ordinary tokens in every vocabulary of more than a few thousand

Sample = Callable[[], Mapping[str, int]]


@dataclass(frozen=True)
class StressResult:
    """`passed`: every slot answered after a prompt to its limit. `peak_bytes`: the most each device (and "RAM") was
    seen to hold. `problem`: the sentence, if it did not pass."""

    passed: bool
    slots: int
    prompt_tokens: int
    prompt_rate: float
    seconds: float
    peak_bytes: Mapping[str, int]
    problem: str | None = None


class _Peaks:
    """The highest values of a sample, taken in the background until it is closed."""

    def __init__(self, sample: Sample) -> None:
        self._sample = sample
        self._enough = threading.Event()
        self.bytes: dict[str, int] = {}
        self._take()
        self._thread = threading.Thread(target=self._run, name="stress-peaks", daemon=True)
        self._thread.start()

    def _take(self) -> None:
        for name, size in self._sample().items():
            self.bytes[name] = max(size, self.bytes.get(name, 0))

    def _run(self) -> None:
        while not self._enough.wait(SAMPLE_SECONDS):
            self._take()

    def close(self) -> None:
        self._enough.set()
        self._thread.join()
        self._take()


def stress(
    client: ServerClient,
    sample: Sample,
    all_slots: bool = False,
    on_progress: Callable[[float], None] | None = None,
    cancel: threading.Event | None = None,
    timeout_seconds: float = 3600.0,
) -> StressResult:
    """Fill one slot (or all at once) to its limit and let it answer. Blocking; `on_progress` hears the share of all
    prompts done. `sample` gives the bytes held now by device, called from another thread too. Random tokens, so that
    no prompt cache helps."""
    slots = client.slots()
    if not slots:
        return StressResult(False, 0, 0, 0.0, 0.0, {}, "the server tells no slots")
    chosen = slots if all_slots else slots[:1]
    began = time.monotonic()
    peaks = _Peaks(sample)
    done = [0.0] * len(chosen)
    outcome: list[Completion | str] = [""] * len(chosen)
    stop = cancel or threading.Event()

    def fill(index: int) -> None:
        outcome[index] = _fill(client, chosen[index], stop, timeout_seconds, lambda share: report(index, share))

    def report(index: int, share: float) -> None:
        done[index] = share
        if on_progress:
            on_progress(sum(done) / len(done))

    threads = [threading.Thread(target=fill, args=(i,), name=f"stress-{i}", daemon=True) for i in range(len(chosen))]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        peaks.close()
    answers = [o for o in outcome if isinstance(o, Completion)]
    problems = [o for o in outcome if isinstance(o, str)]
    return StressResult(
        not problems,
        len(chosen),
        sum(a.prompt_tokens for a in answers),
        min((a.prompt_rate for a in answers), default=0.0),
        time.monotonic() - began,
        dict(peaks.bytes),
        problems[0] if problems else None,
    )


def _fill(
    client: ServerClient,
    slot: Slot,
    stop: threading.Event,
    timeout: float,
    report: Callable[[float], None],
) -> Completion | str:
    wanted = slot.context - ANSWER_TOKENS - SPARE_TOKENS
    if wanted < 1:
        return f"a slot of {slot.context} tokens is too small to fill"
    numbers = random.Random(slot.number)
    tokens = [numbers.randrange(FIRST_TOKEN, LAST_TOKEN) for _ in range(wanted)]
    asked = {
        "prompt": tokens,
        "n_predict": ANSWER_TOKENS,
        "cache_prompt": False,
        "return_progress": True,
        "ignore_eos": True,
        "id_slot": slot.number,
    }
    events = client.stream(asked, timeout)
    try:
        for event in events:
            if stop.is_set():
                return "stopped before its end"
            progress = event.get("prompt_progress")
            if isinstance(progress, dict) and progress.get("total"):
                report(min(1.0, progress.get("processed", 0) / progress["total"]))
            if "error" in event or "message" in event:
                return f"the server refused: {str(event.get('message') or event['error'])[:200]}"
            if event.get("stop") is True:
                answer = completion(event)
                if answer.prompt_tokens < wanted:
                    return f"only {answer.prompt_tokens} of {wanted} tokens were taken"
                return answer
        return "the answer broke off: the server has probably died"
    except ServerError as error:
        return f"the answer broke off: {error}"
    finally:
        events.close()
