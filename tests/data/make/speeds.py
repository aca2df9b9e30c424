"""Posted decode speeds as rows of tests/data/speeds.json: `python tests/data/make/speeds.py RECORDS.json ...`.

RECORDS hold measurements as people posted them: model, quant, hardware, cpu_ram_bandwidth, engine, flags, placement,
depth_or_prompt, tok_s, metric, source. What a record says in words stands here as numbers, a rule a group of records; a record
that no rule takes is listed with the reason. Records of one machine, placement, types and depth are one row, their median."""

import json
import re
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OUT = Path(__file__).parent.parent / "speeds.json"
MIB, GB = 2**20, 1e9
F16_BYTES = 2.0
# bits a weight, (experts, all else in blocks, output): llama.cpp's mixtures (llama-quant.cpp), and files' sizes where they differ
MIXES = {
    "Q4_K_M": ((2 * 4.5 + (4.5 + 6.5625) / 2) / 3, 4.95, 6.5625),
    "Q6_K": (6.5625, 6.5625, 6.5625),
    "Q8_0": (8.5, 8.5, 8.5),
    "UD-Q4_K_M": (4.84, 8.5, 8.5),  # a file of 21 to 22.1 GB: 35 G weights at 4.84 leave 8.5 for what is no expert
    "IQ4_XS-IQ3_S": (3.85, 4.5, 6.5625),
    "MXFP4": (4.25, 8.5, 8.5),
    "MXFP4-": (4.25, 8.5, 8.5),
    "Q4_K_M dense": (0.0, 4.95, 6.5625),
}


@dataclass(frozen=True)
class Shape:
    """Weights by part, in millions: one block's experts, all else in blocks, the output. `values`: K and V a token.
    `operations`: of a block's graph (kvtui/memory/compute/operations.py)."""

    blocks: int
    mixtures: int  # blocks with experts
    experts: int
    used: int
    expert_m: float
    rest_m: float
    output_m: float
    values: int
    operations: int


# from headers, or from the makers' published configurations
SHAPES = {
    "qwen35-122b": Shape(48, 48, 256, 8, 2415.9, 4622, 763, 12288, 59),
    "qwen35-35b": Shape(40, 40, 256, 8, 805.3, 1431, 509, 10240, 59),
    "qwen3-30b": Shape(48, 48, 128, 8, 604.0, 919, 311, 49152, 40),
    "qwen3-235b": Shape(94, 94, 128, 8, 2415.9, 6693, 622, 94 * 2 * 512, 40),
    "qwen3-next": Shape(48, 48, 512, 10, 1610.6, 1650, 311, 12 * 2 * 512, 60),
    "deepseek-v2-lite": Shape(27, 26, 64, 6, 553.6, 900, 210, 27 * 576, 44),
    "gpt-oss-20b": Shape(24, 24, 32, 4, 796.5, 640, 579, 24576, 36),
    "nemotron-30b": Shape(52, 23, 128, 6, 1277.2, 1850, 352, 6 * 2 * 256, 26),
    "qwen2.5-14b": Shape(48, 0, 0, 0, 0, 13212, 779, 48 * 2 * 1024, 24),
    "qwen2.5-7b": Shape(28, 0, 0, 0, 0, 6526, 545, 28 * 2 * 512, 24),
    "mistral-24b": Shape(40, 0, 0, 0, 0, 22230, 671, 40 * 2 * 1024, 21),
    "gemma2-9b": Shape(42, 0, 0, 0, 0, 8323, 918, 42 * 2 * 2048, 30),
    "granite-8b": Shape(40, 0, 0, 0, 0, 7971, 201, 40 * 2 * 1024, 25),
    "qwen3-1.7b": Shape(28, 0, 0, 0, 0, 1409, 311, 28 * 2 * 1024, 25),
}
# dense models whose buffers are said: (blocks, values a token, operations a block); all that a device holds is read
DENSE = {
    "Qwen2.5-Coder-14B": (48, 48 * 2 * 1024, 24),
    "Qwen2.5-Coder-32B": (64, 64 * 2 * 1024, 24),
    "Qwen2.5-Coder-7B": (28, 28 * 2 * 512, 24),
    "Qwen2.5-Coder-1.5B": (28, 28 * 2 * 256, 24),
    "Qwen2.5-Coder-3B": (36, 36 * 2 * 256, 24),
    "Qwen3-4B": (36, 36 * 2 * 1024, 25),
}
Record = dict[str, Any]


