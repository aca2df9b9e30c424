"""The RPC servers that a llama-server leans on: which of them does not answer."""

import socket
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from kvtui.server.log.reasons import RPC_WENT_AWAY
from kvtui.server.process.record import ServerRecord, is_alive, records

CONNECT_SECONDS = 1.0


def endpoints_of(command: Sequence[str]) -> tuple[str, ...]:
    """host:port of each server that a command line names with --rpc."""
    lists = [value for option, value in pairwise(command) if option == "--rpc"]
    return tuple(dict.fromkeys(e.strip() for entry in lists for e in entry.split(",") if e.strip()))


def users_of(endpoints: Sequence[str], state: Path | None = None) -> dict[str, ServerRecord]:
    """Of `endpoints` those that a server of ours uses now. Nobody else is to ask there: an RPC server answers one client at a
    time, and one that has waited and gone away ends it, as it does not withstand SIGPIPE (ggml-rpc.cpp, send_data)."""
    if not endpoints:
        return {}
    alive = (r for r in records(state) if r.ended is None and is_alive(r))
    return {e: r for r in alive for e in endpoints_of(r.command) if e in endpoints}


def silent(endpoints: Sequence[str], seconds: float = CONNECT_SECONDS) -> tuple[str, ...]:
    """Those where nothing accepts a connection. An RPC server takes the connection for a client that leaves again."""
    return tuple(e for e in endpoints if not _accepts(e, seconds))


def named(reason: str, command: Sequence[str]) -> str:
    """`reason`, with the RPC servers that are gone by now, where it is that one of them went away."""
    if reason != RPC_WENT_AWAY:
        return reason
    gone = silent(endpoints_of(command))
    if not gone:
        return f"{reason}, and all of them answer again"
    return f"the RPC server{'s' if len(gone) > 1 else ''} at {', '.join(gone)} went away"


def _accepts(endpoint: str, seconds: float) -> bool:
    host, _, port = endpoint.rpartition(":")
    if not port.isdigit():
        return False
    try:
        socket.create_connection((host.strip("[]"), int(port)), seconds).close()
    except (OSError, OverflowError):
        return False
    return True
