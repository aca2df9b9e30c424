"""Write kvtui/data/server-flags.txt from a llama-server's --help: values a flag takes, then its names. And
server-variables.txt: the variables it reads, with the names of the flag that each stands for.

python tests/data/make/server_flags.py SERVER [--check]

-1 stands for the values of a flag that was removed, as its help says."""

import os
import re
import subprocess
import sys
from pathlib import Path

from kvtui.server.binary.help import parse_help

DATA = Path(__file__).parents[3] / "kvtui" / "data"
VARIABLE = re.compile(r"\(env: (LLAMA_ARG_\w+)\)")  # common/arg.cpp, common_arg::set_env
REMOVED = "the argument has been removed"  # common/arg.cpp


def main() -> int:
    """As the module's text says. 1 where --check finds a difference."""
    server = Path(sys.argv[1]).resolve()
    env = {**os.environ, "LD_LIBRARY_PATH": str(server.parent)}
    said = subprocess.run([server, "--help"], capture_output=True, text=True, check=True, env=env).stdout
    changed = []
    for name, new in (("server-flags.txt", flags(said)), ("server-variables.txt", variables(said))):
        heading, *old = (DATA / name).read_text().splitlines()
        if "--check" in sys.argv:
            changed += sorted(set(new) ^ {*old})
        else:
            (DATA / name).write_text("\n".join([heading, *new]) + "\n")
    if changed:
        print("\n".join(changed))
    return int(bool(changed))


def flags(said: str) -> list[str]:
    """A line an option."""
    return [f"{-1 if REMOVED in o.text else o.values} {' '.join(o.names)}" for o in parse_help(said)]


def variables(said: str) -> list[str]:
    """A line an option that may come from a variable, in the order in which llama-server reads them."""
    found = ((VARIABLE.search(o.text), o) for o in parse_help(said) if REMOVED not in o.text)
    return [f"{variable[1]} {' '.join(o.names)}" for variable, o in found if variable is not None]


if __name__ == "__main__":
    sys.exit(main())
