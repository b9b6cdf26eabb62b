"""What `check` says that a config needs, held against pages of the program itself."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks import tick
from exporter import config as settings
from exporter import venues
from exporter.cli import _estimate as estimate
from exporter.cli._costs import cost_of
from exporter.metrics.exposition import Exposition

SYMBOLS = ", ".join(f"C{number}-USDT" for number in range(25))
# None of these was among the pages that the coefficients were fitted to.
CONFIGS = {
    "seven": (7, "{venue: bybit, symbols: [A-USDT, B-USDT], streams: [{channels: [trades]}]}"),
    "wide": (
        2,
        f"{{venue: kucoin, symbols: [{SYMBOLS}], streams: [{{channels: [trades, quotes]}}]}}",
    ),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_series_and_page_are_as_foretold(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a quarter, for configs to which nothing was fitted."""
    count, exchange = CONFIGS[name]
    text = f"exchanges: [{exchange}]"
    monkeypatch.setattr(tick, "EXCHANGES", count)
    monkeypatch.setattr(tick, "CONFIG", text)

    async def page() -> bytes:
        world = tick.World()
        await world.begin()
        world.happen(0.0)
        await world.tick()
        pieces = await Exposition(world.registry).render(openmetrics=False)
        await world.anomalies.stop()
        await world.force.close()
        return b"".join(pieces)

    seen = asyncio.run(page())
    lines = [line for line in seen.splitlines() if not line.startswith(b"#")]
    config = settings.read(text, "test", venues.names(), venues.load)
    (one,) = config.exchanges
    load = estimate.load_of(one, venues.load(one.venue), config)
    series = count * estimate.series_of(load, one, config)
    series += estimate.series_shared(load.symbols, config)
    cost = cost_of(exchanges=count, probes=1.0, messages=1.0, series=series, series_limit=100_000)
    assert series == pytest.approx(len(lines), rel=0.25)
    assert cost.page == pytest.approx(len(seen) / 1e6, rel=0.25)


def test_shards_are_as_many_as_the_load_asks_for() -> None:
    """Half a core and the limit of series for each; never more shards than exchanges."""

    def shards(messages: float, series: float, exchanges: int = 20) -> int:
        return cost_of(
            exchanges=exchanges,
            probes=10.0,
            messages=messages,
            series=series,
            series_limit=20_000,
        ).shards

    assert shards(1_000.0, 5_000.0) == 1
    assert shards(1_000.0, 50_000.0) == 3
    assert shards(200_000.0, 5_000.0) == 4
    assert shards(200_000.0, 5_000.0, exchanges=2) == 2
