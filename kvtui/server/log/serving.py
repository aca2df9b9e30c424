"""What a server that serves tells in its log alone: how far prompts are, and the context checkpoints it keeps."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from kvtui.server.log.own import START

# tools/server/server-context.cpp, the SLT_* macros and the lines of update_slots, create_checkpoint and release
_SLOT = re.compile(START + r"slot\s+\S.*?: id\s+(\d{1,6}) \| task -?\d+ \| (.*)")
_NEW = re.compile(r"new prompt, .*\btask\.n_tokens = (\d{1,12})")
_HAS = re.compile(r"cached n_tokens = (\d{1,12}),")
_KEPT = re.compile(r"created context checkpoint (\d{1,6}) of \d+ ")
_ERASED = re.compile(r"erased invalidated context checkpoint ")
_PROMPT_OVER = re.compile(r"(?:init sampler, took|prompt eval time =|stop processing: )")
MOST_SLOTS = 512


@dataclass(frozen=True)
class SlotLog:
    """`done` of `prompt` tokens of the prompt under way are computed or cached; both 0 where none is."""

    prompt: int = 0
    done: int = 0
    checkpoints: int = 0

    def after(self, said: str) -> "SlotLog":
        """After a line of this slot."""
        if found := _NEW.match(said):
            return replace(self, prompt=int(found[1]), done=0)
        if found := _HAS.match(said):
            return replace(self, done=min(int(found[1]), self.prompt))
        if found := _KEPT.match(said):
            return replace(self, checkpoints=int(found[1]))
        if _ERASED.match(said):
            return replace(self, checkpoints=max(self.checkpoints - 1, 0))
        return replace(self, prompt=0, done=0) if _PROMPT_OVER.match(said) else self


@dataclass(frozen=True)
class Serving:
    """`slots` by their numbers, those that said something."""

    slots: Mapping[int, SlotLog] = field(default_factory=dict)

    @property
    def prompts(self) -> tuple[float, ...]:
        """How far each prompt under way is, 0 to 1."""
        return tuple(s.done / s.prompt for _, s in sorted(self.slots.items()) if s.prompt)

    @property
    def checkpoints(self) -> int:
        """Of all slots."""
        return sum(s.checkpoints for s in self.slots.values())

    def after(self, lines: Iterable[str]) -> "Serving":
        """After these further lines; itself where they change nothing."""
        slots = dict(self.slots)
        for line in lines:
            if found := _SLOT.match(line):
                number = int(found[1])
                if number in slots or len(slots) < MOST_SLOTS:
                    slots[number] = slots.get(number, SlotLog()).after(found[2])
        return Serving(slots) if slots != self.slots else self
