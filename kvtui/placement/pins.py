"""What a person's pins say before anything is planned: those that cannot be, contradict each other, or match nothing."""

from dataclasses import replace

from kvtui.base.findings import Finding, UsageError
from kvtui.flags.overrides import compiled
from kvtui.placement.request import Pin, Request


def checked_pins(request: Request) -> tuple[Request, tuple[Finding, ...]]:
    """The request with the pins that can be kept, and what is wrong with the others."""
    kept: list[Pin] = []
    findings = []
    holder: dict[int, Pin] = {}  # tensor -> the pin that came first
    names = {d.name for d in request.machine.devices} | {"CPU"}
    for pin in request.pins:
        if pin.device not in names:
            findings.append(_error(f"{pin.device} is no device here; there are {', '.join(sorted(names))}", pin))
            continue
        if pin.device in request.excluded:
            findings.append(_error(f"{pin.device} is excluded: drop the pin or --exclude {pin.device}", pin))
            continue
        try:
            pattern = compiled(pin.pattern)
        except UsageError as e:
            findings.append(_error(str(e).removeprefix(f"{pin.pattern}: "), pin))
            continue
        matched = [t.index for t in request.model.tensors if pattern.search(t.name)]
        taken = [i for i in matched if i in holder and holder[i].device != pin.device]
        if not matched:
            findings.append(Finding("pin-matches-nothing", "warning", f"pin {pin.pattern}={pin.device} matches no tensor"))
        elif taken:
            first = holder[taken[0]]
            text = f"{len(taken)} of its tensors are kept on {first.device} by pin {first.pattern}: drop one of the two"
            findings.append(_error(text, pin))
        else:
            kept.append(pin)
            holder |= dict.fromkeys(matched, pin)
    return replace(request, pins=tuple(kept)), tuple(findings)


def _error(text: str, pin: Pin) -> Finding:
    return Finding("bad-pin", "error", f"pin {pin.pattern}={pin.device}: {text}")
