"""A plan taken elsewhere, in any of the forms that people run llama-server by."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kvtui.header.address import ModelAddress
from kvtui.server.binary.abilities import adapt_argv
from kvtui.server.binary.compose import compose_file
from kvtui.server.binary.exports import (
    ExportError,
    environment_file,
    export_environment,
    llama_swap_entry,
    router_preset,
    server_preset,
    shell_command,
    shell_script,
    systemd_unit,
)
from kvtui.server.process.address import Address
from kvtui.server.process.preflight import is_open
from kvtui.server.process.start import command_of

if TYPE_CHECKING:
    from kvtui.placement.plan import Plan
    from kvtui.server.binary.inspect import ServerBinary


@dataclass(frozen=True)
class Format:
    """A form of export: its word on the command line, its title, the ending of its file ("": it is none), and how it is
    used, with {path} and {name} of the file."""

    word: str
    title: str
    ending: str
    what: str
    how: str = ""


COMMAND = Format("command", "command", "", "to the terminal's clipboard (OSC 52), and shown to select")
SCRIPT = Format("script", "shell script", ".sh", "NAME.sh, runs anywhere with a POSIX shell", "sh {path}")
UNIT = Format(
    "systemd",
    "systemd user unit",
    ".service",
    "NAME.service, for ~/.config/systemd/user",
    "systemctl --user link {path} && systemctl --user start {name}",
)
SWAP = Format("llama-swap", "llama-swap entry", ".yaml", "NAME.yaml, for llama-swap's models", "llama-swap --config {path}")
PRESET = Format(
    "preset",
    "llama-server preset",
    ".ini",
    "NAME.ini, for llama-server --models-preset",
    "llama-server --models-preset {path}",
)
ENVIRONMENT = Format(
    "environment",
    "environment file",
    ".env",
    "NAME.env, variables that llama-server reads instead of flags",
    "set -a; . {path}; llama-server",
)
COMPOSE = Format(
    "compose",
    "docker compose",
    ".compose.yaml",
    "NAME.compose.yaml, with the official image and the model's folder",
    "docker compose -f {path} up",
)
ROUTER = Format("router", "llama-server router", ".ini", "several models that live together")
FORMATS = (COMMAND, SCRIPT, UNIT, SWAP, PRESET, ENVIRONMENT, COMPOSE)  # of one plan
ALL_FORMATS = (*FORMATS, ROUTER)


_OWN_KEY = "--api-key-file"  # a key in the arguments themselves has become a variable


def unguarded(form: Format, address: Address) -> str:
    """What is to be said of a form that listens where other machines reach it: no form carries a key. "" where it is not so."""
    if form == PRESET or not is_open(address.host) or any(word.partition("=")[0] == _OWN_KEY for word in address.args):
        return ""
    return f"{address.host} is open to the network, and no export carries an API key: set LLAMA_API_KEY where it runs"


def slug(text: str) -> str:
    """A name for files and sections."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "model"


def exported(form: Format, plan: "Plan", model: Path | ModelAddress, address: Address, binary: "ServerBinary") -> str:
    """One plan in one form. `model`: a file of this machine, or the address that llama-server downloads it from. ExportError
    where that form cannot hold it."""
    argv = (*plan.argv, *address.args)
    env = export_environment(binary, dict(plan.env))
    port = address.port_of(binary)
    flags = ("-m", str(model)) if isinstance(model, Path) else model.flags
    command, _ = command_of(binary, flags, argv, port, address.host)
    adapted, _ = adapt_argv(argv, binary)
    name = slug(plan.request.model.name or (model.stem if isinstance(model, Path) else str(model)))
    if form == COMMAND:
        return shell_command(command, env)
    if form == SCRIPT:
        return shell_script(command, env)
    if form == UNIT:
        return systemd_unit(command, env, f"llama-server with {plan.request.model.name}")
    if form == SWAP:
        return llama_swap_entry(name, command, env)
    if not isinstance(model, Path):
        raise ExportError(f"{form.title}: {model} is not on this machine; the other forms download it")
    if form == PRESET:
        return server_preset(name, model, adapted, binary)
    if form == ENVIRONMENT:
        return environment_file(model, (*adapted, "--host", address.host, "--port", str(port)), env, binary)
    backends = [d.backend for d, u in zip(plan.request.machine.devices, plan.estimate.devices, strict=True) if u.used_bytes]
    return compose_file(name, model, adapted, dict(plan.env), backends, (address.host, port), binary.build)


def exported_router(plans: Sequence[tuple[Path, "Plan"]], address: Address, binary: "ServerBinary") -> str:
    """llama-server's own router with all of these loaded from its start. ExportError where it cannot hold them."""
    environments = {tuple(sorted(export_environment(binary, dict(plan.env)).items())) for _, plan in plans}
    if len(environments) > 1:
        raise ExportError("these plans need different environments, and a router gives all of its models its own")
    sections: dict[str, tuple[Path, Sequence[str]]] = {}
    for model, plan in plans:
        name = wanted = slug(plan.request.model.name or model.stem)
        while name in sections:
            name = f"{wanted}-{len(sections) + 1}"
        sections[name] = model, adapt_argv((*plan.argv, *address.args), binary)[0]
    (env,) = environments
    return router_preset(sections, dict(env), address.host, address.port_of(binary), binary)
