"""What `check` says that a config will ask is what the running program asks a simulated venue."""

from __future__ import annotations

import asyncio
import os

import pytest

from exporter import venues
from exporter.cli._requests import control_requests, requests_of
from tests.runtime.running import elsewhere, running

LASTING = 40.0  # seconds; the shortest audit takes ten
KEYS = (
    "endpoints: [{name: ping, interval: 500ms}, {name: time, interval: 2s}, "
    "{name: own, url: '%s', interval: 1s}], "
    "streams: [{name: market, channels: [trades, book], book_audit: 10s, cross_check: 5s}]"
)
CONTROLS = "control_targets: [{name: world, url: '%s', interval: 1s}]"


@pytest.mark.skipif("SCHEDULES" not in os.environ, reason="takes 40 s: make schedules")
def test_the_estimate_holds_in_a_run() -> None:
    """Probes, audits, control targets and snapshots come as often as said; cross-checks no more.

    Lists of markets are asked for by `check --online` alone.
    """

    async def main() -> tuple[dict[str, int], dict[str, int], list[str], dict[str, float]]:
        async with (
            elsewhere() as (url, others),
            running(
                ["binance"], exchange=KEYS % f"{url}/own", shared=CONTROLS % f"{url}/world"
            ) as program,
        ):
            config = program.app.config
            (exchange,) = config.exchanges
            kinds = [
                *requests_of(exchange, venues.load("binance"), config),
                *control_requests(config),
            ]
            said = {each.what: each.rate * (1.0 if each.occasion else LASTING) for each in kinds}
            desk = program.simulator.desks["binance"]
            await asyncio.sleep(2.0)
            first = dict(desk.requests)
            program.simulator.inject({"fault": "mute", "venue": "binance", "channel": "trades"})
            others.clear()
            await asyncio.sleep(LASTING)
            asked = {name: count - first.get(name, 0) for name, count in desk.requests.items()}
            return first, asked, [each.split()[1] for each in others], said

    first, asked, others, said = asyncio.run(main())
    depth = sum(count for name, count in asked.items() if "depth" in name)
    checks = sum(count for name, count in asked.items() if "/ticker/" in name or "trades" in name)
    probes = sum(asked.values()) - depth - checks
    assert probes == pytest.approx(said["probes"], rel=0.05)
    assert said["book audits of market"] / 2 <= depth <= said["book audits of market"] + 1
    assert checks <= said["cross-checks of market"] + 1
    assert checks > 0, asked
    assert (
        sum(count for name, count in first.items() if "depth" in name)
        == said["snapshots of order books"]
    )
    assert others.count("/world") == pytest.approx(said["control target world"], rel=0.05)
    assert others.count("/own") == pytest.approx(said["probes of own"], rel=0.05)
    assert said["lists of markets, for check --online"] == 1
    assert not [name for name in (*first, *asked) if "exchangeInfo" in name]
