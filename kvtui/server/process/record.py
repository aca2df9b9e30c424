"""The record that lets a later kvtui find a running server: one folder a launch, with its log, key and lock."""

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from kvtui.base.fields import Fields
from kvtui.base.files import PRIVATE, private_folder, state_folder
from kvtui.base.locks import try_lock
from kvtui.base.stored import Kept
from kvtui.server.log.bounds import LIMIT_BYTES, cut
from kvtui.server.process.ports import LARGEST_PORT
from kvtui.server.program.marks import LAUNCH_VARIABLE, marked, process_identity

RECORD, LOG, KEY, LOCK = "record.json", "server.log", "api-key", "lock"
KEPT_LAUNCHES = 20  # ended ones, with their logs
SCHEMA = 1
_MOST_PID = 2**31 - 1  # pid_t; Windows: 32 bits, of which it uses far less


@dataclass(frozen=True)
class Ended:
    """How a server ended. `exit_code` below 0 is a signal; `None`: nobody was there to see it."""

    exit_code: int | None
    at: float  # seconds since the epoch, when it was noticed
    stopped: bool  # by kvtui, because it was asked to
    reason: str | None  # one plain sentence
    telling: tuple[str, ...] = ()  # its last words


@dataclass(frozen=True)
class ServerRecord:
    """A launch as it is kept. `identity` tells the process from a later one with the same pid."""

    folder: Path
    pid: int  # 0: about to be started
    identity: str
    binary: str
    build: str
    model: str
    command: tuple[str, ...]  # all of it, the binary first; never a key
    host: str
    port: int
    launched_at: float
    notes: tuple[str, ...] = ()
    plan: Mapping[str, Any] | None = None  # the plan's own JSON
    ended: Ended | None = None

    @property
    def log(self) -> Path:
        """The server's output."""
        return self.folder / LOG

    @property
    def key_file(self) -> Path | None:
        """File of the API key, if it has one."""
        path = self.folder / KEY
        return path if path.exists() else None

    @property
    def url(self) -> str:
        """Where it answers, from this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


def servers_folder(state: Path | None = None) -> Path:
    """One folder a launch."""
    return (state or state_folder()) / "servers"


def new_folder(state: Path | None = None) -> Path:
    """A folder for a launch, readable by this user only; its name begins with the time."""
    folder = servers_folder(state) / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}"
    private_folder(folder.parent)
    folder.mkdir(mode=PRIVATE)
    folder.chmod(PRIVATE)  # whatever the umask
    return folder


def save(record: ServerRecord) -> None:
    """Write the record so that a crash leaves the old one or the new one."""
    _kept(record.folder).save(record.folder / RECORD, record)


def load(folder: Path) -> ServerRecord | None:
    """The record of a launch's folder; `None` if there is none or a newer kvtui wrote it in another form."""
    return _kept(folder).load(folder / RECORD)


def _kept(folder: Path) -> Kept[ServerRecord]:
    return Kept(SCHEMA, lambda fields: _record(folder, fields), lambda r: {**asdict(r), "folder": None, "plan": r.plan})


def _record(folder: Path, fields: Fields) -> ServerRecord:
    return ServerRecord(
        folder=folder,
        pid=_within("pid", fields.whole("pid"), _MOST_PID),
        identity=fields.text("identity"),
        binary=fields.text("binary"),
        build=fields.text("build"),
        model=fields.text("model"),
        command=fields.texts("command"),
        host=fields.text("host"),
        port=_within("port", fields.whole("port"), LARGEST_PORT),
        launched_at=fields.number("launched_at"),
        notes=fields.texts("notes", ()),
        plan=fields.table("plan") if fields.get("plan", None) is not None else None,
        ended=_ended(Fields(fields.get("ended"))) if fields.get("ended", None) is not None else None,
    )


def _ended(fields: Fields) -> Ended:
    return Ended(
        exit_code=fields.whole("exit_code") if fields.get("exit_code") is not None else None,
        at=fields.number("at"),
        stopped=fields.flag("stopped"),
        reason=fields.text("reason") if fields.get("reason") is not None else None,
        telling=fields.texts("telling", ()),
    )


def _within(name: str, value: int, most: int) -> int:
    if not 0 <= value <= most:
        raise ValueError(f"{name} is out of range")
    return value


def records(state: Path | None = None) -> tuple[ServerRecord, ...]:
    """Every launch that is kept, newest first. One that was about to be started is looked for by its mark."""
    try:
        folders = sorted((f for f in servers_folder(state).iterdir() if f.is_dir()), reverse=True)
    except OSError:
        return ()
    found = [r for f in folders if (r := load(f))]
    return tuple(_found_again(r) if r.pid == 0 and r.ended is None else r for r in found)


def prune(state: Path | None = None, keep: int = KEPT_LAUNCHES) -> None:
    """Remove the folders of the oldest servers that are known to have ended."""
    ended = [r for r in records(state) if r.ended is not None]
    for record in ended[keep:]:
        shutil.rmtree(record.folder, ignore_errors=True)


def bound_logs(state: Path | None = None) -> None:
    """Cut the logs that grew while nobody looked on; where an app has its server, that one does."""
    for record in records(state):
        lock = LaunchLock(record.folder)
        with contextlib.suppress(OSError):  # it has none, or there is no room for the copy
            if record.log.stat().st_size >= LIMIT_BYTES and lock.take():
                try:
                    cut(record.log)
                finally:
                    lock.release()


def is_alive(record: ServerRecord) -> bool:
    """Whether this very process runs."""
    return record.pid > 0 and process_identity(record.pid) == record.identity


def _found_again(record: ServerRecord) -> ServerRecord:
    for process in marked(LAUNCH_VARIABLE, record.folder.name):
        try:
            if os.getsid(process.pid) == process.pid:
                return replace(record, pid=process.pid, identity=process_identity(process.pid) or "")
        except OSError:
            continue
    return record


class LaunchLock:
    """Held by the one app that may stop a server. The kernel lets go of it when that app ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK
        self._file: BinaryIO | None = None

    def take(self) -> bool:
        """Try to be the one; False if another app is."""
        file = os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        try:
            taken = try_lock(file.fileno())
        except OSError:  # a file system without locks
            taken = False
        if not taken:
            file.close()
            return False
        file.truncate(0)
        file.write(str(os.getpid()).encode())
        file.flush()
        self._file = file
        return True

    def holder(self) -> int | None:
        """Pid of the app that has it, as it wrote itself."""
        try:
            return int(self._path.read_bytes()[:20])
        except (OSError, ValueError):
            return None

    def release(self) -> None:
        """Let another app take it."""
        if self._file is not None:
            self._file.close()
            self._file = None
