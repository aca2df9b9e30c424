"""Trees of files as the kernel has them under /proc and /sys."""

from collections.abc import Mapping
from pathlib import Path


def tree(root: Path, files: Mapping[str, str | Path]) -> Path:
    """`files`, written under `root`; a path is what a link leads to."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(text, Path):
            (root / name).unlink(missing_ok=True)
            (root / name).symlink_to(text)
        else:
            (root / name).write_text(text)
    return root
