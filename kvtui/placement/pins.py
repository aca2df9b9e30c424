"""What a person's pins say before anything is planned: those that cannot be, contradict each other, or match nothing."""

from dataclasses import replace

from kvtui.base.findings import Finding, UsageError
from kvtui.base.sizes import mib
from kvtui.flags.patterns import compiled
from kvtui.hardware.device import CPU
from kvtui.placement.request import Pin, Request
from kvtui.placement.solve.candidate import Candidate
from kvtui.placement.solve.problem import Problem


def checked_pins(request: Request) -> tuple[Request, tuple[Finding, ...]]:
    """The request with the pins that can be kept, and what is wrong with the others."""
    kept: list[Pin] = []
    findings = []
    holder: dict[int, Pin] = {}  # tensor -> the pin that came first
    names = {d.name for d in request.machine.devices} | {"CPU"}
    closed = {d.name for d, room in zip(request.machine.devices, request.capacities, strict=True) if not room}
    for pin in request.pins:
        if pin.device not in names:
            findings.append(_error(f"{pin.device} is no device here; there are {', '.join(sorted(names))}", pin))
            continue
        if pin.device in request.excluded:
            findings.append(_error(f"{pin.device} is excluded: drop the pin or --exclude {pin.device}", pin))
            continue
        if pin.device in closed:
            findings.append(_error(f"{pin.device} may hold nothing: its margin takes all that is free there", pin))
            continue
        try:
            pattern = compiled(pin.pattern)
        except UsageError as e:
            findings.append(_error(str(e).removeprefix(f"{pin.pattern}: "), pin))
            continue
        matched = [t.index for t in request.model.tensors if pattern.search(t.name)]
        sizes = request.model.tensors
        taken = [i for i in matched if i in holder and holder[i].device != pin.device]
        if not matched:
            findings.append(Finding("pin-matches-nothing", "warning", f"pin {pin.pattern}={pin.device} matches no tensor"))
        elif taken:
            first = holder[taken[0]]
            weight = mib(sum(sizes[i].n_bytes for i in taken))
            text = (
                f"{len(taken)} of its tensors ({weight}) are kept on {first.device} by pin {first.pattern}: drop one of the two"
            )
            findings.append(_error(text, pin))
        else:
            kept.append(pin)
            holder |= dict.fromkeys(matched, pin)
    return replace(request, pins=tuple(kept)), tuple(findings)


def _error(text: str, pin: Pin) -> Finding:
    return Finding("bad-pin", "error", f"pin {pin.pattern}={pin.device}: {text}")


def follows(problem: Problem, candidate: Candidate) -> bool:
    """Whether every block that pins hold is where they hold it."""
    return all(lives in (None, home) for lives, home in zip(problem.pinned_homes, candidate.homes, strict=True))


def left_behind(pinned: Problem, candidate: Candidate) -> Finding | None:
    """What of the K/V does not move with the weights of pinned blocks; `pinned`: the problem in which it does."""
    blocks = [
        block
        for block, (lives, home) in enumerate(zip(pinned.pinned_homes, candidate.homes, strict=True))
        if lives not in (None, home) and pinned.layout.layers[block].cache_bytes + pinned.layout.layers[block].state_bytes
    ]
    if not blocks:
        return None
    devices = pinned.request.machine.devices
    held = sum(pinned.layout.layers[b].cache_bytes + pinned.layout.layers[b].state_bytes for b in blocks)
    where = ", ".join("RAM" if d == CPU else devices[d].name for d in sorted({candidate.homes[b] for b in blocks}))
    text = (
        f"pins move the weights of {_blocks(blocks)}, their K/V ({mib(held)}) stays on {where}: "
        "llama-server gives RAM the first blocks and each device the next, in the devices' order"
    )
    return Finding("pin-without-cache", "warning", text)


def _blocks(numbers: list[int]) -> str:
    """`block 3`, `blocks 0-3`, `5 blocks`."""
    if len(numbers) == 1:
        return f"block {numbers[0]}"
    in_a_row = numbers[-1] - numbers[0] == len(numbers) - 1
    return f"blocks {numbers[0]}-{numbers[-1]}" if in_a_row else f"{len(numbers)} blocks"


def pinned_beyond(problem: Problem) -> list[str]:
    """Devices on which pins alone put more than there is room for, a clause each."""
    request, found = problem.request, []
    for device, room, held in zip(request.machine.devices, request.capacities, problem.pinned_bytes, strict=False):
        if held > room:
            names = ", ".join(p.pattern for p in request.pins if p.device == device.name)
            found.append(f"pin {names} puts {mib(held)} on {device.name}, which has room for {mib(room)}")
    return found
