"""--rpc: what ggml-rpc-servers have, asked through a llama-server, in its words and its order."""

import re

from kvtui.base.findings import UsageError
from kvtui.hardware.device import Device
from kvtui.hardware.simulated import numbered
from kvtui.server.binary.find import choose_server
from kvtui.server.binary.inspect import list_devices

_ENDPOINT = re.compile(r"^[^\s,\[\]=]+:[0-9]{1,5}$")


def rpc_devices(text: str, server: str | None) -> tuple[Device, ...]:
    """The devices of `HOST:PORT,...`, numbered through all servers as llama.cpp does (ggml-rpc.cpp,
    ggml_backend_rpc_add_server). Raises UsageError where there is no llama-server to ask, or a server does not answer."""
    endpoints = tuple(text.split(","))
    for endpoint in endpoints:
        if not _ENDPOINT.match(endpoint):
            raise UsageError(f"--rpc {text}: write each server as HOST:PORT")
        if endpoints.count(endpoint) > 1:
            raise UsageError(f"--rpc {text}: {endpoint} is given twice")
    try:
        binary = choose_server(server)
    except UsageError as e:
        raise UsageError(f"--rpc {text}: only a llama-server can ask what is there: {e}") from None
    if "RPC" not in binary.backends:
        raise UsageError(f"--rpc {text}: {binary.path} is built without RPC")
    found = tuple(
        Device(d.name, d.free_bytes, d.total_bytes, endpoint=d.description, description=d.description)
        for d in list_devices(binary, endpoints)
        if d.name.startswith("RPC")
    )
    silent = [e for e in endpoints if e not in {d.endpoint for d in found}]
    if silent:
        raise UsageError(f"--rpc {text}: no ggml-rpc-server of this llama-server's version answers at {', '.join(silent)}")
    return numbered(found)
