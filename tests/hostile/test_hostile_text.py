"""What a model, a file's name or a log may hold, on its way to a terminal and through a shell."""

import os
import subprocess
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvtui.base.shell import shell_line, shell_word
from kvtui.base.text import columns, cut, printable

NAMES = (
    b"two\nlines.gguf",
    b"ends in a break\n",
    b"\x1b]52;c;cm0gLXJm\x07.gguf",
    b"\x1b]8;;http://127.0.0.1\x1b\\x.gguf",
    b"\x1bP1$r0q\x1b\\x.gguf",
    b"not utf-8 \xff\xfe7.gguf",
    "\u202egnp.gguf".encode(),
    "\x9b31m.gguf".encode(),
    "e\u0301 in two code points.gguf".encode(),
    b'it\'s $(id) `id` \\ "x" $HOME!.gguf',
    b"-rf",
    b"tab\there",
)


@pytest.mark.parametrize(
    "hostile",
    [
        "a" + "\u0301\u0323" * 30_000,  # canonical order is restored by the square of a run of marks
        "\x90" * 60_000,  # introducers of strings that never end
        "\x1b]" * 30_000,
        "\x1b[" * 30_000,
        "\x1b[" + "0" * 60_000,
        "\x9d" * 30_000 + "\x9c",
        "\x1b" * 60_000,
        "\ud800" * 60_000,
        "\u202e" * 60_000,
    ],
    ids=lambda text: ascii(text[:3]),
)
def test_long_hostile_names_are_cleaned(hostile: str) -> None:
    shown = printable(hostile)  # a quadratic cleaner takes minutes here: the suite would run into its limit
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in shown)
    assert printable(shown) == shown


@pytest.mark.parametrize(
    ("text", "width"),
    [("abc", 3), ("中文", 4), ("e\u0323\u0331", 1), ("한글", 4), ("🙂", 2), ("\u1160", 0), ("…", 1), ("☕", 2), ("ก\u0e33", 2)],
)
def test_columns_as_terminals_count_them(text: str, width: int) -> None:
    assert columns(text) == width


@given(st.text(max_size=60), st.integers(0, 20))
def test_what_is_cut_fits(raw: str, width: int) -> None:
    shown = printable(raw)
    assert columns(cut(shown, width)) <= width
    assert cut(shown, 1000) == shown


def words_of(line: str) -> list[bytes]:
    """What bash makes of a printed command: its arguments' very bytes."""
    done = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"})
    return done.stdout.split(b"\0")[:-1]


def test_a_printed_command_names_the_same_files(tmp_path: Path) -> None:
    line = shell_line(os.fsdecode(name) for name in NAMES)
    assert words_of(line) == list(NAMES)
    assert printable(line) == line  # the gate to the terminal has nothing left to do


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=12).map(lambda b: b.replace(b"\0", b"")), min_size=1, max_size=8))
def test_any_bytes_survive_a_shell(words: Sequence[bytes]) -> None:
    line = shell_line(map(os.fsdecode, words))
    assert printable(line) == line
    assert words_of(line) == list(words)


def test_plain_words_are_quoted_as_any_shell_reads_them() -> None:
    assert shell_word("blk\\.3\\.=CPU") == "'blk\\.3\\.=CPU'"
    assert shell_word("Qwen3-8B.gguf") == "Qwen3-8B.gguf"
