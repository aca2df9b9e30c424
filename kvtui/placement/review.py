"""A llama-server command looked over: what it would hold and do, and our plan for the same beside it."""

from dataclasses import dataclass, field, replace

from kvtui.base.build import Build
from kvtui.base.findings import DOES_NOT_FIT, Finding, UsageError
from kvtui.base.secrets import without_secrets
from kvtui.flags.command_line import CommandLine, split_model
from kvtui.flags.read import ServerFlags, parse_flags, said_overrides, split_argv
from kvtui.hardware.visible import left_visible
from kvtui.memory.corrections import Learned
from kvtui.memory.described import Described, describe_flags
from kvtui.memory.fits import Lack, capacities, lacking
from kvtui.memory.patterns import PatternUse, pattern_uses
from kvtui.placement.difference import Difference, Placed, difference
from kvtui.placement.plan import Plan, make_plan
from kvtui.placement.request import Request
from kvtui.placement.speed import Speed, placed_speed

_FIT = ("-fit", "--fit")
_HUB = ("-hf", "-hfr", "--hf-repo")
_ITS_PROJECTOR = ("-mm", "--mmproj", "--no-mmproj", "--no-mmproj-auto")
# variables of back ends, some of which move memory (GGML_CUDA_ENABLE_UNIFIED_MEMORY)
_OF_BACK_ENDS = ("GGML_CUDA_", "GGML_VK_", "GGML_SYCL_", "GGML_METAL_")
VISIBLE = "_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Asked:
    """A command with its flags read. `argv`: without the model, what its environment says first; `model`: the one it names, ""
    where it names none. `pid`: of the server that it was read from."""

    command: CommandLine
    argv: tuple[str, ...]
    flags: ServerFlags
    model: str
    pid: int | None = None
    notes: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Review:
    """`plan` is for the same model, machine, context and types; `over`: who lacks how much under the command; `findings`: those
    of the command as an estimate has them, of its patterns, and of what is not counted."""

    asked: Asked
    request: Request = field(repr=False)
    described: Described
    speed: Speed | None
    patterns: tuple[PatternUse, ...]
    over: tuple[Lack, ...]
    plan: Plan
    difference: Difference
    findings: tuple[Finding, ...]

    @property
    def changed(self) -> str:
        """What the plan has otherwise besides places: a smaller physical batch, "" if nothing."""
        asked, planned = self.asked.flags.context.n_ubatch, self.plan.request.context.n_ubatch
        return "" if asked == planned else f"-ub {planned} in place of {asked}"

    @property
    def same(self) -> bool:
        """Whether our plan is what the command does."""
        return self.difference.same and not self.changed


def asked_by(
    command: CommandLine, base: ServerFlags, build: Build, *, model_named: bool = False, pid: int | None = None
) -> Asked:
    """A command's flags over `base`. `model_named`: the model is known without it. Raises UsageError."""
    words, _ = without_secrets(command.flags(build))
    model, argv = split_model(words, wanted=not model_named)
    return Asked(command, argv, parse_flags(argv, base, build), model, pid, _not_counted(command, words))


def review(asked: Asked, request: Request) -> Review:
    """What the command takes on the request's machine, and the plan. `request`: the model, the machine, margins and pins of the
    plan, and what stands beside the model; its context gives way to the command's. Raises UsageError."""
    request, seen = _seen(request, dict(asked.command.env))
    flags = asked.flags
    asked_for = replace(flags.context, n_ctx=flags.context.n_ctx or request.model.n_ctx_train)
    # of what was learned, what counts for exact flags too: the two are compared
    request = replace(request, context=asked_for, learned=Learned(overhead_bytes=request.learned.overhead_bytes))
    model, machine, margins = request.model, request.machine, request.margin_bytes
    described = describe_flags(model, machine, margins, request.build, flags, request.beside, request.learned, request.fa_quants)
    speed = placed_speed(request, described.assignment)
    patterns = pattern_uses(model, machine, said_overrides(asked.argv, request.build), described.assignment)
    visible = tuple((name, value) for name, value in asked.command.env if name.endswith(VISIBLE)) if seen else ()
    plan = make_plan(request)
    plan = replace(plan, env=(*plan.env, *visible))  # it is named by what is seen there
    ours = Placed(plan.assignment, plan.estimate, plan.speed)
    return Review(
        asked=asked,
        request=request,
        described=described,
        speed=speed,
        patterns=patterns,
        over=lacking(machine, capacities(machine, margins), described.estimate),
        plan=plan,
        difference=difference(model, machine, Placed(described.assignment, described.estimate, speed), ours),
        findings=(
            *described.findings,
            *(use.finding for use in patterns if use.finding is not None),
            *seen,
            *_fitted(asked, described),
            *asked.notes,
        ),
    )


def _seen(request: Request, env: dict[str, str]) -> tuple[Request, list[Finding]]:
    """The request with the devices that the command's environment leaves it, under their names there."""
    devices = request.machine.devices
    left = left_visible(devices, env)
    if tuple(d for _, d in left) == devices:
        return request, []
    if request.pins or request.excluded or request.preferred:
        raise UsageError(
            "pinned, excluded and preferred devices go by this machine's names, and the command's environment names them anew: "
            "leave them out, or describe with --device what it sees"
        )
    named = [f"{d.name} is {devices[i].name} here" for i, d in left if d.name != devices[i].name]
    text = f"{', '.join(d.name for _, d in left) or 'no device'} of {len(devices)}, as the environment has it"
    machine = replace(request.machine, devices=tuple(d for _, d in left))
    margins = tuple(request.margin_bytes[i] for i, _ in left)
    found = Finding("devices-visible", "note", "; ".join([text, *named]))
    return replace(request, machine=machine, margins=margins), [found]


def _not_counted(command: CommandLine, words: tuple[str, ...]) -> tuple[Finding, ...]:
    flags = {flag.replace("_", "-") for flag, _ in split_argv(words)}
    found = [
        Finding("environment-not-counted", "note", f"{name} is not counted")
        for name, _ in command.env
        if name.startswith(_OF_BACK_ENDS) and not name.endswith(VISIBLE)
    ]
    if flags.intersection(_HUB) and not flags.intersection(_ITS_PROJECTOR):
        text = "-hf loads the repository's projector too, if it has one, which is not counted: name it with --mmproj"
        found.append(Finding("projector-not-counted", "note", text))
    return tuple(found)


def _fitted(asked: Asked, described: Described) -> list[Finding]:
    """llama-server's own fitting is on unless it is switched off (common/arg.cpp, --fit)."""
    off = any(flag in _FIT and values == ("off",) for flag, values in split_argv(asked.argv))
    if off or not any(f.code == DOES_NOT_FIT for f in described.findings):
        return []
    text = "without --fit off llama-server may lower what the command leaves open (-c, -ngl, -ts) until it fits: not counted here"
    return [Finding("fit-on", "note", text)]
