"""From options to what they mean: the model, the machine, the request. The heavy parts are imported where they are needed."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kvtui.base.build import DEFAULT_BUILD, Build, parse_build
from kvtui.base.findings import UsageError
from kvtui.tasks.options import DRAFT_MTP, Options, beside_flags, context_params, spec_types

if TYPE_CHECKING:
    from kvtui.flags.beside import BesideFlags
    from kvtui.flags.read import ServerFlags
    from kvtui.hardware.device import Device, Machine
    from kvtui.header.access import Access
    from kvtui.header.address import ModelAddress
    from kvtui.memory.beside import Beside
    from kvtui.model.spec import ModelSpec
    from kvtui.placement.request import Pin, Request
    from kvtui.server.binary.inspect import ServerBinary
    from kvtui.server.process.preflight import Address


def load(model: "ModelAddress", options: Options, fetched: Callable[[int], None]) -> "ModelSpec":
    """The model a person named: a path, a URL, or a name of the Hub that was looked up; `fetched` hears how many bytes of a
    remote header were read. Raises UsageError."""
    from kvtui.header.reader import HeaderError
    from kvtui.header.remote import open_remote_header
    from kvtui.model.load import load_model, model_from_header

    drafts = spec_types(options.spec_type) if options.spec_type else ()
    try:
        if model.is_remote:
            spec = model_from_header(open_remote_header(model, fetched, _access(model)), model.stem, drafts)
        else:
            spec = load_model(model.path, drafts)
    except HeaderError as e:
        raise UsageError(str(e)) from None
    if DRAFT_MTP in drafts and spec.n_layer == spec.n_layer_all and not options.model_draft:
        raise UsageError(f"--spec-type {DRAFT_MTP}: {model} has no MTP block; drop it, or give a file of MTP blocks with -md")
    return spec


def _access(model: "ModelAddress") -> "Access":
    """Who asks for it: anybody, or whom the environment says to the Hub."""
    from kvtui.header.access import ANYBODY

    if not model.is_hub:
        return ANYBODY
    from kvtui.header.hub.endpoint import endpoint_of

    return endpoint_of(os.environ).access


def beside_of(flags: "BesideFlags", drafts: Sequence[str]) -> "Beside":
    """What is loaded beside the model, its headers read. `drafts`: types of speculative decoding. Raises UsageError."""
    from kvtui.header.reader import HeaderError
    from kvtui.memory.beside import Beside
    from kvtui.model.load import load_model
    from kvtui.model.projector import load_projector

    for flag, file in (("--mmproj", flags.mmproj), ("-md", flags.draft)):
        if file is not None and not Path(file).is_file():
            raise UsageError(f"{flag} {file}: no such file")
    try:
        projector = load_projector(Path(flags.mmproj)) if flags.mmproj is not None else None
    except HeaderError as e:
        raise UsageError(f"--mmproj {flags.mmproj}: {e}") from None
    try:
        draft = load_model(Path(flags.draft), drafts) if flags.draft is not None else None
    except HeaderError as e:
        raise UsageError(f"-md {flags.draft}: {e}") from None
    return Beside(flags, draft, projector)


def flags_of(options: Options) -> "ServerFlags":
    """What exact flags start from: the options that llama-server has too. Raises UsageError."""
    from kvtui.flags.read import ServerFlags

    plain = ServerFlags(context=context_params(options))
    return replace(plain, load_mode=options.load_mode or plain.load_mode, beside=beside_flags(options))


def machine_of(options: Options) -> "Machine":
    """The devices and RAM that were described, or the ones found; those of --rpc come first. Raises UsageError."""
    from kvtui.hardware.device import Machine
    from kvtui.hardware.simulated import parse_devices, parse_ram

    devices = parse_devices(options.device)
    remote: tuple[Device, ...] = ()
    if options.rpc:
        from kvtui.tasks.remote_devices import rpc_devices

        remote = rpc_devices(options.rpc, options.llama_server)
        twice = next((d.name for d in devices if d.backend == "RPC"), None)
        if twice is not None:
            raise UsageError(f"--rpc {options.rpc}: its devices are numbered from RPC0; leave out --device {twice}")
    if options.device and options.ram:
        return Machine((*remote, *devices), parse_ram(options.ram))
    from kvtui.tasks.inventory import inventory_of

    found = inventory_of(options.llama_server).machine
    local, unusable = (devices, ()) if devices else (found.devices, found.unusable)
    # llama.cpp takes RPC devices first (src/llama.cpp, llama_prepare_model_devices)
    return Machine((*remote, *local), parse_ram(options.ram) if options.ram else found.ram, unusable)


def request_of(model: "ModelSpec", options: Options) -> "Request":
    """What a plan is asked for. Raises UsageError."""
    from kvtui.flags.known import unknown_flag
    from kvtui.hardware.device import DEFAULT_MARGIN_BYTES
    from kvtui.hardware.simulated import check_margins, parse_margins, parse_ram_margin, with_display_margin
    from kvtui.placement.request import Request

    machine, context = machine_of(options), context_params(options)
    margins = parse_margins(options.margin, len(machine.devices), DEFAULT_MARGIN_BYTES)
    unknown = next((e for e in options.exclude if e not in {d.name for d in machine.devices}), None)
    if unknown is not None:
        raise UsageError(f"--exclude {unknown}: no such device")
    if options.prefer is not None:
        if options.prefer not in {d.name for d in machine.devices}:
            raise UsageError(f"--prefer {options.prefer}: no such device")
        if options.prefer in options.exclude:
            raise UsageError(f"--prefer {options.prefer}: it is excluded too: drop one of the two")
    server = _named_server(options.llama_server)  # asked for even where --build names another: a path that is none is told
    check_margins(options.margin, margins, machine.devices)
    margins = with_display_margin(options.display_margin, margins, machine.devices)
    of_server = server.rules if server else None
    build = build_of(options)
    if options.moe_cache_mib and not build.has("expert_cache"):
        raise unknown_flag("--moe-cache-mib", "--moe-cache-mib", build)
    request = Request(
        model=model,
        context=context,
        machine=machine,
        margins=margins,
        ram_margin_bytes=parse_ram_margin(options.ram_margin, machine.ram, DEFAULT_MARGIN_BYTES),
        pins=pins_of(options.pin, machine),
        excluded=options.exclude,
        preferred=options.prefer,
        no_ram=options.no_ram,
        ubatch_open=options.ubatch_size is None and options.batch_size is None,
        load_mode=options.load_mode,
        beside=beside_of(beside_flags(options), context.spec_types),
        server=server.identity if server else "",
        build=build,
        fa_quants=server.fa_quants if server and (options.build is None or build == of_server) else None,
    )
    from kvtui.tasks.history import with_learned
    from kvtui.tasks.quality import with_measured

    request = with_measured(with_learned(request))
    if options.goal is None:
        return request
    from kvtui.placement.aim import aimed
    from kvtui.placement.goals import parse_aim

    return aimed(request, parse_aim(options.goal), _given(options))


def _given(options: Options) -> frozenset[str]:
    """What a goal may not choose, since a person did."""
    types = (options.cache_type_k, options.cache_type_v)
    parts = {
        "types": any(t is not None for t in types),
        "context": options.ctx_size not in (None, "max", "0"),
        "ubatch": options.ubatch_size is not None,
    }
    return frozenset(name for name, is_given in parts.items() if is_given)


def pins_of(texts: tuple[str, ...], machine: "Machine") -> "tuple[Pin, ...]":
    """Pins as --pin has them. Raises UsageError."""
    from kvtui.placement.request import Pin

    pins = []
    for text in texts:
        pattern, equals, device = text.rpartition("=")
        if not equals or not pattern:
            raise UsageError(f"--pin {text}: write it as REGEX=DEVICE")
        if device != "CPU" and device not in {d.name for d in machine.devices}:
            raise UsageError(f"--pin {text}: there is no device {device}")
        pins.append(Pin(pattern, device))
    return tuple(pins)


def _named_server(server: str | None) -> "ServerBinary | None":
    """The llama-server that was named, for its build and the kernels it has; None if none was."""
    from kvtui.server.binary.find import choose_server

    return choose_server(server) if server else None


def build_of(options: Options) -> Build:
    """The build to estimate for: the one that was named, the named server's, or the usual. Raises UsageError."""
    if options.build is not None:
        return parse_build(options.build)
    server = _named_server(options.llama_server)
    return (server.rules if server else None) or DEFAULT_BUILD


def address_of(options: Options) -> "Address":
    """Where a server is to listen, and what else it is given."""
    from kvtui.server.process.preflight import Address

    return Address(options.port, options.host or Address().host, options.server_args)
