"""Apple's GPUs: one pool with RAM, told by sysctl."""

import subprocess
from pathlib import Path

from kvtui.base.text import printable
from kvtui.hardware.cards import metal_limit_bytes, published
from kvtui.hardware.device import Device
from kvtui.hardware.found import Found, Where

_SECONDS = 5.0  # sysctl answers at once


def find(where: Where, backend: str, first: int = 0) -> Found:
    """The one GPU of an Apple processor, as `backend`'s. A limit that was set (iogpu.wired_limit_mb) counts; as llama.cpp's
    Metal back end does, all of the limit is free before a model is loaded (ggml-metal-device.m, ggml_metal_device_get_memory)."""
    if where.sysctl is None:
        return Found()
    name, memory = _ask(where.sysctl, "machdep.cpu.brand_string"), _ask(where.sysctl, "hw.memsize")
    if name is None or not name.startswith("Apple") or memory is None or not memory.isdigit():
        return Found()
    total = int(memory)
    limit_mib = _ask(where.sysctl, "iogpu.wired_limit_mb") or "0"
    limit = int(limit_mib) * 2**20 if limit_mib.isdigit() else 0
    usable = min(limit or metal_limit_bytes(total), total)
    card = published(name, total)
    return Found(
        (
            Device(
                name=f"{backend}{first}",
                free_bytes=usable,
                total_bytes=usable,
                bandwidth=card.bandwidth if card else None,
                bandwidth_source="published" if card else None,
                shared=True,
                flops=card.flops if card else None,
                description=name,
            ),
        )
    )


def _ask(sysctl: Path, key: str) -> str | None:
    try:
        ran = subprocess.run([str(sysctl), "-n", key], capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return printable(ran.stdout.strip()) if ran.returncode == 0 else None
