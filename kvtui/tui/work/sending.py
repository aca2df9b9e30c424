"""What is sent to the terminal, and when: a frame a change, the newest where the terminal is behind."""

import os
import time
from dataclasses import dataclass
from typing import Any, TypeVar

from rich.color import ColorSystem
from rich.console import RenderableType
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.app import App
from textual.driver import Driver
from textual.events import Key, Paste, Resize
from textual.message import Message
from textual.screen import Screen

from kvtui.tui.draw.sent import Terminal
from kvtui.tui.draw.sgr import RESET

Result = TypeVar("Result")
BEHIND_SECONDS = 0.05  # until a terminal that did not take a frame is looked at again
ASKED_SECONDS = 1.5  # after a key, what comes is an answer to it
_WHOLE_BYTES = 1024  # shorter frames arrive at once, and need no brackets that say so
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"  # synchronized output: a frame is shown whole


@dataclass
class Pace:
    """Bytes a second that nobody asked for, and seconds between two such frames; answers to a key do not wait."""

    rate: float = 5_000
    least: float = 0.0
    _free: float = float("-inf")
    _asked: float = float("-inf")

    def asked(self, now: float) -> None:
        """A key was pressed."""
        self._asked = now

    def wait(self, now: float) -> float:
        """Seconds until a frame may be sent."""
        return 0.0 if now - self._asked < ASKED_SECONDS else max(self._free - now, 0.0)

    def sent(self, now: float, count: int) -> None:
        """A frame of so many bytes was."""
        self._free = max(self._free, now) + max(count / self.rate, self.least)
        if now - self._asked < ASKED_SECONDS:
            self._free = now + self.least


LEAN = Pace(rate=1_500, least=2.0)


class SparingApp(App[Result]):
    """An app that sends only cells that changed. `lean`: in 256 colours, and seldom where no key was pressed."""

    def __init__(self, *, ansi_color: bool, lean: bool = False) -> None:
        super().__init__(ansi_color=ansi_color)
        self.terminal = Terminal(erases=not os.environ.get("TERM", "").startswith("screen"))  # GNU screen erases to its own
        self.lean = lean
        self.pace = Pace(LEAN.rate, LEAN.least) if lean else Pace()
        self._waits = False  # for its turn: the newest of all frames until then

    def get_driver_class(self) -> type[Driver]:
        """The platform's, with an ear for keys and without a style left behind."""
        return _sparing(super().get_driver_class())

    def on_mount(self) -> None:
        """The first screen does not wait. After a pause (Ctrl+Z) a shell has written over it."""
        self.pressed()
        self.app_resume_signal.subscribe(self, lambda _: self.terminal.forget(), immediate=True)

    def on_resize(self, _: Resize) -> None:
        """A terminal may fold its lines anew."""
        self.terminal.forget()

    def pressed(self) -> None:
        """A key, or the start: the answer does not wait. Called by the thread that reads the terminal."""
        self.pace.asked(time.monotonic())

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        if self.is_headless or not isinstance(renderable, (LayoutUpdate, ChopsUpdate)):
            if renderable is not None:
                self.terminal.forget()
            super()._display(screen, renderable)
            return
        if self._running and not self._closed and self._driver is not None and not self._batch_count:
            self._send(renderable, self._driver)
        self.post_display_hook()

    def _send(self, update: LayoutUpdate | ChopsUpdate, driver: Driver) -> None:
        wait = BEHIND_SECONDS if _behind(driver) else self.pace.wait(time.monotonic())
        if wait > 0:
            if not self._waits:
                self._waits = True
                self.set_timer(wait, self._send_newest)
            return
        if self._waits:  # a key came in between
            update = self.screen._compositor.render_full_update()
        system = ColorSystem[(self.console.color_system or "truecolor").upper().replace("256", "EIGHT_BIT")]
        if self.lean and system is ColorSystem.TRUECOLOR:
            system = ColorSystem.EIGHT_BIT
        text = self.terminal.changes(update, system)
        if text:
            count = len(text.encode())
            self.pace.sent(time.monotonic(), count)
            whole = count > _WHOLE_BYTES and self._sync_available
            driver.write(f"{_BEGIN}{text}{_END}" if whole else text)
            driver.flush()

    def _send_newest(self) -> None:
        """All that is true now; what the terminal shows already is not sent."""
        self._waits = False
        if self._running and self.screen.is_running:
            self._display(self.screen, self.screen._compositor.render_full_update())


def _behind(driver: Driver) -> bool:
    """Whether frames wait to be written: the terminal does not read."""
    writer = getattr(driver, "_writer_thread", None)
    return writer is not None and writer._queue.qsize() > 0


def _sparing(base: type[Driver]) -> type[Driver]:
    class SparingDriver(base):  # type: ignore[misc, valid-type]  # which one it is depends on the platform
        def process_message(self, message: Message) -> None:
            if isinstance(message, (Key, Paste)):
                app: Any = self._app
                app.pressed()
            super().process_message(message)

        def stop_application_mode(self) -> None:
            self.write(RESET)
            super().stop_application_mode()

    return SparingDriver
