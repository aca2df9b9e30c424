"""All that is hostile, by one command: the fuzzer for so long, then the properties, then a night of the app.

usage: python -m tests.hostile [--seconds N] [--short]"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
_DONE = re.compile(r"Done (\d+) runs in (\d+) second")
_COVERED = re.compile(r"cov: (\d+) ft: \d+ corp: (\d+)")


def fuzz(seconds: int, seed: int) -> tuple[bool, str]:
    """Whether nothing broke the chain, and a row. `seed`: 0 is another one at each run."""
    if find_spec("atheris") is None:
        return True, "not run: atheris is not installed (the extra `fuzz`; it has wheels for Python 3.11 on Linux)"
    with tempfile.TemporaryDirectory() as folder:
        path = os.pathsep.join([str(ROOT), str(HERE.parent), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, str(HERE / "fuzz.py"), folder, f"-max_total_time={seconds}", f"-seed={seed}"]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", env={**os.environ, "PYTHONPATH": path})
        said = done.stderr + done.stdout
        if done.returncode:
            kept = [f.rename(ROOT / f.name) for f in Path(folder).iterdir() if f.is_file()]
            print(said[-4000:], file=sys.stderr)
            return False, f"broken by {', '.join(map(str, kept)) or 'what left no file'} (exit code {done.returncode})"
    (runs, took), (covered, corpus) = _DONE.findall(said)[-1], _COVERED.findall(said)[-1]
    return True, f"{int(runs):,} headers in {took} s, {int(covered):,} branches seen, {corpus} kept; nothing but sentences"


def night(short: bool) -> tuple[bool, str]:
    """Whether memory, descriptors and threads are as after the first hour."""
    command = [sys.executable, "-m", "tests.hostile.long_night", *(["--short"] if short else [])]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    return done.returncode == 0, "; ".join((*done.stderr.splitlines()[-3:], *done.stdout.splitlines()))


def properties() -> tuple[bool, str]:
    """The same of what holds of any plan."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rN", str(HERE)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        print(done.stdout[-4000:], file=sys.stderr)
    dots = sum(line.count(".") for line in done.stdout.splitlines() if line.startswith((".", "F")))
    return done.returncode == 0, f"{dots} tests passed" if not done.returncode else "some tests failed"


def main() -> int:
    """Prints the table; 1 where anything is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile")
    parser.add_argument("--seconds", type=int, default=60, help="of fuzzing")
    parser.add_argument("--seed", type=int, default=1, help="of the fuzzer; 0 is another one at each run")
    parser.add_argument("--short", action="store_true", help="a night of 20 minutes of the app's clock instead of 8 hours")
    asked = parser.parse_args()
    rows = {
        "reader, model, estimate and plan under a fuzzer": fuzz(asked.seconds, asked.seed),
        "tests/hostile with the properties": properties(),
        "a night of the app": night(asked.short),
    }
    print("| what | outcome |\n|---|---|")
    for name, (_, said) in rows.items():
        print(f"| {name} | {said} |")
    return 0 if all(whole for whole, _ in rows.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
