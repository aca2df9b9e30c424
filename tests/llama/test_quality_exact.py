"""`kvtui quality` with a real llama-perplexity, where there is one of the llama-server's build: ended in the middle, taken up
again, and beside what llama-server alone says."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import wait_until

from kvtui.server.binary.inspect import ServerBinary
from kvtui.server.binary.perplexity import perplexity_of
from kvtui.server.program.marks import ASKED_VARIABLE, marked

PAIRS = ("--pair", "q8_0/q8_0", "--pair", "q4_0/q4_0")
FLAGS = ("--json", "--", "-c", "256", "-np", "1", "-t", "2", "-fa", "on", "--fit", "off", "--no-warmup")


def started(binary: ServerBinary, model: Path, state: Path, *args: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "kvtui", "quality", str(model), "--llama-server", str(binary.path), *args, *FLAGS]
    env = {**os.environ, "XDG_STATE_HOME": str(state)}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, stdin=subprocess.DEVNULL, text=True, env=env)


@pytest.mark.usefixtures("computes")
def test_exact_divergences_are_taken_up_again(binary: ServerBinary, gemma: Path, tmp_path: Path) -> None:
    found, problem = perplexity_of(binary)
    if found is None:
        pytest.skip(
            f"no llama-perplexity of {binary.path}'s build: {problem or 'LLAMA_PERPLEXITY names none, none is beside it'}"
        )
    folder = tmp_path / "kvtui" / "quality"
    broken = started(binary, gemma, tmp_path, *PAIRS)
    assert broken.stderr is not None
    for line in broken.stderr:
        if line == "kvtui: q8_0/q8_0: llama-perplexity\n":
            break
    broken.send_signal(signal.SIGTERM)
    broken.communicate(timeout=30)
    wait_until(lambda: not any(m.mark.startswith(f"{broken.pid} ") for m in marked(ASKED_VARIABLE)), "all of it is gone")
    assert [f.suffix for f in (folder / "bases").iterdir()] == [".base"]

    out, said = started(binary, gemma, tmp_path, *PAIRS).communicate(timeout=900)
    assert "f16/f16" not in said
    value = json.loads(out)
    eight, four = value["pairs"]
    assert value["perplexity"]["path"] == str(found.path)
    assert "exact" in value["method"]
    assert [p["exact"] for p in (eight, four)] == [True, True]
    assert 0 < eight["mean_kl_divergence"] < four["mean_kl_divergence"] < 1
    assert eight["positions"] >= 100
    assert not list((folder / "bases").iterdir())

    out, said = started(binary, gemma, tmp_path, *PAIRS, "--llama-perplexity", "none", "--positions", "6").communicate(
        timeout=300
    )
    assert "llama-perplexity" not in said
    assert [p["exact"] for p in json.loads(out)["pairs"]] == [False, False]
    command = [sys.executable, "-m", "kvtui", "table", str(gemma), "-c", "512", "--json"]
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    rows = json.loads(subprocess.run(command, capture_output=True, text=True, env=env, check=True).stdout)["rows"]
    row = next(r for r in rows if (r["type_k"], r["type_v"]) == ("q4_0", "q4_0"))
    first = row["quality"]["figures"][0]
    assert (first["metric"], first["value"]) == ("mean KL divergence", four["mean_kl_divergence"])
