"""A few kills and corruptions: `make kills` and `make corruptions` go on for five hundred."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.endurance import corruptions, kills

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]


def test_an_exporter_that_spills_is_killed(tmp_path: Path) -> None:
    """It starts each time, and finds what was on the disk."""
    assert kills.exporter(2, 1, tmp_path)["most files"] > 2


def test_a_relay_starts_on_a_damaged_spool(tmp_path: Path) -> None:
    """In the file and in its log, and what is lost is named."""
    assert corruptions.relay(2, 1, tmp_path) == {"relay.db": 1, "relay.db-wal": 1}
