"""What a shell sees of a program's end, held against what a shell says."""

import subprocess
import sys

import pytest

from kvtui.base.exit_codes import INTERRUPTED, NOBODY_READS, as_shells_say, by_signal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no POSIX signals")


@pytest.mark.parametrize("script", ["exit 0", "exit 7", "kill -TERM $$", "kill -INT $$", "kill -PIPE $$", "kill -KILL $$"])
def test_a_childs_end_is_told_as_a_shell_tells_it(script: str) -> None:
    ended = subprocess.run(["sh", "-c", script], check=False).returncode
    told = subprocess.run(["sh", "-c", f"sh -c '{script}'; echo $?"], capture_output=True, text=True, check=True).stdout
    assert as_shells_say(ended) == int(told)


def test_our_own_ends_are_told_alike() -> None:
    assert (INTERRUPTED, NOBODY_READS, by_signal(15)) == (130, 141, 143)