def parted(shape: Shape, mix: str, experts_in_ram: int, blocks_in_ram: int = 0, output_in_ram: bool = False) -> Record:
    """Bytes read a token, on devices and in RAM, with the experts of so many blocks, or whole blocks, in RAM."""
    expert_bits, rest_bits, output_bits = MIXES[mix]
    active = shape.expert_m * 1e6 * expert_bits / 8 * (shape.used / shape.experts if shape.experts else 0)
    rest, output = shape.rest_m * 1e6 * rest_bits / 8, shape.output_m * 1e6 * output_bits / 8
    ram = active * experts_in_ram + rest / shape.blocks * blocks_in_ram + output * output_in_ram
    device = active * shape.mixtures + rest + output - ram
    handoffs = 2 * experts_in_ram + (1 if blocks_in_ram else 0)
    if blocks_in_ram and not output_in_ram:
        handoffs += 1
    return {
        "blocks": shape.blocks,
        "operations": shape.blocks * shape.operations,
        "device_bytes": round(device),
        "ram_bytes": round(ram),
        "handoffs": handoffs,
    }


def cached(values: int, types: str, depth: int, context: int) -> Record:
    """K/V of `depth` tokens, in bytes as if they were f16."""
    return {"cache_type": types, "cache_as_f16_bytes": round(values * F16_BYTES * depth), "context": context}


def flag(text: str, *names: str, default: str = "") -> str:
    """A flag's value."""
    found = re.search(rf"(?:{'|'.join(names)})[ =]+(\S+)", text or "")
    return found[1] if found else default


def prompt_of(record: Record) -> int:
    """Tokens in the cache while it was measured: the prompt or depth, and half of what was generated."""
    text = record["depth_or_prompt"] or ""
    found = re.search(r"(?:prompt|depth) ~?(\d+)", text)
    generated = re.search(r"(\d+) generated", text)
    if "575-870" in text:
        return 720 + 128
    return (int(found[1]) if found else 256) + int(generated[1]) // 2 if generated else int(found[1]) if found else 256


def p100s(r: Record) -> Record | str:
    flags = r["flags"]
    if "--split-mode row" in flags:
        return "tensors split by rows across cards, which is not estimated"
    if "--numa distribute" in flags or "--threads 80" in flags:
        return "threads on both sockets: RAM of both, of which only one's bandwidth is said"
    blocks = int(re.search(r"experts of (\d+) of 48", r["placement"])[1])  # type: ignore[index]
    kv = flag(flags, "--cache-type-k", default="f16")
    context = int(flag(flags, "--ctx-size", default="32768"))
    row = parted(SHAPES["qwen35-122b"], "Q4_K_M", blocks)
    row["handoffs"] += 3
    return {
        **row,
        **cached(12288, kv, prompt_of(r), context),
        "machine": "4 x P100, Xeon Gold 6138",
        "card": "P100",
        "ram_gb_s": 128.0,  # six channels of DDR4-2666, one socket
    }


def two_3060s(r: Record) -> Record | str:
    flags = json.loads(r["flags"])
    if flags["sm"] == "tensor":
        return "-sm tensor, which is not estimated"
    base = {"machine": "2 x RTX 3060, i5-9600K", "card": "RTX 3060", "ram_gb_s": 57.6}  # two channels of DDR4-3600
    buffers = sum(int(x) for x in re.findall(r"CUDA\d:(\d+)", r["placement"])) * MIB
    changes = len(re.findall(r"CUDA\d:", r["placement"])) - 1
    kv, context = flags["ctk"], flags["ctx_per_slot"]
    dense = next((v for k, v in DENSE.items() if r["model"].startswith(k)), None)
    if dense:
        row = {
            "blocks": dense[0],
            "operations": dense[0] * dense[2],
            "device_bytes": buffers,
            "ram_bytes": 0,
            "handoffs": changes,
        }
        return {**base, **row, **cached(dense[1], kv, prompt_of(r), context)}
    offloaded = re.search(r"--n-cpu-moe (\d+)", flags["extra"])
    in_ram = int(offloaded[1]) if offloaded else 0
    # buffers of the same file with nothing in RAM, and what a block's experts take of them: differences of its rows
    if "Qwen3-Coder-30B" in r["model"]:
        shape, whole, block = SHAPES["qwen3-30b"], 17525 * MIB, 17525 * MIB - 829e6
        block /= 48
    elif "UD-IQ3_XXS" in r["quant"]:
        shape, whole, block = SHAPES["qwen35-35b"], 12191 * MIB, (12191 - 9571) / 10 * MIB
    elif "KAT" in r["model"]:
        shape, whole, block = SHAPES["qwen35-35b"], buffers, (buffers - 1366e6) / 40
    elif "Nemotron" in r["model"]:
        shape, whole, block = SHAPES["nemotron-30b"], buffers, 1277.2e6 * 4.5 / 8
    else:
        return "no shape is known"
    share = shape.used / shape.experts
    row = {
        "blocks": shape.blocks,
        "operations": shape.blocks * shape.operations,
        "device_bytes": round(whole - block * shape.mixtures + block * (shape.mixtures - in_ram) * share),
        "ram_bytes": round(block * in_ram * share),
        "handoffs": changes + 2 * in_ram,
    }
    return {**base, **row, **cached(shape.values, kv, prompt_of(r), context)}


