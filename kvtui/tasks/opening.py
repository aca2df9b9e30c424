"""From options to what they mean: the model, the machine, the request. The heavy parts are imported where they are needed."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from kvtui.base.findings import UsageError
from kvtui.tasks.options import Options, context_params

if TYPE_CHECKING:
    from kvtui.hardware.device import Machine
    from kvtui.header.address import ModelAddress
    from kvtui.model.spec import ModelSpec
    from kvtui.placement.request import Request
    from kvtui.server.binary.inspect import ServerBinary
    from kvtui.server.process.preflight import Address


def load(model: "ModelAddress", options: Options, fetched: Callable[[int], None]) -> "ModelSpec":
    """The model a person named: a path or a URL; `fetched` hears how many bytes of a remote header were read. Raises
    UsageError."""
    from kvtui.header.reader import HeaderError
    from kvtui.header.remote import open_remote_header
    from kvtui.model.load import load_model, model_from_header

    spec_types = tuple((options.spec_type or "").split(",")) if options.spec_type else ()
    try:
        if model.is_url:
            return model_from_header(open_remote_header(model, fetched), model.stem, spec_types)
        return load_model(model.path, spec_types)
    except HeaderError as e:
        raise UsageError(str(e)) from None


def machine_of(options: Options) -> "Machine":
    """The devices and RAM that were described, or the ones found."""
    from kvtui.hardware.device import Machine
    from kvtui.hardware.simulated import parse_devices, parse_ram

    devices = parse_devices(options.device)
    if options.device and options.ram:
        return Machine(devices, parse_ram(options.ram))
    from kvtui.hardware.probe import find_machine

    found = find_machine()
    return Machine(devices or found.devices, parse_ram(options.ram) if options.ram else found.ram)


def request_of(model: "ModelSpec", options: Options) -> "Request":
    """What a plan is asked for. Raises UsageError."""
    from kvtui.hardware.device import DEFAULT_MARGIN_BYTES
    from kvtui.hardware.simulated import parse_margins
    from kvtui.memory.compute import DEFAULT_BUILD
    from kvtui.placement.request import Pin, Request

    machine = machine_of(options)
    pins = []
    for text in options.pin:
        pattern, equals, device = text.rpartition("=")
        if not equals or not pattern:
            raise UsageError(f"--pin {text}: write it as REGEX=DEVICE")
        if device != "CPU" and device not in {d.name for d in machine.devices}:
            raise UsageError(f"--pin {text}: there is no device {device}")
        pins.append(Pin(pattern, device))
    unknown = next((e for e in options.exclude if e not in {d.name for d in machine.devices}), None)
    if unknown is not None:
        raise UsageError(f"--exclude {unknown}: no such device")
    server = _named_server(options.llama_server)
    request = Request(
        model=model,
        context=context_params(options),
        machine=machine,
        margins=parse_margins(options.margin, len(machine.devices), DEFAULT_MARGIN_BYTES),
        pins=tuple(pins),
        excluded=options.exclude,
        no_ram=options.no_ram,
        load_mode=options.load_mode,
        build=options.build or (server.build if server else "") or DEFAULT_BUILD,
        fa_quants=server.fa_quants if server and options.build in (None, server.build) else None,
    )
    from kvtui.tasks.history import with_learned

    return with_learned(request)


def _named_server(server: str | None) -> "ServerBinary | None":
    """The llama-server that was named, for its build and the kernels it has; None if none was."""
    from kvtui.server.binary.find import choose_server

    return choose_server(server) if server else None


def address_of(options: Options) -> "Address":
    """Where a server is to listen, and what else it is given."""
    from kvtui.server.process.preflight import Address

    plain = Address()
    return Address(options.port or plain.port, options.host or plain.host, options.server_args)
