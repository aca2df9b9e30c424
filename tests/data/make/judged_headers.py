"""Write tests/data/judged-headers.jsonl: headers of tests/data with one change each, and whether llama.cpp loads them.

python tests/data/make/judged_headers.py JUDGE COUNT       JUDGE: asked_tensors.cpp, built with -DJUDGE"""

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from headers import read_archive

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]
from changed_headers import apply, drawn  # noqa: E402
from odd_headers import parsed  # noqa: E402
from unit.test_judged_headers import ARCHIVES, JUDGED, architecture_of, taken  # noqa: E402

SMALL_BYTES = 150_000
SEED = 25


def main() -> None:
    """As the module's text says. `missed`: kvtui judges otherwise."""
    rng = random.Random(SEED)
    found = {n: h for a in ARCHIVES for n, h in read_archive(JUDGED.with_name(a))[0].items() if len(h) < SMALL_BYTES}
    heads = [(name, head) for name, head in sorted(found.items()) if architecture_of(head) != "clip"]
    lines = []
    environment = {**os.environ, "GGML_NO_BACKTRACE": "1"}
    judge = subprocess.Popen([sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    assert judge.stdin is not None
    assert judge.stdout is not None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.gguf"
        for _ in range(int(sys.argv[2])):
            name, head = rng.choice(heads)
            change = drawn(rng, parsed(head), architecture_of(head))
            changed = apply(parsed(head), change)
            changed.write(path)
            print(path, file=judge.stdin, flush=True)
            line = {"header": name, "change": change, "taken": judge.stdout.readline() == "0\n"}
            if taken(changed) != line["taken"]:
                print(json.dumps(line))
                line["missed"] = True
            lines.append(json.dumps(line))
    JUDGED.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
