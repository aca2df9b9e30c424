"""Where the file system begins that /proc and /sys are read from."""

from pathlib import Path

ROOT = Path("/")
