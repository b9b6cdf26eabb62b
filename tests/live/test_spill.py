"""A queue that spills needs a disk, and the running program says so before it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live import programs

pytestmark = pytest.mark.live


def test_spilling_without_a_storage_path_does_not_start(tmp_path: Path) -> None:
    """It is said in one line."""
    file = tmp_path / "exchanges.yml"
    file.write_text(
        "streams: {queue_policy: spill}\nexchanges: [{venue: binance, symbols: [BTC-USDT]}]\n"
    )
    with programs.command(
        "run", f"--config.file={file}", "--web.listen-address=127.0.0.1:0"
    ) as run:
        run.wait_line("exchange-exporter: queue_policy: spill needs --storage.path")
        assert run.popen.wait(10) == 2
