"""Columns of words and figures as plain text."""

from collections.abc import Collection, Sequence

Rows = list[tuple[str, ...]]


def grid(heads: Sequence[str], rows: Sequence[Sequence[str]], left: Collection[int] = ()) -> list[str]:
    """Lines as wide as their widest cell; `left`: columns of words, the others end at the right."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]

    def aligned(i: int, cell: str) -> str:
        return cell.ljust(widths[i]) if i in left else cell.rjust(widths[i])

    return ["  ".join(aligned(i, cell) for i, cell in enumerate(row)).rstrip() for row in (heads, *rows)]
