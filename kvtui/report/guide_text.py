"""The guide for people and programs."""

from dataclasses import asdict
from typing import Any

from kvtui.base.sizes import GIB, gib
from kvtui.report.columns import NONE
from kvtui.report.grid import Rows, grid
from kvtui.report.guide import FULL_WINDOW_GAIN, Cost, FullWindow, Guide, KimiLine, Need, TypeLine


def guide_lines(guide: Guide, formula: str, width: int | None = None) -> list[str]:
    """All pages, one below the other, tables in `width` columns. `formula`: where the guide's figures for Kimi come from."""
    pages = [
        ("K/V cache types: the guide's words, and exact figures", type_page(guide.types, width)),
        ("The guide's trade-offs, and their cost here", cost_page(guide.costs, width)),
        ("132k tokens of Kimi, both ways", kimi_page(guide.kimi, formula, width)),
        ("What -sm tensor needs", need_page(guide.tensor_split)),
        ("--swa-full", window_page(guide.full_window)),
    ]
    lines: list[str] = []
    for title, page in pages:
        if page:
            lines += [*([""] if lines else []), title, "", *page]
    return lines


def type_page(types: tuple[TypeLine, ...], width: int | None) -> list[str]:
    """A line a type."""
    heads = ("type", "guide", "bits", "bits a value", "bytes of 32", "of f16", "guide's memory", "best for")
    rows: Rows = [
        (t.name, t.label, str(t.nominal_bits), f"{t.bits:g}", str(t.block_bytes), f"{t.of_f16:.1%}", t.nominal_memory, t.best_for)
        for t in types
    ]
    return grid(heads, rows, left=(0, 1, 7), width=width)


def cost_page(found: tuple[Cost, ...], width: int | None) -> list[str]:
    """A line a choice, and what speaks against it below."""
    lines: Rows = []
    against = []
    for c in found:
        row = c.row
        speed = f"{row.tokens_per_second:.1f}" if row.tokens_per_second else NONE
        state = row.runs if row.accepted else "refused"
        lines.append(
            (c.choice.key, c.choice.title, f"{row.type_k}/{row.type_v}", f"{c.choice.nominal_saved:.1%}",
             f"{row.saved_fraction:.1%}", gib(row.cache_bytes, 2), speed, state, row.quality.label)
        )  # fmt: skip
        against += [f"{c.choice.key}: {sentence}" for sentence in c.against]
    heads = ("", "trade-off", "K/V", "guide saves", "saved", "cache", "tok/s", "runs", "quality")
    return [*grid(heads, lines, left=(0, 1, 2, 7, 8), width=width), *against] if found else []


def kimi_page(found: tuple[KimiLine, ...], formula: str, width: int | None) -> list[str]:
    """The guide's table beside what llama-server takes."""
    rows: Rows = [
        (f"{x.type_k}/{x.type_v}", f"{x.guide_gb:.1f} GB", f"{x.guide_total_gb:.1f} GB", f"{x.hidden_bytes / GIB:.1f} GiB",
         "refused" if x.true_bytes is None else gib(x.true_bytes, 2))
        for x in found
    ]  # fmt: skip
    heads = ("K/V", "guide's cache", "guide's total", "by hidden size", "in truth")
    refused = dict.fromkeys(f"refused: {x.refused}" for x in found if x.refused)
    return [*grid(heads, rows, left=(0,), width=width), f"by hidden size: {formula}", *refused]


def need_page(found: tuple[Need, ...]) -> list[str]:
    """A line a need."""
    return [f"{'yes' if n.met else 'no ':3}  {n.what}" for n in found]


def window_page(found: FullWindow | None) -> list[str]:
    """Cost and gain."""
    if found is None:
        return []
    return [
        f"costs {gib(found.cost_bytes, 2)}: {gib(found.window_bytes, 2)} with windows of {found.n_swa:,} tokens, "
        f"{gib(found.full_bytes, 2)} with the whole context in every block",
        f"gains: {FULL_WINDOW_GAIN}",
    ]


def guide_json(guide: Guide) -> dict[str, Any]:
    """The same for programs; bytes."""
    return {
        "schema": 1,
        "types": [asdict(t) for t in guide.types],
        "choices": [
            {
                **asdict(c.choice),
                "cache_bytes": c.row.cache_bytes,
                "saved_fraction": c.row.saved_fraction,
                "tokens_per_second": c.row.tokens_per_second,
                "accepted": c.row.accepted,
                "runs": c.row.runs,
                "quality": c.row.quality.label,
                "against": list(c.against),
            }
            for c in guide.costs
        ],
        "kimi": [asdict(k) for k in guide.kimi],
        "tensor_split": [asdict(n) for n in guide.tensor_split],
        "full_window": None
        if guide.full_window is None
        else {**asdict(guide.full_window), "cost_bytes": guide.full_window.cost_bytes, "gain": FULL_WINDOW_GAIN},
    }
