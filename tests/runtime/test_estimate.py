"""What `check` says that a config will ask is what the running program asks a simulated venue."""

from __future__ import annotations

import asyncio
import os

import pytest

from exporter import venues
from exporter.cli._requests import requests_of
from tests.runtime.running import running

LASTING = 40.0  # seconds; the shortest audit takes ten
KEYS = (
    "endpoints: [{name: ping, interval: 500ms}, {name: time, interval: 2s}], "
    "streams: [{name: market, channels: [trades, book], book_audit: 10s, cross_check: 5s}]"
)


@pytest.mark.skipif("SCHEDULES" not in os.environ, reason="takes 40 s: make schedules")
def test_the_estimate_holds_in_a_run() -> None:
    """Probes come as often as said, audits too; cross-checks no more often than said."""

    async def main() -> tuple[dict[str, int], dict[str, float]]:
        async with running(["binance"], exchange=KEYS) as program:
            config = program.app.config
            (exchange,) = config.exchanges
            said = {
                each.what: each.rate * LASTING
                for each in requests_of(exchange, venues.load("binance"), config)
            }
            program.simulator.inject({"fault": "mute", "venue": "binance", "channel": "trades"})
            desk = program.simulator.desks["binance"]
            await asyncio.sleep(2.0)
            before = dict(desk.requests)
            await asyncio.sleep(LASTING)
            asked = {name: count - before.get(name, 0) for name, count in desk.requests.items()}
            return asked, said

    asked, said = asyncio.run(main())
    depth = sum(count for name, count in asked.items() if "depth" in name)
    checks = sum(count for name, count in asked.items() if "/ticker/" in name or "trades" in name)
    probes = sum(asked.values()) - depth - checks
    assert probes == pytest.approx(said["probes"], rel=0.05)
    assert said["book audits of market"] / 2 <= depth <= said["book audits of market"] + 1
    assert checks <= said["cross-checks of market"] + 1
    assert checks > 0, asked
