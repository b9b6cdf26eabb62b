"""A flood that memory has no room for waits on disk, in the running program."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live import programs
from tests.live.conftest import config
from tests.live.worlds import NO_LIMITS, simulated, watched

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]
_FLOOD = 60_000


def _config(places: dict[str, str]) -> str:
    return config(places).replace("streams: {", "streams: {queue: 16, queue_policy: spill, ", 1)


def test_a_flood_goes_through_the_disk(tmp_path: Path) -> None:
    """Of a queue for 16 frames nothing is lost, and when it is over nothing is left on disk."""
    spilled = tmp_path / "state" / "spill"
    with (
        simulated(tmp_path, _config, "--venues=binance", NO_LIMITS) as simulator,
        watched(*simulator, f"--storage.path={tmp_path / 'state'}") as world,
    ):
        name = "exchange_stream_messages_total"
        before = world.scrape().total(name, channel="trades")
        burst = {"venue": "binance", "symbol": "BTC-USDT", "count": _FLOOD, "for": 2.0, "lead": 0.5}
        programs.post_json(f"{world.simulator_url}/control/burst", burst)
        programs.eventually(lambda: list(spilled.glob("*/*.seg")), "frames on disk", within=20)
        programs.eventually(
            lambda: world.scrape().total(name, channel="trades") >= before + _FLOOD,
            "every frame was read",
            within=60,
        )
        page = world.scrape()
        assert page.total("exchange_queue_dropped_total") == 0
        assert page.total("exchange_stream_sequence_gaps_total") == 0
        programs.eventually(lambda: not list(spilled.iterdir()), "the disk is cleared", within=10)


def test_spilling_without_a_storage_path_does_not_start(tmp_path: Path) -> None:
    """It is said in one line."""
    file = tmp_path / "exchanges.yml"
    file.write_text(
        "streams: {queue_policy: spill}\nexchanges: [{venue: binance, symbols: [BTC-USDT]}]\n"
    )
    with programs.command(
        "run", f"--config.file={file}", "--web.listen-address=127.0.0.1:0"
    ) as run:
        run.wait_line("exchange-exporter: queue_policy: spill needs --storage.path", within=30)
        assert run.popen.wait(10) == 2
