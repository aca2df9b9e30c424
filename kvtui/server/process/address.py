"""Where a llama-server is to listen."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kvtui.server.binary.inspect import ServerBinary


@dataclass(frozen=True)
class Address:
    """Where a server is to listen, and further arguments a person wants it to have. `port` None: where it listens by itself."""

    port: int | None = None
    host: str = "127.0.0.1"
    args: tuple[str, ...] = field(default=())

    def port_of(self, binary: "ServerBinary") -> int:
        """The port to listen on, which differs between builds where none was asked for."""
        return self.port or binary.port
