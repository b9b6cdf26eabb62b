"""What a full queue does, as configured: told before the start, or seen in the metrics."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.live import programs
from tests.live.conftest import config
from tests.live.worlds import NO_LIMITS, simulated, watched

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
        assert run.popen.wait(60) == 2


def _coalescing(there: dict[str, str]) -> str:
    stream = "{name: market, channels: [quotes, trades], queue: 64, queue_policy: coalesce}"
    return config(there, exchange=f"  streams: [{stream}]")


def test_quotes_that_a_newer_one_replaces_are_left_out(tmp_path: Path) -> None:
    """A queue for 64 frames and a flood: older quotes go first, counted as coalesced, trades only
    where that is not enough; connection and prices stay."""
    flags = ("--venues=binance", NO_LIMITS, "--book-rate=100")
    with (
        simulated(tmp_path, _coalescing, *flags) as simulator,
        watched(*simulator) as world,
    ):
        burst = {"venue": "binance", "symbol": "BTC-USDT", "count": 5000, "for": 2.0}

        def dropped(policy: str) -> float:
            return sum(world.scrape().values("exchange_queue_dropped_total", policy=policy))

        def flooded() -> bool:
            # While the process stands still, the network's buffers fill: many reads then follow.
            os.kill(world.exporter.popen.pid, signal.SIGSTOP)
            programs.post_json(f"{world.simulator_url}/control/burst", burst)
            time.sleep(2.0)
            os.kill(world.exporter.popen.pid, signal.SIGCONT)
            return dropped("coalesced") > 10

        programs.eventually(flooded, "quotes were coalesced")
        page = world.scrape()
        assert dropped("newest") == 0
        assert page.values("exchange_stream_connected") == [1.0]
        assert all(price > 0.0 for price in page.values("exchange_mid_price"))
        assert page.values("exchange_mid_price")
        assert world.exporter.end() == 0
