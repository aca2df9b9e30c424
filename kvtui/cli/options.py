"""The options that `plan`, `table`, `estimate`, `verify`, `review`, `serve` and the app share, as click's decorators."""

import os
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from kvtui.base.findings import UsageError
from kvtui.base.secrets import without_secrets
from kvtui.flags.cache_types import CACHE_TYPES
from kvtui.flags.context import POOLINGS
from kvtui.flags.known import OLD_LOAD_SWITCHES, known_flags, unknown_flag
from kvtui.server.process.ports import LARGEST_PORT
from kvtui.tasks.options import OF_MACHINES, Options, check_options

F = TypeVar("F", bound=Callable[..., Any])


def _option(*names: str, **settings: Any) -> Callable[[F], F]:
    return click.option(*names, **settings)


def positive_seconds(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    """Refuses what is no time to wait: 0, a negative number, nan and inf too. Raises UsageError."""
    if value is not None and not (0 < value < float("inf")):
        raise UsageError(f"{param.opts[-1]} {value}: a time is more than 0 seconds")
    return value


def _remembered(ctx: click.Context, param: click.Parameter, given: bool) -> None:
    if given:
        ctx.meta[_OLD_SWITCH] = param.opts[0]  # as in the server's parser, the last one counts


def _with_old_switch(options: Options, old: str) -> Options:
    """`options` with -lm's word for a switch that builds before had in its place. Raises UsageError where the build has not."""
    from kvtui.tasks.opening import build_of

    build = build_of(options)
    if old not in known_flags(build):
        raise unknown_flag(old, old, build)
    return options if options.load_mode is not None else replace(options, load_mode=OLD_LOAD_SWITCHES[old][0])


_OLD_SWITCH = "kvtui.old_switch"
_OLD: tuple[Callable[[Any], Any], ...] = tuple(
    _option(name, f"old_{i}", is_flag=True, hidden=True, expose_value=False, callback=_remembered)
    for i, name in enumerate(OLD_LOAD_SWITCHES)
)

_MACHINE: tuple[Callable[[Any], Any], ...] = (
    _option("--device", multiple=True, metavar="NAME=FREE[/TOTAL][@BANDWIDTH]", help="Plan for this device (repeatable)."),
    _option("--ram", metavar="FREE[@BANDWIDTH]", help="Plan for this much host memory."),
    _option("--margin", metavar="SIZE[,SIZE...]", help="Memory to leave free on each device [default: 1024MiB]."),
    _option("--display-margin", metavar="SIZE", help="Memory to leave free where the desktop is drawn [default: its margin]."),
    _option("--ram-margin", metavar="SIZE", help="Memory to leave free in RAM [default: 1024MiB; none of a --ram]."),
    _option("--rpc", metavar="HOST:PORT,...", help="Devices of ggml-rpc-servers."),
)

_SHARED: tuple[Callable[[Any], Any], ...] = (
    *_MACHINE,
    _option("--machine", metavar="NAME", help="What was saved with `kvtui machine save NAME`; options win over it."),
    _option("-c", "--ctx-size", metavar="N", help="Context in tokens (132000, 132k)."),
    _option("-ctk", "--cache-type-k", metavar="TYPE", help="K cache type: " + ", ".join(CACHE_TYPES) + "."),
    _option("-ctv", "--cache-type-v", metavar="TYPE", help="V cache type."),
    _option("-np", "--parallel", type=int, metavar="N", help="Slots [default: four and one unified cache]."),
    _option("-kvu/-no-kvu", "--kv-unified/--no-kv-unified", default=None, help="One cache shared by all slots."),
    _option("-b", "--batch-size", type=int, metavar="N", help="Logical batch [default: 2048]."),
    _option("-ub", "--ubatch-size", type=int, metavar="N", help="Physical batch [default: 512]."),
    _option("-fa", "--flash-attn", type=click.Choice(["on", "off", "auto"]), help="Flash attention."),
    _option("--swa-full", is_flag=True, help="Sliding-window layers keep the whole context."),
    _option("--embedding", "--embeddings", is_flag=True, help="Serve embeddings alone: every token of a batch gives a row."),
    _option("--rerank", "--reranking", is_flag=True, help="The same for a reranker: rows are pooled by rank."),
    _option("--pooling", type=click.Choice(POOLINGS), help="What --embedding makes one row of [default: the model's own]."),
    _option("-nkvo", "--no-kv-offload", is_flag=True, help="Keep K/V in host memory."),
    _option("-lm", "--load-mode", metavar="MODE", help="How weights are read: auto, none, mmap, mlock, mmap+mlock or dio."),
    _option("--moe-cache-mib", type=int, metavar="N", help="Cache on the devices for experts in RAM (from b11549 on)."),
    _option("-mm", "--mmproj", metavar="FILE", help="Multimodal projector, loaded beside the model."),
    _option("-md", "--model-draft", metavar="FILE", help="Draft model, loaded beside the model."),
    _option("--spec-type", metavar="TYPE", help="Speculative decoding; draft-mtp loads a model's MTP blocks."),
    _option("--spec-draft-n-max", type=int, metavar="N", help="Tokens drafted at a time [default: 3]."),
    _option("--no-mmproj-offload", is_flag=True, help="Keep the projector in RAM."),
    _option("-mmdev", "--mmproj-device", metavar="DEVICE", help="The projector's device; none: RAM."),
    _option("--image-min-tokens", type=int, metavar="N", help="Tokens of an image, at least [default: the projector's own]."),
    _option("--image-max-tokens", type=int, metavar="N", help="Tokens of an image, at most [default: the projector's own]."),
    _option("-ngld", "--gpu-layers-draft", metavar="N", help="Blocks of the draft model on the devices [default: all]."),
    _option("-ctkd", "--cache-type-k-draft", metavar="TYPE", help="K cache type of the draft model, or of the MTP context."),
    _option("-ctvd", "--cache-type-v-draft", metavar="TYPE", help="V cache type of the same."),
    _option("-devd", "--device-draft", metavar="DEVICES", help="The draft model's devices; none: RAM."),
    _option("-otd", "--override-tensor-draft", multiple=True, metavar="REGEX=BUFFER", help="Where its tensors go."),
    _option("-cmoed", "--cpu-moe-draft", is_flag=True, help="Its experts stay in RAM."),
    _option("-ncmoed", "--n-cpu-moe-draft", type=int, metavar="N", help="Those of its first N blocks do."),
    _option("--pin", multiple=True, metavar="REGEX=DEVICE", help="Tensors that match stay on DEVICE; repeatable."),
    _option("--exclude", multiple=True, metavar="DEVICE", help="Do not use this device; repeatable."),
    _option("--prefer", metavar="DEVICE", help="Fill this device alone if all fits there, else open it first."),
    _option("--no-ram", is_flag=True, help="Keep everything but the embeddings on the devices."),
    _option("--goal", metavar="GOAL", help="decode (default), turn:PROMPT,REUSED,GENERATED, context, context:SPEED or memory."),
    _option("--config", metavar="FILE", help="A JSON config; options win over it."),
    _option("--profile", metavar="NAME", help="What was saved with `kvtui profile save NAME`; options win over it."),
    _option("--llama-server", metavar="PATH", help="The llama-server to ask and run."),
    _option("--build", metavar="bN", help="llama.cpp build to estimate for [default: the server's, else b11434]."),
)


def in_environment(separated: tuple[tuple[str, ...], dict[str, str]]) -> tuple[str, ...]:
    """Arguments whose secrets were taken out; those go on in this process's own variables, where llama-server looks
    too and no process list shows them."""
    argv, variables = separated
    os.environ.update(variables)
    return argv


# Of the shared options, those that a command does not hear, and where to say it instead.
_UNHEARD = {
    "quality": {
        "cache_type_k": "-ctk is of one pair: write --pair K/V, as often as there are pairs to measure",
        "cache_type_v": "-ctv is of one pair: write --pair K/V, as often as there are pairs to measure",
    },
    "estimate": {
        "pin": "--pin is for plans: write -ot REGEX=BUFFER after --",
        "exclude": "--exclude is for plans: write -dev with the others after --",
        "prefer": "--prefer is for plans: write -dev in that order after --",
        "goal": "--goal is for plans: estimate takes the flags as they are",
        "no_ram": "--no-ram is for plans: estimate takes the flags as they are",
    },
}


def refuse_unheard(command: str, options: Options) -> None:
    """Raises UsageError for an option that `command` would not obey."""
    for name, sentence in _UNHEARD.get(command, {}).items():
        if getattr(options, name):
            raise UsageError(sentence)


# Commands that have something to say without a model
_WITHOUT_MODEL = ("app_command", "guide", "models", "save", "review")


def _settle_model(command: str, values: dict[str, Any], named: str | None) -> None:
    """The model of the command line, else the one a config or a profile names. Raises UsageError where there is none."""
    model = values["model"]
    if "flags" in values and model is not None and model.startswith("-"):  # the first of the flags after `--`
        values["flags"] = (model, *values["flags"])
        model = None
    values["model"] = model if model is not None else named
    if values["model"] is None and command not in _WITHOUT_MODEL:
        raise UsageError("MODEL is missing: a GGUF file or an address, or a config that names one")


def _settle_models(values: dict[str, Any], named: str | None) -> None:
    """The same of a command for several models."""
    if not values["models"] and named is None:
        raise UsageError("MODEL is missing: a GGUF file, or a config that names one")
    values["models"] = values["models"] or (named,)


def address_options(command: F) -> F:
    """Adds where llama-server is to listen."""
    port = _option(
        "--port", type=click.IntRange(1, LARGEST_PORT), help="Port of llama-server [default: 8080, from b11549 on 9931]."
    )
    return _option("--host", help="Address it listens on [default: 127.0.0.1].")(port(command))


def shared_options(command: F) -> F:
    """Adds the shared options; the command gets them as one `Options`, first after its own arguments."""

    def collected(*args: Any, **values: Any) -> Any:
        known = {f.name for f in fields(Options)}
        mine = {name: values.pop(name) for name in list(values) if name in known}
        options = Options(**mine)
        named = None
        if options.machine is not None:
            from kvtui.tasks.profiles import on_machine

            options = on_machine(options.machine, options)
        described = options
        if options.profile is not None:
            from kvtui.tasks.profiles import read_profile, under_given

            if options.config is not None:
                raise UsageError("--profile and --config: give one of them")
            profile = read_profile(options.profile)
            options, named = under_given(profile, options), profile.model
        if options.config is not None:
            from kvtui.tasks.config import model_of, read_config, under_options

            path = Path(options.config)
            config = read_config(path)
            named = model_of(config, path)
            options = under_options(config, options)
        options = replace(options, server_args=in_environment(without_secrets(options.server_args)))
        if options.machine is not None:  # a profile's or a config's is another one
            from kvtui.tasks.profiles import same_machine

            options = same_machine(options, described)
        if "model" in values:
            _settle_model(command.__name__, values, named)
        if "models" in values:
            _settle_models(values, named)
        check_options(options)
        old = click.get_current_context().meta.get(_OLD_SWITCH)
        options = _with_old_switch(options, old) if old is not None else options
        refuse_unheard(command.__name__, options)
        return command(*args, options=options, **values)

    return _with(command, collected, (*_SHARED, *_OLD))


def machine_options(command: F) -> F:
    """Adds the options that describe a machine; the command gets them as one `Options`."""

    def collected(*args: Any, **values: Any) -> Any:
        mine = {name: values.pop(name) for name in OF_MACHINES}
        return command(*args, options=Options(**mine), **values)

    return _with(command, collected, _MACHINE)


def _with(command: F, collected: Any, options: Sequence[Callable[[Any], Any]]) -> F:
    """`collected` in place of `command`, with more options."""
    collected.__name__ = command.__name__
    collected.__doc__ = command.__doc__
    collected.__click_params__ = list(getattr(command, "__click_params__", ()))
    for add in reversed(options):
        collected = add(collected)
    return collected  # type: ignore[no-any-return]
