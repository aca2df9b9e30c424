"""Is a port free, and if not, who has it."""

import errno
import socket
from dataclasses import dataclass

PORTS_TRIED = 200
LARGEST_PORT = 2**16 - 1  # TCP (RFC 9293, 3.1)


@dataclass(frozen=True)
class PortChoice:
    """A port that was free a moment ago; `taken_by` says who has the preferred one, if it is another."""

    port: int
    taken_by: str | None = None


def free_port(preferred: int, host: str = "127.0.0.1") -> PortChoice:
    """The preferred port, or the next free one above it; 0: any. OSError if `host` is no address of this machine."""
    if preferred == 0 or is_free(preferred, host):
        return PortChoice(preferred or _any_port(host))
    owner = port_owner(preferred)
    for port in range(preferred + 1, min(preferred + PORTS_TRIED, LARGEST_PORT + 1)):
        if is_free(port, host):
            return PortChoice(port, owner)
    return PortChoice(_any_port(host), owner)


def is_free(port: int, host: str) -> bool:
    """Whether a server could bind it: with SO_REUSEADDR, as llama-server does (server-http.cpp), so that a port
    whose last connections are still fading counts as free."""
    family, address = _address(host, port)
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except PermissionError:
            return False  # below 1024
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def port_owner(port: int) -> str:
    """ "llama-server (pid 123)", or "another program" where that is not for us to see."""
    import psutil

    try:
        connections = psutil.net_connections("tcp")
        listening = [c for c in connections if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port]
        pid = next((c.pid for c in listening if c.pid), None)
        return f"{psutil.Process(pid).name()} (pid {pid})" if pid else "another program"
    except (psutil.Error, OSError):
        return "another program"


def _address(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return family, (str(address[0]), port)


def _any_port(host: str) -> int:
    family, address = _address(host, 0)
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind(address)
        return int(probe.getsockname()[1])
