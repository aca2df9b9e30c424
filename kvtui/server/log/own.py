"""Which lines of a log are the server's own, by their form and their place: a model's strings stand among them as they are.

Two places print strings of a model with their line breaks: print_info (breakdown.py tells those apart) and the chat
template's example, which stands between the load and the first request."""

import re
from collections.abc import Sequence

# common/log.cpp, common_log_entry::print: time and letter; tools/server/server-common.h, SRV_INF and its like: "srv  function:"
START = r"^(?:[\d.]+ )?(?:[IWED] )?(?:\w+\s+)?"
FAILED = r"^(?:[\d.]+ )?(?![ID] )(?:[EW] )?(?:\w+\s+)?"  # the same of warnings and errors, and of lines without a letter
MIB = r"[0-9]{1,12}(?:\.[0-9]{1,4})?"  # as %.2f gives it, of less than any machine has
COUNT = r"[0-9]{1,12}"
# tools/server/server-context.cpp, server_context_impl::init; older builds name the template too
TEMPLATE = re.compile(START + r"(?:\w+: ){1,2}chat template, (?:chat_template|example_format): ")
_TEMPLATE_ENDS = re.compile(START + r"(?:\w+: ){1,2}chat template, thinking = \d+$")
# tools/server/server.cpp, llama_server (main in older builds)
READY = re.compile(START + r"(?:llama_server|main): (?:model loaded$|(?:server is )?listening on )")
# src/llama.cpp, llama_model_load: an exception's words, with names of tensors as they are
_QUOTES = re.compile(FAILED + r"(?:\w+: )+error loading model: ")
_EXIT = re.compile(START + r"(?:llama_server|main|operator\(\)): (?:[\w()]+: )?cleaning up before exit")
_AT_EXIT = re.compile(START + r"\w*memory_breakdown_print: ")


def of_exit(lines: Sequence[str]) -> Sequence[str]:
    """The table of memory that a clean exit prints last of all."""
    begin = next((i for i in reversed(range(len(lines))) if _EXIT.search(lines[i])), len(lines))
    return [line for line in lines[begin:] if _AT_EXIT.search(line)]


def of_load(lines: Sequence[str]) -> Sequence[str]:
    """Those of the (first) load: what comes after it holds the chat template, and requests."""
    end = next((i for i, line in enumerate(lines) if TEMPLATE.search(line) or READY.search(line)), len(lines))
    return lines[:end]


def of_failed_load(lines: Sequence[str]) -> Sequence[str]:
    """Those of the load up to the first that quotes the model: its line breaks may go on in the next."""
    load = of_load(lines)
    end = next((i for i, line in enumerate(load) if _QUOTES.search(line)), len(load))
    return load[: end + 1]


def of_serving(lines: Sequence[str]) -> Sequence[str]:
    """Those from the moment on when it was loaded, without the template."""
    kept = without_template(lines)
    begin = next((i for i, line in enumerate(kept) if READY.search(line)), len(kept))
    return kept[begin:]


def without_template(lines: Sequence[str]) -> Sequence[str]:
    """All but the chat template's example, which ends at the last line that can be its end: an earlier one may be in it."""
    begin = next((i for i, line in enumerate(lines) if TEMPLATE.search(line)), None)
    if begin is None:
        return lines
    ends = [i for i, line in enumerate(lines) if _TEMPLATE_ENDS.search(line)]
    ends = ends or [i for i, line in enumerate(lines) if READY.search(line)]
    return [*lines[:begin], *(lines[ends[-1] :] if ends else ())]
