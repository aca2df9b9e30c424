"""The short form of a night with a server (night.py)."""

from pathlib import Path

import pytest
from night import SEED, SHORT, Night


@pytest.mark.usefixtures("computes")
def test_nothing_is_orphaned_lost_or_misreported(
    gemma: Path, server_path: Path, rpc_endpoints: tuple[str, ...], tmp_path: Path
) -> None:
    counted = Night(gemma, server_path, ",".join(rpc_endpoints), tmp_path, SHORT, SEED).run()
    assert (counted.kills, counted.relaunches) == (SHORT.kills, SHORT.relaunches)
    assert counted.answered + counted.told == SHORT.requests
    assert (counted.orphaned, counted.lost, counted.misreported) == ([], [], [])
