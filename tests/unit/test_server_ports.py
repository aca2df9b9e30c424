"""Ports that are taken, and RPC servers that are gone: with real sockets on loopback."""

import os
import socket

from kvtui.server.process.ports import free_port, is_free
from kvtui.server.process.rpc import endpoints_of, named


def test_a_taken_port_is_told_with_who_has_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        choice = free_port(port)
        assert choice.port != port
        assert choice.taken_by is not None
        assert str(os.getpid()) in choice.taken_by
        assert is_free(choice.port, "127.0.0.1")
    assert free_port(port).port == port
    assert free_port(port).taken_by is None


def test_a_dead_rpc_server_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as alive, socket.create_server(("127.0.0.1", 0)) as dead:
        there, gone = (f"127.0.0.1:{s.getsockname()[1]}" for s in (alive, dead))
        dead.close()
        command = ["llama-server", "--rpc", f"{there},{gone}", "-c", "512"]
        assert endpoints_of(command) == (there, gone)
        assert named("an RPC server went away", command) == f"the RPC server at {gone} went away"
        assert named("ended by SIGSEGV", command) == "ended by SIGSEGV"
        whole = ["llama-server", "--rpc", there]
        assert named("an RPC server went away", whole) == "an RPC server went away, and all of them answer again"