def ornith(r: Record) -> Record | str:
    blocks = min(int(flag(r["flags"], "-ncmoe")), 40)  # the 41st is the MTP block, not loaded
    mix = "IQ4_XS-IQ3_S" if r["quant"].startswith("IQ4_XS") else r["quant"]
    return {
        **parted(SHAPES["qwen35-35b"], mix, blocks),
        **cached(10240, "q8_0", prompt_of(r), 131072),
        "machine": "RTX 3060, Ryzen 9 9900X",
        "card": "RTX 3060",
        "ram_gb_s": 96.0,
    }


def turing(r: Record) -> Record | str:
    base = {"machine": "RTX 2080, i9-10900X", "card": "RTX 2080", "ram_gb_s": 102.0}
    known = {  # experts in RAM, blocks in RAM, output in RAM
        "DeepSeek-Coder-V2-Lite": ("deepseek-v2-lite", 15, 0, False),  # the first of 16 blocks is dense
        "Mistral-Small-24B": ("mistral-24b", 0, 24, True),
        "gemma-2-9B": ("gemma2-9b", 0, 6, True),
        "Qwen2.5-14B": ("qwen2.5-14b", 0, 6, True),
        "Qwen2.5-7B": ("qwen2.5-7b", 0, 0, False),
        "Granite-3.1-8B": ("granite-8b", 0, 0, False),
    }
    name, experts, blocks, output = known[r["model"]]
    shape = SHAPES[name]
    return {
        **base,
        **parted(shape, "Q4_K_M" if shape.experts else "Q4_K_M dense", experts, blocks, output),
        **cached(shape.values, "f16", 256, 4096),
    }


def large_qwen(r: Record) -> Record | str:
    shape = SHAPES["qwen3-235b"]
    six_bits = r["quant"] == "Q6_K"
    return {
        **parted(shape, r["quant"], 89 if six_bits else 80),
        **cached(shape.values, "q8_0", 64, 16384 if six_bits else 32768),
        "machine": "RTX 3090, EPYC with twelve channels" if six_bits else "RTX A6000, eight channels",
        "card": "RTX 3090" if six_bits else "RTX A6000",
        "ram_gb_s": 576.0 if six_bits else 307.2,  # DDR5-6000 x 12, DDR5-4800 x 8
    }


def glm(r: Record) -> Record | str:
    row = {"blocks": 61, "operations": 61 * 26, "device_bytes": 16303.48 * MIB, "ram_bytes": 0, "handoffs": 0}
    return {
        **row,
        **cached(61 * 2 * 256, "f16", 64, 32768),
        "machine": "RTX 3090 Ti",
        "card": "RTX 3090 Ti",
        "ram_gb_s": None,
    }


def mini_pc(r: Record) -> Record | str:
    return {
        **parted(SHAPES["qwen35-35b"], "UD-Q4_K_M", 30),
        **cached(10240, "f16", 100, 8192),
        "machine": "RTX 3060 Ti, Ryzen 7 8845HS",
        "card": "RTX 3060 Ti",
        "ram_gb_s": 89.0,
    }


def vulkan(r: Record) -> Record | str:
    return {
        **parted(SHAPES["qwen35-35b"], "UD-Q4_K_M", 22),
        **cached(10240, "q8_0", prompt_of(r), 131072),
        "machine": "RX 9070 XT (Vulkan), Ryzen 5 7500F",
        "card": "RX 9070 XT",
        "backend": "Vulkan",
        "ram_gb_s": 89.6,
    }


def blackwell(r: Record) -> Record | str:
    return {
        **parted(SHAPES["qwen3-next"], "MXFP4", 24),
        **cached(12288, "f16", 256, 8192),
        "machine": "RTX 5090, Ryzen 9 9950X3D",
        "card": "RTX 5090",
        "ram_gb_s": 96.0,
    }


