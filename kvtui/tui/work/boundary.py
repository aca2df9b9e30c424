"""Where errors of the screen end: a worker's as one sentence on it, a handler's as one sentence after it."""

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from textual.message import Message

from kvtui.base.findings import KvtuiError
from kvtui.base.late import Late, load_all
from kvtui.base.report_file import write_report
from kvtui.base.secrets import redacted
from kvtui.base.text import printable
from kvtui.tui.draw.lines_pane import LinesPane
from kvtui.tui.work.sending import SparingApp

if TYPE_CHECKING:
    from kvtui.tui.work.messages import Notice
else:  # not needed by the first screen
    Notice = Late("kvtui.tui.work.messages", "Notice")

Result = TypeVar("Result")
ENDING_SIGNALS = ("SIGTERM", "SIGHUP")  # by name: Windows has no SIGHUP
_MOST_SAID = 160  # characters of an error's own text; all of it is in the report


def failure_sentence(error: BaseException, doing: str) -> str:
    """One sentence on an error, and where its report is. What a person can mend (KvtuiError) has no report."""
    if isinstance(error, KvtuiError):
        return str(error)
    said = printable(redacted(" ".join(str(error).split())), _MOST_SAID)
    path = write_report(error, doing)
    where = "no report could be written" if path is None else f"report: {_from_home(path)}"
    return f"{doing} failed: {type(error).__name__}{f': {said}' if said else ''}; {where}"


def _from_home(path: Path) -> str:
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


class GuardedApp(SparingApp[Result]):
    """An app whose jobs cannot fail unheard. After `run`, `failure` is the sentence on an error of a handler, and
    `ended_by` the signal that ended it; the terminal is whole in both cases."""

    failure: str = ""
    ended_by: int = 0

    def __init__(self, *, ansi_color: bool, lean: bool = False) -> None:
        super().__init__(ansi_color=ansi_color, lean=lean)
        self._waiting: list[Callable[[], object]] | None = []  # jobs that the first frame comes before; None: they began
        self._loads = False

    def work(
        self,
        doing: str,
        job: Callable[[], Message | None],
        failed: Callable[[str], Message] = Notice,
        *,
        left_behind: bool = False,
    ) -> None:
        """Run `job` in a thread and post the message it returns; of an exception, `failed` of one sentence. `left_behind`:
        the end of the app does not wait for it, since it may be waiting for a network."""

        def run() -> None:
            try:
                message = job()
            except Exception as error:
                message = failed(failure_sentence(error, doing))
            if message is not None:
                self.post_message(message)

        def start() -> None:
            if left_behind:
                threading.Thread(target=run, name=doing, daemon=True).start()
            else:
                self.run_worker(run, thread=True, exit_on_error=False)

        if self._waiting is None:
            start()
        else:
            self._waiting.append(start)

    def post_display_hook(self) -> None:
        """A frame is out. After the first that shows something what the screen did without is imported, then jobs begin."""
        if not self._loads and any(pane.is_drawn for pane in self.screen.query(LinesPane)):
            self._loads = True
            self.run_worker(self._load, thread=True, exit_on_error=False)

    def _load(self) -> None:
        """In one thread, while no job runs: jobs import what they need too."""
        try:
            load_all("kvtui.tui")
        finally:
            self.call_later(self._begin)

    def _begin(self) -> None:
        waiting, self._waiting = self._waiting or [], None
        for start in waiting:
            start()

    def on_load(self) -> None:
        """A signal to end ends as a key would: the terminal is given back first."""
        with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):  # Windows, or not the main thread
            for number in _ending_signals():
                asyncio.get_running_loop().add_signal_handler(number, self._end_by, number)

    def on_unmount(self) -> None:
        """Signals end the program again."""
        with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
            for number in _ending_signals():
                asyncio.get_running_loop().remove_signal_handler(number)

    def _end_by(self, number: int) -> None:
        self.ended_by = number
        self.exit()

    def _handle_exception(self, error: Exception) -> None:
        """Textual's last resort, for handlers, timers and drawing."""
        if not self.failure:
            self.failure = failure_sentence(error, "the app")
        super()._handle_exception(error)
        self._exit_renderables.clear()  # a traceback with locals, and so with secrets; the report has one without

    def _fatal_error(self) -> None:
        self._close_messages_no_wait()


def _ending_signals() -> list[signal.Signals]:
    return [signal.Signals[name] for name in ENDING_SIGNALS if name in signal.Signals.__members__]
