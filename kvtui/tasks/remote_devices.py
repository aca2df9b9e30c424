"""--rpc: what ggml-rpc-servers have, asked through a llama-server, in its words and its order."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from kvtui.base.findings import UsageError
from kvtui.hardware.device import Device
from kvtui.server.binary.find import choose_server
from kvtui.server.binary.inspect import list_devices
from kvtui.server.process.record import ServerRecord
from kvtui.server.process.rpc import users_of

_ENDPOINT = re.compile(r"^[^\s,\[\]=]+:[0-9]{1,5}$")


def rpc_devices(text: str, server: str | None) -> tuple[Device, ...]:
    """The devices of `HOST:PORT,...`, numbered through all servers as llama.cpp does (ggml-rpc.cpp,
    ggml_backend_rpc_add_server). An RPC server has no ear for a second client while a llama-server has it: where that is one of
    ours, its devices are those of its launch. Raises UsageError where there is no llama-server to ask, or a server does not
    answer."""
    endpoints = tuple(text.split(","))
    for endpoint in endpoints:
        if not _ENDPOINT.match(endpoint):
            raise UsageError(f"--rpc {text}: write each server as HOST:PORT")
        if endpoints.count(endpoint) > 1:
            raise UsageError(f"--rpc {text}: {endpoint} is given twice")
    held = _held_by_ours(endpoints)
    asked = tuple(e for e in endpoints if e not in held)
    found = [d for devices in held.values() for d in devices]
    found += _ask(text, asked, server) if asked else ()
    in_order = [d for endpoint in endpoints for d in found if d.endpoint == endpoint]
    return tuple(replace(d, name=f"RPC{i}") for i, d in enumerate(in_order))


def _ask(text: str, endpoints: Sequence[str], server: str | None) -> tuple[Device, ...]:
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
    return tuple(found)


def _held_by_ours(endpoints: Sequence[str]) -> dict[str, tuple[Device, ...]]:
    """Of `endpoints` those that a server of ours uses now, with what its record says they have. UsageError if it says nothing."""
    held = {e: tuple(d for d in _at_launch(record) if d.endpoint == e) for e, record in users_of(endpoints).items()}
    if unknown := [e for e, devices in held.items() if not devices]:
        said = "a llama-server that kvtui launched has it, and its record does not say what is there"
        raise UsageError(f"--rpc {unknown[0]}: {said}: stop it first")
    return held


def _at_launch(record: ServerRecord) -> list[Device]:
    """The remote ones; none of a record that does not say."""
    plan: Mapping[str, Any] = record.plan or {}
    try:
        pairs = zip(plan["devices"], plan["conditions"]["gpus"], strict=True)
        return [
            Device(
                str(d["name"]),
                int(d["free_bytes"]),
                int(d["total_bytes"]),
                endpoint=str(end),
                description=str(end),
                seen_at=float(d.get("seen_at") or record.launched_at),
            )
            for d, (_, end) in pairs
            if str(d["name"]).startswith("RPC")
        ]
    except (KeyError, TypeError, ValueError):
        return []
