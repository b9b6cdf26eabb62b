"""The running program holds what simulated venues say of perpetuals against spot elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import config as settings
from exporter import venues
from exporter.exchange.consensus import agreed
from exporter.simulator import Simulator
from tests.runtime.running import Running, row, running, wait_until, watching

SPOT = ("binance", "coinbase", "kraken")
LISTED = ("BTC-USDT", "BTC-USD", "BTC-USDT-PERP", "BTC-USD-PERP", "BTC-USDC")
WATCH = (
    "endpoints: [], limits: {share: 100%}, perpetuals: {watch: true}, "
    "streams: [{channels: [quotes]}]"
)
PERPETUALS = {
    "binance_futures": "BTC-USDT",
    "binance_coinm": "BTC-USD",
    "bybit": "BTC-USD-PERP",
    "okx": "BTC-USDT-PERP",
    "deribit": "BTC-USD-PERP",
    "hyperliquid": "BTC-USDC",
}
FAMILIES = (
    "exchange_mark_price", "exchange_index_price", "exchange_funding_rate_ratio",
    "exchange_funding_interval_seconds", "exchange_funding_next_timestamp_seconds",
    "exchange_funding_cap_ratio", "exchange_mark_deviation_ratio",
    "exchange_index_deviation_ratio",
)  # fmt: skip


def of(page: dict[str, float], family: str) -> dict[str, float]:
    """Return what is shown of each exchange; each has one perpetual here."""
    return {
        line.split('"')[1]: value
        for line, value in page.items()
        if line.startswith(f"{family}{{exchange=")
    }


async def read_until(
    program: Running, condition: Callable[[dict[str, float]], bool]
) -> dict[str, float]:
    """Have every exchange read its lists, again until the page is as wanted; return that."""
    async with asyncio.timeout(60.0):
        while True:
            async with asyncio.TaskGroup() as tasks:
                for exchange in program.app.exchanges:
                    if exchange.perpetuals.on:
                        tasks.create_task(exchange.perpetuals.refresh())
            await wait_until(lambda: not any(e.perpetuals.waiting for e in program.app.exchanges))
            page = await program.metrics()
            if condition(page):
                return page


def test_every_venue_is_held_against_spot_and_funding_is_shown() -> None:
    """An index that is off is off by as much, its mark is not; an interval is what it becomes."""
    wanted = {*PERPETUALS} - {"hyperliquid"}  # only one other has spot in its currency
    deviations = ("exchange_mark_deviation_ratio", "exchange_index_deviation_ratio")
    index = deviations[1]
    every = dict.fromkeys(PERPETUALS, 28800.0) | {"hyperliquid": 3600.0}

    async def test() -> None:
        async with Simulator(
            venue_names=(*SPOT, *PERPETUALS), symbols=LISTED, book_rate=5.0, rate=1.0
        ) as simulator:
            keys = "endpoints: [], streams: [{channels: [quotes]}]"
            rows = [row(simulator, name, keys, "BTC-USDT, BTC-USD") for name in SPOT[1:]]
            rows.append(row(simulator, "binance", keys, "BTC-USDT, BTC-USDC"))
            rows += [row(simulator, name, WATCH, one) for name, one in PERPETUALS.items()]
            async with watching(simulator, rows) as program:
                page = await read_until(program, lambda page: wanted <= of(page, index).keys())
                for family in FAMILIES[:4]:
                    assert of(page, family).keys() == PERPETUALS.keys()
                for family in deviations:
                    assert of(page, family).keys() == wanted
                    assert max(map(abs, of(page, family).values())) < 0.005
                assert of(page, FAMILIES[3]) == every

                faults = program.simulator.inject
                faults({"fault": "index_off", "venue": "okx", "ratio": 0.05})
                faults({"fault": "funding_changed", "venue": "binance_futures", "rate": -0.02})
                page = await read_until(program, lambda page: of(page, index)["okx"] > 0.01)
                off = of(page, index)
                assert off.pop("okx") == pytest.approx(0.05, abs=0.005)
                assert max(map(abs, off.values())) < 0.005
                assert abs(of(page, deviations[0])["okx"]) < 0.005
                assert of(page, FAMILIES[3]) == every | {"binance_futures": 3600.0}
                assert of(page, FAMILIES[2])["binance_futures"] == -0.02
                assert of(page, "exchange_funding_cap_ratio")["binance_futures"] == 0.02

    asyncio.run(asyncio.wait_for(test(), 110.0))


def test_what_is_not_read_any_more_is_taken_off_the_page() -> None:
    """Half of the lists changes nothing, and what was read stands for three intervals."""

    async def test() -> None:
        async with running(("binance_futures",), exchange=WATCH) as program:
            exchange = program.exchange("binance_futures")
            await exchange.perpetuals.refresh()
            shown = of(await program.metrics(), "exchange_index_price")
            assert shown.keys() == {"binance_futures"}
            program.simulator.inject({"fault": "index_off", "ratio": 0.5})
            program.simulator.inject({"fault": "error", "endpoint": "/fapi/v1/fundingInfo"})
            await exchange.perpetuals.refresh()
            assert of(await program.metrics(), "exchange_index_price") == shown
            later = time.monotonic() + exchange.perpetuals.standing + 1.0
            exchange.perpetuals.tick(later)
            page = await program.metrics()
            assert [family for family in FAMILIES if of(page, family)] == []

    asyncio.run(asyncio.wait_for(test(), 110.0))


@pytest.mark.parametrize(
    ("prices", "found"),
    [
        ([], None),
        ([100.0], None),  # one alone
        ([100.0, 100.1], 100.05),
        ([100.0, 130.0], None),  # two, and nobody knows which is wrong
        ([100.0, 130.0, 100.2], 100.2),
        ([100.0, 130.0, 100.2, 131.0], None),  # two against two
        ([70.0, 85.0, 100.0, 115.0, 130.0], None),  # a market that breaks apart
    ],
)
def test_prices_agree_or_are_no_yardstick(prices: Sequence[float], found: float | None) -> None:
    """Two at least, and more than half, close to the median."""
    assert agreed(prices, 2) == (None if found is None else pytest.approx(found))


@given(
    right=st.lists(st.floats(99.9, 100.1), min_size=3, max_size=9),
    wrong=st.lists(st.floats(1.0, 1e6), max_size=2),
)
def test_a_minority_that_is_wrong_moves_it_by_next_to_nothing(
    right: list[float], wrong: list[float]
) -> None:
    """Whatever fewer than half of them say, it is among what the others say, or nothing."""
    found = agreed([*right, *wrong], 2)
    assert found is None or 99.9 <= found <= 100.1


def test_a_venue_without_such_lists_is_told_at_the_start() -> None:
    """The complaint names the key."""
    with pytest.raises(settings.ConfigError) as caught:
        settings.read(
            "exchanges: [{venue: kraken, symbols: [BTC-USD], perpetuals: {watch: true}}]",
            "test", venues.names(), venues.load,
        )  # fmt: skip
    assert "perpetuals.watch: found true, expected false" in str(caught.value)
