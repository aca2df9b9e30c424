"""Looking over a command that was given, or that of a server that runs, with the options of a person."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kvtui.base.findings import Finding, UsageError
from kvtui.flags.command_line import CommandLine, split_model
from kvtui.flags.read import ServerFlags
from kvtui.placement.review import VISIBLE, Asked, Review, asked_by, review
from kvtui.server.program.running import RunningServer, running_server, running_servers
from kvtui.tasks.opening import beside_of, build_of, flags_of, load, request_of
from kvtui.tasks.options import Options

if TYPE_CHECKING:
    from kvtui.header.address import ModelAddress
    from kvtui.placement.request import Request
    from kvtui.server.process.record import ServerRecord


def the_running_server(pid: int | None) -> RunningServer:
    """The llama-server of that pid, or the one that runs here. Raises UsageError."""
    if pid is not None:
        record = _record_of(pid)
        return running_server(pid) if record is None else RunningServer(pid, _command_of(record))
    pids = running_servers()
    if not pids:
        raise UsageError("no llama-server runs here: give a command after --, or --pid")
    if len(pids) > 1:
        named = ", ".join(f"{p} ({_model_name(running_server(p))})" for p in pids)
        raise UsageError(f"{len(pids)} llama-servers run here: --pid names one: {named}")
    return the_running_server(pids[0])


def _model_name(server: RunningServer) -> str:
    model, _ = split_model(server.command.flags(), wanted=False)
    return Path(model).name or "no model"


def reviewed(
    model: str | None,
    options: Options,
    command: CommandLine | RunningServer,
    named: Callable[[str], "ModelAddress"],
    fetched: Callable[[int], None],
) -> "tuple[Review, ModelAddress]":
    """The review of a command. `model`: what a person named, which wins over the command's. Raises UsageError."""
    line, pid = _parts(command)
    line = line if options.device else _as_seen(line)
    record = _record_of(pid) if pid is not None else None
    if record is not None and options.build is None and options.llama_server is None:
        options = replace(options, build=_build_of(record))
    asked = asked_by(line, flags_of(options), build_of(options), model_named=model is not None, pid=pid)
    name = model or os.path.expanduser(asked.model)
    if not name:
        raise UsageError("MODEL is missing: neither named, nor in the command (-m, -mu or -hf)")
    address = named(name)
    request = request_of(load(address, _joined(options, asked), fetched), options)
    if pid is not None and not options.device:
        request, asked = _without(pid, record, request, asked)
    return review(asked, for_command(request, asked)), address


def reviewed_for(
    request: "Request", path: Path | None, command: CommandLine | RunningServer, options: Options, *, simulated: bool
) -> tuple[Review, Path | None]:
    """The same on the machine of `request`, with the file of the model it was looked over with: the command's own where that is
    here, else the model of `request`, at `path`. `simulated`: what runs here holds nothing there. Raises UsageError."""
    from kvtui.header.address import ModelAddress

    line, pid = _parts(command)
    asked = asked_by(line if simulated else _as_seen(line), ServerFlags(), request.build, model_named=True, pid=pid)
    other = Path(asked.model).expanduser().absolute() if asked.model else None
    if other is not None and other != (path and path.absolute()) and other.is_file():
        path = other
    elif other is not None and (path is None or other.name != path.name):
        text = f"{asked.model} is not here: this is the command with {path.name if path is not None else request.model.name}"
        asked = replace(asked, notes=(*asked.notes, Finding("another-model", "warning", text)))
    if path is not None:
        request = replace(request, model=load(ModelAddress(str(path)), _joined(options, asked), lambda _: None))
    if pid is not None and not simulated:
        request, asked = _without(pid, _record_of(pid), request, asked)
    return review(asked, for_command(request, asked)), path


def for_command(request: "Request", asked: Asked) -> "Request":
    """`request` with what the command loads beside the model, and what servers that ran so have taught. Raises UsageError."""
    from kvtui.tasks.history import with_learned

    beside = beside_of(asked.flags.beside, asked.flags.context.spec_types)
    return with_learned(replace(request, context=asked.flags.context, beside=beside))


def _joined(options: Options, asked: Asked) -> Options:
    flags = asked.flags
    spec_type = ",".join(flags.context.spec_types) or None
    return replace(options, spec_type=spec_type, mmproj=flags.beside.mmproj, model_draft=flags.beside.draft)


def _record_of(pid: int) -> "ServerRecord | None":
    """The record of a server of ours; None: somebody else started it."""
    from kvtui.server.process.record import is_alive, records

    return next((r for r in records() if r.pid == pid and is_alive(r)), None)


def _build_of(record: "ServerRecord") -> str | None:
    from kvtui.base.build import build_in

    build = build_in(record.build)
    return str(build) if build is not None else None


def _command_of(record: "ServerRecord") -> CommandLine:
    """As it was launched: what kvtui starts hears no variable of LLAMA_ARG_*."""
    return CommandLine(record.command[1:], (), record.command[0])


def _parts(command: CommandLine | RunningServer) -> tuple[CommandLine, int | None]:
    return (command.command, command.pid) if isinstance(command, RunningServer) else (command, None)


def _as_seen(line: CommandLine) -> CommandLine:
    """Without the choice of devices under which this very process looked for them too."""
    env = tuple((k, v) for k, v in line.env if not (k.endswith(VISIBLE) and os.environ.get(k) == v))
    return replace(line, env=env)


def _without(pid: int, record: "ServerRecord | None", request: "Request", asked: Asked) -> "tuple[Request, Asked]":
    """With what would be free if that server did not run: what its plan was made with, and else with what it holds now."""
    from kvtui.hardware.nvidia.nvml import poll
    from kvtui.server.process.holding import RAM, held_by
    from kvtui.tasks.running import machine_before

    machine = request.machine
    if record is not None:
        return replace(request, machine=machine_before(record, machine)), asked
    held = held_by(pid, machine.devices, poll().gpus)
    devices = tuple(replace(d, free_bytes=min(d.free_bytes + held.get(d.name, 0), d.total_bytes)) for d in machine.devices)
    own = max(held.get(RAM, 0) - _of_files(pid), 0)
    ram = replace(machine.ram, free_bytes=min(machine.ram.free_bytes + own, machine.ram.total_bytes))
    untold = [d.name for d in machine.devices if d.name not in held]
    if untold:
        text = f"what pid {pid} holds on {', '.join(untold)} is not told: it may be missing in what is free there"
        asked = replace(asked, notes=(*asked.notes, Finding("held-unknown", "note", text)))
    return replace(request, machine=replace(machine, devices=devices, ram=ram)), asked


def _of_files(pid: int) -> int:
    """Resident bytes that are pages of files, which count as free: mapped weights."""
    import psutil

    try:
        return int(getattr(psutil.Process(pid).memory_info(), "shared", 0))
    except psutil.Error:
        return 0
