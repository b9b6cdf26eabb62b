"""A clock that is wrong and prices that are, on command."""

from __future__ import annotations

import asyncio
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from exporter.simulator import FaultError, Simulator
from tests.simulator.client import Stream, fetch, on, wall


def prices(frames: list[Any]) -> list[float]:
    """Read the prices of Binance trades."""
    return [float(frame["data"]["p"]) for frame in frames]


def test_a_skewed_clock_shows_in_rest_and_streams() -> None:
    """Server time, Date and event times are off by one step, and the truth says so."""

    @on()
    async def scene(simulator: Simulator, stream: Stream) -> None:
        await stream.take(3)
        before = wall()
        simulator.inject({"fault": "clock_skew", "venue": "binance", "seconds": -5})
        _, headers, body = await fetch(simulator, "/binance/api/v3/time")
        assert before - 5.001 <= body["serverTime"] / 1000 <= wall() - 5
        date = parsedate_to_datetime(headers["date"]).timestamp()  # whole seconds
        assert before - 6 <= date <= wall() - 5
        moments = [frame["data"]["E"] / 1000 for frame in await stream.take(30)]
        assert before - 5.001 <= moments[-1] <= wall() - 5
        _, _, truth = await fetch(simulator, "/control/truth")
        assert truth["venues"]["binance"]["skew_seconds"] == pytest.approx(-5, abs=0.01)
        assert truth["venues"]["okx"]["skew_seconds"] == 0


def test_a_clock_drifts() -> None:
    """A drift of 100,000 ppm is a tenth of a second each second."""

    async def run() -> None:
        async with Simulator() as simulator:
            begun = wall()
            simulator.inject({"fault": "clock_skew", "seconds": 0, "drift_ppm": 100_000})
            drifting = wall()
            await asyncio.sleep(0.5)
            asked = wall()
            _, _, body = await fetch(simulator, "/binance/api/v3/time")
            answered = wall()
            least, most = asked + (asked - drifting) / 10, answered + (answered - begun) / 10
            assert least - 0.001 <= body["serverTime"] / 1000 <= most

    asyncio.run(run())


def test_prices_are_offset_in_trades_and_rest_alike() -> None:
    """One symbol of one venue is a tenth up; its other symbols and the other venues are not."""

    @on()
    async def scene(simulator: Simulator, stream: Stream) -> None:
        fault = {"fault": "price_offset", "symbol": "BTC-USDT", "venue": "binance", "ratio": 0.1}
        simulator.inject(fault)
        await asyncio.sleep(0.3)
        _, _, truth = await fetch(simulator, "/control/truth")
        binance, okx = (truth["venues"][name]["markets"] for name in ("binance", "okx"))
        assert binance["BTC-USDT"]["bid"] / okx["BTC-USDT"]["bid"] == pytest.approx(1.1, rel=0.01)
        assert binance["ETH-USDT"]["bid"] / okx["ETH-USDT"]["bid"] == pytest.approx(1, rel=0.01)
        assert prices(await stream.take(30))[-1] / okx["BTC-USDT"]["bid"] > 1.09


def test_a_frozen_price_goes_on_talking() -> None:
    """Trades keep coming at one price, whoever takes, while the common price moves."""

    @on(book_rate=50.0)
    async def scene(simulator: Simulator, stream: Stream) -> None:
        simulator.inject({"fault": "frozen_price", "venue": "binance"})
        await stream.take(10)
        before = simulator.desks["binance"].common(simulator.desks["binance"].pairs()[0])
        frames = await stream.take(40)
        assert len(set(prices(frames))) == 1
        assert {frame["data"]["m"] for frame in frames} == {True, False}
        assert simulator.desks["binance"].common(simulator.desks["binance"].pairs()[0]) != before


@pytest.mark.parametrize(
    ("kind", "low", "high"), [("crossed_book", -10, 0), ("wide_spread", 15, 150)]
)
def test_books_cross_and_spreads_widen(kind: str, low: float, high: float) -> None:
    """The best bid passes the best ask, or the spread grows, in the quotes that are sent."""

    @on(topics=("btcusdt@bookTicker",), book_rate=50.0)
    async def scene(simulator: Simulator, stream: Stream) -> None:
        simulator.inject({"fault": kind, "venue": "binance"})
        quote = (await stream.take(5))[-1]["data"]
        assert low < float(quote["a"]) - float(quote["b"]) < high


def test_bad_checksums_are_only_where_the_venue_has_them() -> None:
    """OKX sends a wrong one instead of 0; asking it of Binance is refused."""

    @on("okx", topics=("books:BTC-USDT",))
    async def scene(simulator: Simulator, stream: Stream) -> None:
        assert (await stream.take(1))[0]["data"][0]["checksum"] == 0
        simulator.inject({"fault": "bad_checksum", "venue": "okx"})
        assert (await stream.take(3))[-1]["data"][0]["checksum"] != 0
        with pytest.raises(FaultError, match="no checksums; kraken, kraken_v1, okx has"):
            simulator.inject({"fault": "bad_checksum", "venue": "binance"})
