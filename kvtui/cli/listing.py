"""`kvtui devices`: what this machine has."""

from dataclasses import replace

import click

from kvtui.base.findings import UsageError
from kvtui.cli.printing import echo_lines, print_json


@click.command()
@click.option("--llama-server", metavar="PATH", help="The llama-server to ask for devices that nothing else can see.")
@click.option("--rpc", metavar="HOST:PORT,...", help="Devices of ggml-rpc-servers, too.")
@click.option("--measure", is_flag=True, help="Measure RAM's bandwidth again, in a second, and keep it.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def devices(llama_server: str | None, rpc: str | None, measure: bool, as_json: bool) -> None:
    """What this machine has."""
    from kvtui.report.as_json import inventory_json
    from kvtui.tasks.held_now import held_now
    from kvtui.tasks.inventory import inventory_of
    from kvtui.tasks.ram_speed import CALLED_OFF, measure_ram
    from kvtui.tasks.remote_devices import rpc_devices

    found = inventory_of(llama_server)
    if measure:
        ram = measure_ram(found.machine.ram)
        if ram is None:
            raise UsageError(CALLED_OFF)
        found = replace(found, machine=replace(found.machine, ram=ram))
    if rpc is not None:
        far = rpc_devices(rpc, llama_server)
        found = replace(found, machine=replace(found.machine, devices=(*far, *found.machine.devices)))
    held = held_now(found.machine.devices)
    if as_json:
        print_json(inventory_json(found, held))
    else:
        from kvtui.report.as_text import inventory_lines

        echo_lines(inventory_lines(found, held))
