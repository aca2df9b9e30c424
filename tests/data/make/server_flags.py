"""Write kvtui/data/server-flags.txt from a llama-server's --help: values a flag takes, then its names.

python tests/data/make/server_flags.py SERVER [--check]

-1 stands for the values of a flag that was removed, as its help says."""

import os
import subprocess
import sys
from pathlib import Path

from kvtui.server.binary.help import parse_help

FILE = Path(__file__).parents[3] / "kvtui" / "data" / "server-flags.txt"
REMOVED = "the argument has been removed"  # common/arg.cpp


def main() -> int:
    """As the module's text says. 1 where --check finds a difference."""
    server = Path(sys.argv[1]).resolve()
    env = {**os.environ, "LD_LIBRARY_PATH": str(server.parent)}
    said = subprocess.run([server, "--help"], capture_output=True, text=True, check=True, env=env).stdout
    heading, *old = FILE.read_text().splitlines()
    new = [heading]
    for option in parse_help(said):
        new.append(f"{-1 if REMOVED in option.text else option.values} {' '.join(option.names)}")
    if "--check" in sys.argv:
        changed = sorted(set(new) ^ {heading, *old})
        print("\n".join(changed))
        return int(bool(changed))
    FILE.write_text("\n".join(new) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
