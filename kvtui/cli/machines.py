"""Machines on the command line: saved, listed, deleted."""

import click

from kvtui.base.findings import UsageError
from kvtui.cli.options import machine_options
from kvtui.cli.printing import echo_lines, print_json
from kvtui.tasks.options import Options


@click.group()
def machine() -> None:
    """Devices and RAM with a name, for --machine NAME."""


@machine.command()
@click.argument("name")
@machine_options
def save(name: str, options: Options) -> None:
    """Keep the devices, RAM and margins given as NAME."""
    from kvtui.hardware.device import DEFAULT_MARGIN_BYTES
    from kvtui.hardware.simulated import check_margins, parse_devices, parse_margins, parse_ram
    from kvtui.tasks.profiles import MACHINES, Profile, save_profile

    if options == Options():
        raise UsageError(f"machine {name}: say what it has, with --device and --ram")
    devices = parse_devices(options.device)
    if options.ram is not None:
        parse_ram(options.ram)
    if devices and options.rpc is None:  # how many there are else, is found where it is used
        check_margins(options.margin, parse_margins(options.margin, len(devices), DEFAULT_MARGIN_BYTES), devices)
    save_profile(name, Profile(None, options), MACHINES)


@machine.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def list_machines(as_json: bool) -> None:
    """What is saved."""
    from kvtui.tasks.profiles import MACHINES, profiles, settings

    found = {name: settings(m) for name, m in profiles(MACHINES).items()}
    if as_json:
        print_json({"schema": 1, "machines": found})
        return
    lines = [f"{name}: {', '.join(f'{k} {v}' for k, v in said.items())}" for name, said in found.items()]
    echo_lines(lines or ["no machine is saved yet"])


@machine.command()
@click.argument("name")
def delete(name: str) -> None:
    """Forget a machine."""
    from kvtui.tasks.profiles import MACHINES, delete_profile

    delete_profile(name, MACHINES)
