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
    cost = cost_of(
        exchanges=count, probes=1.0, messages=1.0, books=0, series=series, series_limit=100_000
    )
    assert series == pytest.approx(len(lines), rel=0.25)
    assert cost.page == pytest.approx(len(seen) / 1e6, rel=0.25)


def test_shards_are_as_many_as_the_load_asks_for() -> None:
    """Half a core and the limit of series for each; never more shards than exchanges."""

    def shards(messages: float, series: float, exchanges: int = 20) -> int:
        return cost_of(
            exchanges=exchanges,
            probes=10.0,
            messages=messages,
            books=0,
            series=series,
            series_limit=20_000,
        ).shards

    assert shards(1_000.0, 5_000.0) == 1
    assert shards(1_000.0, 50_000.0) == 3
    assert shards(200_000.0, 5_000.0) == 3
    assert shards(200_000.0, 5_000.0, exchanges=2) == 2


# What scripts/benchmarks/growth.py and a run of 25 exchanges with everything on gave:
# exchanges, probes and messages a second, books, series; cores, MB.
MEASURED = [
    (4, 11, 604, 40, 4266, 0.096, 78),
    (2, 50, 402, 0, 13749, 0.091, 84),
    (8, 9, 2638, 240, 9171, 0.213, 95),
    (3, 30, 15, 0, 12081, 0.055, 83),
    (6, 4, 360, 0, 3724, 0.056, 78),
    (5, 21, 1201, 100, 9338, 0.123, 86),
    (25, 4, 1500, 500, 30551, 0.189, 131),
    (1, 2, 2, 0, 654, 0.014, 73),
    (1, 201, 2, 0, 25604, 0.135, 91),
]


@pytest.mark.parametrize("measured", MEASURED)
def test_cores_and_memory_are_as_measured(measured: tuple[float, ...]) -> None:
    """CPU within 30 %, memory within a sixth, from one exchange to 25."""
    exchanges, probes, messages, books, series, cores, memory = measured
    cost = cost_of(
        exchanges=int(exchanges),
        probes=probes,
        messages=messages,
        books=books,
        series=series,
        series_limit=100_000,
    )
    assert cost.cores == pytest.approx(cores, rel=0.30)
    assert cost.memory == pytest.approx(memory, rel=0.17)
