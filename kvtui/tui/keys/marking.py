"""Blocks marked in the map: arrows stretch the mark, a device's letter pins what may move of it."""

from collections.abc import Callable
from dataclasses import dataclass

from kvtui.tui.keys.asking import Asking
from kvtui.tui.keys.pins import RAM_NAME, blocks_text
from kvtui.tui.lines import Line, line

LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"  # a device's, as on the map
RAM_LETTER, NO_PIN = ".", "-"
STEPS = {"left": -1, "right": 1, "up": -10, "down": 10, "home": -10_000, "end": 10_000}  # blocks


@dataclass(frozen=True)
class Marking(Asking):
    """`mark`: where it began; `at` says where the cursor is now, `step` moves it. `pin` gets the blocks and the name of a
    device, RAM_NAME, or "" for no pin."""

    mark: int
    devices: tuple[str, ...]
    what: str  # "experts"
    at: Callable[[], int]
    step: Callable[[int], object]
    pin: Callable[[range, str], object]

    @property
    def blocks(self) -> range:
        """From the mark to the cursor, both in it."""
        first, last = sorted((self.mark, self.at()))
        return range(first, last + 1)

    def press(self, key: str, character: str | None) -> Asking | None:
        """Stretches, pins, leaves; other keys do nothing."""
        if key == "escape":
            return None
        if key in STEPS:
            self.step(STEPS[key])
            return self
        device = self._named().get(character or "")
        if device is None:
            return self
        self.pin(self.blocks, device)
        return None

    def _named(self) -> dict[str, str]:
        return {**dict(zip(LETTERS, self.devices, strict=False)), RAM_LETTER: RAM_NAME, NO_PIN: ""}

    def footer(self, width: int) -> tuple[Line, ...]:
        """The blocks, and the letters of the devices as far as there is room; the map has them all."""
        head = f" {blocks_text(self.blocks)}: {self.what} to "
        names = [f"{letter} {name}" for letter, name in self._named().items() if name]
        if len(head) + len("  ".join(names)) > width:
            names = [f"a device by its letter on the map, {RAM_LETTER} {RAM_NAME}"]
        keys = f" left/right, up/down ten: more or fewer blocks   {NO_PIN} no pin   Esc leaves"
        return line((head, "strong"), ("  ".join(names), "key")), line((keys, "dim"))
