"""A review as text and as JSON: the command, our plan, and the difference."""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from kvtui.base.shell import shell_line, shell_word
from kvtui.base.sizes import MIB, gib, mib
from kvtui.report.as_json import estimate_json, layer_devices_json, plan_json
from kvtui.report.as_text import memory_lines, speed_line
from kvtui.report.findings import findings_json

if TYPE_CHECKING:
    from kvtui.placement.review import Review
    from kvtui.placement.speed import Speed

Json = dict[str, Any]
_NO_SPEED = "no speed: a bandwidth is not known"


def review_json(review: "Review", path: str, timings: Json) -> Json:
    """The JSON of `kvtui review`: `estimate`'s of the command with more, `plan`'s under "plan", and the plan less the command."""
    return {
        **estimate_json(review.described, path, review.asked.argv, timings, review.speed),
        "env": dict(review.asked.command.env),
        "program": review.asked.command.program,
        "pid": review.asked.pid,
        "over": [{"name": lack.name, "bytes": lack.n_bytes} for lack in review.over],
        "patterns": [
            {
                "said": use.said,
                "device": use.device,
                "tensors": use.tensors,
                "bytes": use.n_bytes,
                "matched": use.matched,
                "there_anyway": use.there_anyway,
                "taken": use.taken,
                "taken_by": list(use.taken_by),
                "examples": list(use.examples),
            }
            for use in review.patterns
        ],
        "plan": plan_json(review.plan, path, timings),
        "difference": difference_json(review),
        "findings": findings_json(review.findings),
    }


def difference_json(review: "Review") -> Json:
    """Our plan less the command: bytes, tokens a second, and what moves."""
    found, devices = review.difference, review.described.machine.devices
    return {
        "same": review.same,
        "changed": review.changed,
        "devices": [{"name": d.name, "used_bytes": n} for d, n in zip(devices, found.device_bytes, strict=True)],
        "host": {"used_bytes": found.host_bytes},
        "tokens_per_second": found.tokens_per_second,
        "prompt_tokens_per_second": found.prompt_tokens_per_second,
        "moves": [{"what": m.what, "count": m.count, "bytes": m.n_bytes, "from": m.source, "to": m.target} for m in found.moves],
    }


def review_lines(review: "Review", model: Sequence[str]) -> list[str]:
    """`model`: llama-server's own flags for it."""
    described, plan, machine = review.described, review.plan, review.described.machine
    spec, context = described.model, review.request.context
    pid = "" if review.asked.pid is None else f" (pid {review.asked.pid})"
    env = "".join(f"{k}={shell_word(v)} " for k, v in plan.env)
    return [
        f"{spec.name}  {spec.architecture}  {gib(spec.weights_bytes)}  {described.build}",
        f"{context.n_ctx:,} tokens, {context.type_k}/{context.type_v}, {context.slots} slots",
        "",
        f"the command{pid}",
        *memory_lines(machine, described.margins, described.estimate),
        *(f"{lack.name} is over by {mib(lack.n_bytes)}" for lack in review.over),
        *_speed_lines(review.speed),
        f"blocks: {_blocks(layer_devices_json(machine, described.assignment))}",
        *map(str, review.patterns),
        *(f"{f.severity}: {f.message}" for f in review.findings),
        "",
        "our plan",
        *memory_lines(machine, plan.request.margin_bytes, plan.estimate),
        *_speed_lines(plan.speed),
        f"blocks: {_blocks(layer_devices_json(machine, plan.assignment))}",
        *(f"{f.severity}: {f.message}" for f in plan.findings),
        env + shell_line(["llama-server", *model, *plan.argv]),
        "",
        "our plan less the command",
        *difference_lines(review),
    ]


def difference_lines(review: "Review") -> list[str]:
    """One word where they are the same."""
    if review.same:
        return ["the same"]
    found = review.difference
    names = (*(d.name for d in review.described.machine.devices), "RAM")
    changes = [(name, n) for name, n in zip(names, (*found.device_bytes, found.host_bytes), strict=True) if n]
    lines = [", ".join(f"{name} {n / MIB:+,.0f} MiB" for name, n in changes)] if changes else []
    lines += [review.changed] if review.changed else []
    if found.tokens_per_second is not None and review.speed is not None and review.plan.speed is not None:
        before, after = review.speed, review.plan.speed
        rates = (
            (before.tokens_per_second, after.tokens_per_second, "tokens a second"),
            (before.prompt_tokens_per_second, after.prompt_tokens_per_second, "prompt tokens a second"),
        )
        if_it_fit = "" if review.described.fits else ", if the command fitted"
        lines += [f"{_rate(b)} -> {_rate(a)} {what} ({a / b - 1:+.1%}{if_it_fit})" for b, a, what in rates]
    return [*lines, *(f"{move}{f', {mib(move.n_bytes)}' if move.n_bytes else ''}" for move in found.moves)]


def _speed_lines(speed: "Speed | None") -> list[str]:
    if speed is None:
        return [_NO_SPEED]
    return [speed_line(speed), f"prompts: {speed.prompt_tokens_per_second:,.0f} tokens a second at most"]


def _rate(rate: float) -> str:
    """Tokens a second to three digits, whole from 100 on."""
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def _blocks(homes: Sequence[str]) -> str:
    """`0-20 CUDA0, 21-31 CUDA1, output CUDA1`."""
    parts = []
    for home, run in groupby(range(len(homes) - 1), key=lambda i: homes[i]):
        blocks = list(run)
        parts.append(f"{blocks[0]}-{blocks[-1]} {home}" if len(blocks) > 1 else f"{blocks[0]} {home}")
    return ", ".join([*parts, f"output {homes[-1]}"])
