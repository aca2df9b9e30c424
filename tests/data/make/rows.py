"""Ask a llama-server again for the rows of a file, and say which differ; or write its answers.

python tests/data/make/rows.py SERVER tests/data/dry-runs.jsonl [--model NAME] [--write]

FILE is dry-runs.jsonl, placements.jsonl, refusals.jsonl or rpc-loads.jsonl (a ggml-rpc-server beside SERVER plays the devices;
the last are loads, whose weights it holds), or pooled-loads.jsonl and
cuda-loads*.jsonl (SERVER has the CUDA back end, and the cards of the rows). A new
row is a line with `model` and `flags` alone (and `devices_mib` for cuda-loads): with --write it gets its answer."""

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from asking import DRY_RUN, LOAD, Said, log_of, read, rpc_devices, sparse

Row = dict[str, Any]
MTP = "draft-mtp"
EXPERT_CACHE = "--moe-cache-mib"


def _head(row: Row) -> Row:
    return {"model": row["model"], "flags": row["flags"]}


def dry_run_row(row: Row, said: Said) -> Row:
    """As dry-runs.jsonl has it."""
    if not said.devices and not said.host:
        return {**_head(row), "refused": _reason(said)}
    return {
        **_head(row),
        "devices": said.devices,
        "host_parts": said.host,
        "kv": said.caches[0],
        "rs": said.states[0],
        "layer_devices": _layers(said),
        "swa_layers": sorted(said.swa),
        "splits": said.splits,
    }


def placement_row(row: Row, said: Said) -> Row:
    """As placements.jsonl has it: weights alone."""
    devices = [[d["name"], d["model"]] for d in said.devices]
    host = sum(part["model"] for part in said.host.values())
    return {**_head(row), "devices": devices, "host": host, "layer_devices": _layers(said)}


def refusal_row(row: Row, said: Said) -> Row:
    """As refusals.jsonl has it: the server's words, or nothing."""
    return _head(row) if said.devices or said.host else {**_head(row), "refused": _reason(said)}


def cuda_row(row: Row, said: Said) -> Row:
    """As cuda-loads.jsonl has it; `build` where it is not b11434, `expert_cache` where one was asked for, `weights` where
    the row has them."""
    head = {k: row[k] for k in ("build", "model", "devices_mib", "flags") if k in row}
    if not said.compute:
        return {**head, "refused": _reason(said)}
    devices = [said.compute.get(f"CUDA{i}", 0) for i in range(len(row["devices_mib"]))]
    host = round(sum(mib for buffer, mib in said.compute.items() if not buffer.startswith("CUDA") or buffer.endswith("_Host")), 2)
    answer = {**head, "compute": devices, "host": host}
    if "weights" in row:
        answer["weights"] = [said.weights.get(f"CUDA{i}", 0) for i in range(len(row["devices_mib"]))]
    if EXPERT_CACHE in row["flags"]:
        answer["expert_cache"] = [said.expert_cache.get(f"CUDA{i}", 0) for i in range(len(row["devices_mib"]))]
    return answer


def rpc_row(row: Row, said: Said) -> Row:
    """As rpc-loads.jsonl has it: the devices in the order of their servers."""
    if not said.compute:
        return {**_head(row), "refused": _reason(said)}
    own = {name: mib for name, mib in said.compute.items() if name.startswith("RPC")}
    host = round(sum(mib for name, mib in said.compute.items() if name not in own), 2)
    return {**_head(row), "compute": list(own.values()), "host": host}


KINDS: dict[str, Callable[[Row, Said], Row]] = {
    "dry-runs": dry_run_row,
    "placements": placement_row,
    "refusals": refusal_row,
    "cuda-loads": cuda_row,
    "rpc-loads": rpc_row,
    "pooled-loads": cuda_row,
}
LOADED = ("cuda-loads", "rpc-loads", "pooled-loads")


def _layers(said: Said) -> list[str]:
    return [said.layers[i] for i in sorted(said.layers)]


def _reason(said: Said) -> str:
    return said.errors[0] if said.errors else "it ended without a word"


def buffers_named(flags: Sequence[str], there: Sequence[str]) -> list[str]:
    """-ot with the buffer types of RPC devices, which -ot knows by endpoint and by the number on that server (ggml-rpc.cpp,
    ggml_backend_rpc_buffer_type); the rows say =RPC2 for the third device."""
    endpoints = there[-1].split(",") if there else []
    return [re.sub(r"=RPC(\d+)", lambda found: f"=RPC0[{endpoints[int(found[1])]}]", word) for word in flags]


def ask(server: Path, row: Row, kind: str, folder: Path) -> Row:
    """The row as this server answers it."""
    first, *rest = row["flags"]
    cards = "devices_mib" in row
    flags: Sequence[str] = row["flags"] if cards else rest
    model = sparse(row["model"], folder)
    with rpc_devices(server, 0 if cards else int(first.removeprefix("RPCx"))) as there:
        flags = buffers_named(flags, there)
        loads = kind in LOADED
        with log_of(server, model, [*there, *flags], *(LOAD if loads else DRY_RUN)) as lines:
            answer = KINDS[kind](row, read(lines, contexts=1 if loads else 0))
        if kind == "dry-runs" and MTP in flags and "refused" not in answer:  # its context is in no dry run
            with log_of(server, model, [*there, *flags], *LOAD) as lines:
                drafts = read(lines, contexts=2).caches[1:]
            kept = [{k: kv[k] for k in ("mib", "cells", "layers")} for kv in (drafts[0] if drafts else [])]
            answer |= {"draft_kv": kept} if kept else {}
    return answer


_BEFORE_WORDS = re.compile(r"^(?:[\d.]+ )?(?:E )?(?:\w+: )?")  # the log's clock, and the function that speaks


def words_alone(row: Row) -> Row:
    """The row with the server's words as they are compared."""
    return {**row, "refused": _BEFORE_WORDS.sub("", row["refused"])} if "refused" in row else row


def main() -> int:
    """As the module's text says. 1 where a row differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--model", help="only rows of this one")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    kind = next(kind for kind in KINDS if given.file.stem.startswith(kind))
    rows = [json.loads(line) for line in given.file.read_text().splitlines()]
    different = asked = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, row in enumerate(rows):
            if given.model in (None, row["model"]):
                asked += 1
                answer = ask(given.server.resolve(), row, kind, Path(folder))
                if words_alone(answer) != words_alone(row):
                    different += 1
                    print(json.dumps(answer))
                    rows[number] = answer
    print(f"{asked} asked, {different} differ", file=sys.stderr)
    if given.write and different:
        given.file.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows))
    return 0 if given.write else min(different, 1)


if __name__ == "__main__":
    sys.exit(main())
