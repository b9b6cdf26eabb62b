"""What Binance's servers answer over REST about the day and the newest trades.

Source: github.com/binance/binance-spot-api-docs at a5e0bc3, rest-api.md, read 2026-07-21 (spot);
the samples in ccxt 4.5.90, binance.py, read 2026-11-30 (futures).
"""

from __future__ import annotations

from collections.abc import Mapping

from exporter.simulator.families.binance import PAD, best, every, of
from exporter.simulator.market import Pair
from exporter.simulator.spec import Query, Route, SimulatedReply, dump
from exporter.simulator.venue_server import VenueServer


def routes(prefix: str, *, futures: bool) -> Mapping[str, Route]:
    """Return the routes below ``prefix``, such as ``/api/v3``."""

    def day(desk: VenueServer, query: Query) -> bytes | SimulatedReply:
        now = desk.millis()
        return every(lambda pair: _day(pair, now, futures=futures))(desk, query)

    return {
        f"{prefix}/ticker/24hr": Route(
            answer=day, weight=lambda query: 2 if "symbol" in query else 80
        ),
        f"{prefix}/trades": Route(answer=of(_trades), weight=lambda query: 25),
        f"{prefix}/aggTrades": Route(answer=of(_aggregates), weight=lambda query: 4),
    }


def _day(pair: Pair, now: int, *, futures: bool) -> Mapping[str, object]:
    one, (number, _, price, size) = pair.listing, pair.print
    change = price - pair.day_open
    turnover = float(one.size(pair.day_volume)) * float(one.price(price))
    row = {
        "symbol": one.symbol,
        "priceChange": one.price(change, PAD),
        "priceChangePercent": f"{100 * change / pair.day_open:.3f}",
        "weightedAvgPrice": one.price(price, PAD),
        "lastPrice": one.price(price, PAD),
        "lastQty": one.size(size, PAD),
        "openPrice": one.price(pair.day_open, PAD),
        "highPrice": one.price(pair.day_high, PAD),
        "lowPrice": one.price(pair.day_low, PAD),
        "volume": one.size(pair.day_volume, PAD),
        "quoteVolume": f"{turnover:.8f}",
        "openTime": now - 86_400_000,
        "closeTime": now,
        "firstId": 0,
        "lastId": number,
        "count": number,
    }
    if futures:
        return row  # without the best prices, unlike spot
    return {**row, "prevClosePrice": one.price(pair.day_open, PAD), **best(pair)}


def _trades(desk: VenueServer, query: Query, pair: Pair) -> bytes:
    one = pair.listing
    return dump([
        {"id": n, "price": one.price(p, PAD), "qty": one.size(q, PAD), "quoteQty": "0.00000000",
         "time": millis, "isBuyerMaker": not buy, "isBestMatch": True}
        for (n, buy, p, q), millis in pair.recent
    ])  # fmt: skip


def _aggregates(desk: VenueServer, query: Query, pair: Pair) -> bytes:
    one = pair.listing
    return dump([
        {"a": n, "p": one.price(p, PAD), "q": one.size(q, PAD), "f": n, "l": n, "T": millis,
         "m": not buy, "M": True}
        for (n, buy, p, q), millis in pair.recent
    ])  # fmt: skip
