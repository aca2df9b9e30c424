"""`kvtui quality`: what is to be measured, from what a person gives."""

from collections.abc import Sequence
from pathlib import Path

from kvtui.base.data import data_file
from kvtui.base.files import read_regular
from kvtui.base.findings import UsageError
from kvtui.flags.read import split_argv
from kvtui.server.measure.forced import Text
from kvtui.server.measure.pairs import REFERENCE, Pair
from kvtui.tasks.options import Options, cache_type

PAIRS: tuple[Pair, ...] = (("q8_0", "q8_0"), ("q8_0", "q4_0"), ("q5_1", "q5_1"), ("q4_0", "q4_0"))
CONTEXT_TOKENS = 2048  # without -c: what the bundled text and some hidden numbers need
TEXT_LIMIT_BYTES = 64 << 20
_TYPE_FLAGS = frozenset(("-ctk", "--cache-type-k", "-ctv", "--cache-type-v"))
_CONTEXT_FLAGS = frozenset(("-c", "--ctx-size"))
# What holds with a person's own flags too: the others are a plan's
_BESIDE_FLAGS = frozenset(("ctx_size", "llama_server", "build", "config", "profile"))


def bundled_text() -> Text:
    """The passage that comes with kvtui; its first line is its source."""
    source, _, content = data_file("passage.txt").read_text("utf-8").partition("\n\n")
    return Text(source, content)


def given_text(path: Path) -> Text:
    """A person's own. Raises UsageError."""
    try:
        content = read_regular(path, TEXT_LIMIT_BYTES).decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"--text {path}: is no UTF-8 text") from None
    except OSError as e:
        raise UsageError(f"--text {path}: {e.strerror or e}") from None
    if not content.strip():
        raise UsageError(f"--text {path}: is empty")
    return Text(path.name, content)


def parse_pair(text: str) -> Pair:
    """`q8_0/q4_0`: K's type and V's. Raises UsageError."""
    type_k, slash, type_v = text.partition("/")
    if not slash:
        raise UsageError(f"--pair {text}: write it as K/V, for instance q8_0/q4_0")
    pair = cache_type("--pair", type_k), cache_type("--pair", type_v)
    if pair == REFERENCE:
        raise UsageError(f"--pair {text}: f16/f16 is what the others are compared with")
    return pair


def own_flags(flags: Sequence[str], ctx_size: str | None) -> tuple[str, ...]:
    """A person's flags with a context: theirs, else `ctx_size`. Raises UsageError for what is said elsewhere."""
    names = {name for name, _ in split_argv(flags)}
    if types := names & _TYPE_FLAGS:
        raise UsageError(f"{min(types)}: each pair is run in turn: write --pair K/V before --")
    if names & _CONTEXT_FLAGS:
        if ctx_size is not None:
            raise UsageError("-c stands before -- and after it: give one of them")
        return tuple(flags)
    return ("-c", ctx_size or str(CONTEXT_TOKENS), *flags)


def without_types(argv: Sequence[str]) -> tuple[str, ...]:
    """A plan's flags but for the cache types."""
    return tuple(w for name, values in split_argv(argv) if name not in _TYPE_FLAGS for w in (name, *values))


def refuse_plan_options(options: Options) -> None:
    """With a person's own flags there is no plan. Raises UsageError for an option of one."""
    plain = Options()
    given = [f for f in vars(plain) if f not in _BESIDE_FLAGS and getattr(options, f) != getattr(plain, f)]
    if given:
        name = given[0].replace("_", "-")
        raise UsageError(f"--{name}: with flags after -- llama-server runs with exactly those: write it among them")