def radeon(r: Record) -> Record | str:
    return {
        **parted(SHAPES["gpt-oss-20b"], "MXFP4", 0),
        **cached(24576, "f16", 256, 8192),
        "machine": "RX 7900 XT",
        "card": "RX 7900 XT",
        "backend": "ROCm",
        "ram_gb_s": None,
    }


def laptop(r: Record) -> Record | str:
    return {
        **parted(SHAPES["qwen3-1.7b"], "Q4_K_M dense", 0),
        **cached(SHAPES["qwen3-1.7b"].values, "f16", 256, 4096),
        "machine": "RTX 4080 Laptop",
        "card": "RTX 4080 Laptop",
        "ram_gb_s": None,
    }


def left_out(why: str) -> Any:
    return lambda r: why


# what the hardware and the model begin with, first that matches
RULES: tuple[tuple[str, str, Any], ...] = (
    (r"4x Tesla P100", r"", p100s),
    (r"[12]x RTX 3060 12GB \(free", r"", two_3060s),
    (r"1x RTX 3060 12GB \(11887", r"Ornith", ornith),
    (r"1x RTX 3060 12GB \(11887", r"Laguna", left_out("the model's heads differ by block and no header was at hand")),
    (r"RTX 2080 8GB", r"", turing),
    (r"NVIDIA GeForce RTX 3090$|NVIDIA RTX A6000$", r"Qwen3.235B", large_qwen),
    (r"NVIDIA GeForce RTX 3090 Ti$", r"GLM Z1 32B", glm),
    (r"RTX 3060 Ti 8GB", r"", mini_pc),
    (r"RX 9070 XT", r"", vulkan),
    (r"RTX 5090 32GB", r"Qwen3-Coder-Next", blackwell),
    (r"RTX 5090 32GB", r"Qwen3.6", left_out("the file's quantization is not said")),
    (r"RX 7900 XT", r"gpt-oss-20b", radeon),
    (r"RTX 4080 Laptop", r"Qwen3-1.7B", laptop),
    (r"4x RTX 3090 \(1 Ti", r"", left_out("one- and two-bit experts in RAM, bound by the CPU's arithmetic as the author says")),
    (r"RTX 3090$", r"Qwen3.6-27B-MTP", left_out("faster than the card can read the file once: drafted, how well is not said")),
    (r"RTX 3090 Ti \+ RTX 3060", r"", left_out("the placement is not said")),
)  # fmt: skip


def judged(record: Record) -> Record | str:
    """A row, or why there is none."""
    if not re.match(r"(mainline )?llama\.cpp( |$)", record["engine"]) or "fork" in record["engine"]:
        return "another engine than llama.cpp"
    if "1 stream" not in record["metric"]:
        return "not one stream's decode speed"
    if "draft" in (record["flags"] or "") or "moe-cache" in (record["flags"] or ""):
        return "drafted tokens or a cache of experts"
    for hardware, model, rule in RULES:
        if re.match(hardware, record["hardware"]) and re.search(model, record["model"]):
            return rule(record)  # type: ignore[no-any-return]
    return "the bandwidth of the RAM in use is not said" if not record["cpu_ram_bandwidth"] else "not understood"


def main() -> None:
    """Writes speeds.json and prints how many records went where."""
    groups: dict[str, list[Record]] = {}
    rows: dict[str, Record] = {}
    out: dict[str, list[str]] = {}
    for path in sys.argv[1:]:
        for record in json.loads(Path(path).read_text(encoding="utf-8")):
            row = judged(record)
            name = f"{record['model']} {record['quant'] or ''}".strip()
            if isinstance(row, str):
                out.setdefault(row, []).append(f"{name}, {record['hardware']}: {record['tok_s']}")
                continue
            row = {"backend": "CUDA", "model": name, **row}
            close = {**row, "cache_as_f16_bytes": round(row["cache_as_f16_bytes"] / 2e7), "context": 0}
            key = json.dumps(close, sort_keys=True)
            rows.setdefault(key, row)
            groups.setdefault(key, []).append(record)
    made = []
    for key, row in rows.items():
        speeds = [g["tok_s"] for g in groups[key]]
        sources = sorted({g["source"] for g in groups[key]})
        row["device_bytes"] = round(row["device_bytes"])
        made.append({**row, "tok_s": round(statistics.median(speeds), 3), "records": len(speeds), "source": sources[0]})
    value = {"rows": made, "left_out": out}
    OUT.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(made)} rows of {sum(r['records'] for r in made)} records")
    for why, names in out.items():
        print(f"{len(names):4d} left out: {why}")


if __name__ == "__main__":
    main()
