"""What each market traded in a day, in its quote currency, from the lists of tickers of venues.

Source: the rows that ccxt 4.5.90 reads as `quoteVolume`, and the samples beside them, read
2026-11-30. A row whose figures cannot be read counts as a market without volume.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from typing import TypeAlias, TypeVar

import msgspec
from msgspec import Struct

from exporter.decoding import reading

R = TypeVar("R", bound=Struct)
Figure: TypeAlias = str | float | None


def number(text: Figure) -> float:
    """Return a figure as it stands, 0 where it is none."""
    try:
        found = float(text or 0.0)
    except ValueError:
        return 0.0
    return found if 0.0 < found < inf else 0.0


def _read(
    what: str, body: type[R], rows: Callable[[R], Iterable[tuple[str, float]]]
) -> Callable[[bytes], dict[str, float]]:
    """Return a reader of lists: ``rows`` yields symbol and volume."""
    decode = msgspec.json.Decoder(body).decode

    def read(content: bytes) -> dict[str, float]:
        with reading(f"{what} volumes"):
            return dict(rows(decode(content)))

    return read


class _BinanceDay(Struct):
    symbol: str
    quoteVolume: Figure = None  # noqa: N815
    baseVolume: Figure = None  # noqa: N815 - of COIN-M, whose `volume` counts contracts
    weightedAvgPrice: Figure = None  # noqa: N815


def read_binance(content: bytes) -> dict[str, float]:
    """Read ``ticker/24hr``, of spot and of futures."""
    with reading("binance volumes"):
        return {
            row.symbol: number(row.quoteVolume)
            or number(row.baseVolume) * number(row.weightedAvgPrice)
            for row in msgspec.json.decode(content, type=list[_BinanceDay])
        }


class _BybitDay(Struct):
    symbol: str
    turnover24h: Figure = None
    volume24h: Figure = None


class _BybitDays(Struct):
    rows: list[_BybitDay] = msgspec.field(name="list")
    category: str = "spot"


class _BybitVolumes(Struct):
    result: _BybitDays


def _bybit(body: _BybitVolumes) -> Iterable[tuple[str, float]]:
    # Inverse contracts are of one US dollar, and their turnover is in the base currency.
    inverse = body.result.category == "inverse"
    for row in body.result.rows:
        yield row.symbol, number(row.volume24h if inverse else row.turnover24h)


class _OkxDay(Struct):
    instId: str  # noqa: N815
    instType: str = ""  # noqa: N815
    volCcy24h: Figure = None  # noqa: N815 - quote currency of spot, base currency of contracts
    last: Figure = None


class _OkxVolumes(Struct):
    data: list[_OkxDay]


def _okx(body: _OkxVolumes) -> Iterable[tuple[str, float]]:
    for row in body.data:
        price = 1.0 if row.instType == "SPOT" else number(row.last)
        yield row.instId, number(row.volCcy24h) * price


class _KuCoinDay(Struct):
    symbol: str
    volValue: Figure = None  # noqa: N815


class _KuCoinDays(Struct):
    ticker: list[_KuCoinDay]


class _KuCoinVolumes(Struct):
    data: _KuCoinDays


class _KrakenDay(Struct):
    v: tuple[Figure, ...] = ()  # today, and the last 24 hours
    p: tuple[Figure, ...] = ()  # the mean price, likewise


class _KrakenVolumes(Struct):
    result: dict[str, _KrakenDay]


def _kraken(body: _KrakenVolumes) -> Iterable[tuple[str, float]]:
    for name, row in body.result.items():
        yield name, number(row.v[-1] if row.v else 0.0) * number(row.p[-1] if row.p else 0.0)


class _BitstampDay(Struct):
    pair: str = ""
    volume: Figure = None
    vwap: Figure = None


def read_bitstamp(content: bytes) -> dict[str, float]:
    """Read ``/api/v2/ticker/`` of all pairs, by ``BTC/USD``."""
    with reading("bitstamp volumes"):
        return {
            row.pair: number(row.volume) * number(row.vwap)
            for row in msgspec.json.decode(content, type=list[_BitstampDay])
        }


class _AdvancedDay(Struct):
    product_id: str
    approximate_quote_24h_volume: Figure = None


class _AdvancedVolumes(Struct):
    products: list[_AdvancedDay]


class _CoinbaseTrading(Struct):
    volume: Figure = None  # in the base currency
    last: Figure = None


class _CoinbaseDay(Struct):
    stats_24hour: _CoinbaseTrading | None = None


def read_coinbase(content: bytes) -> dict[str, float]:
    """Read ``/products/stats``: what `/products/{id}/stats` tells, of all products."""
    with reading("coinbase volumes"):
        rows = msgspec.json.decode(content, type=dict[str, _CoinbaseDay])
        return {
            symbol: 0.0
            if (day := row.stats_24hour) is None
            else number(day.volume) * number(day.last)
            for symbol, row in rows.items()
        }


class _BitmexDay(Struct):
    symbol: str
    foreignNotional24h: Figure = None  # noqa: N815 - in US dollars, or what stands for them


def read_bitmex(content: bytes) -> dict[str, float]:
    """Read ``instrument/active``."""
    with reading("bitmex volumes"):
        return {
            row.symbol: number(row.foreignNotional24h)
            for row in msgspec.json.decode(content, type=list[_BitmexDay])
        }


def read_bitfinex(content: bytes) -> dict[str, float]:
    """Read ``tickers``: rows of symbol, quotes, the last price (7) and the day's volume (8)."""
    with reading("bitfinex volumes"):
        rows = msgspec.json.decode(content, type=list[list[Figure]])
        return {
            str(row[0]): number(row[7]) * number(row[8])
            for row in rows
            if len(row) > 8 and str(row[0]).startswith("t")
        }


read_advanced = _read("coinbase_advanced", _AdvancedVolumes, lambda body: [
    (row.product_id, number(row.approximate_quote_24h_volume)) for row in body.products
])  # fmt: skip
read_bybit = _read("bybit", _BybitVolumes, _bybit)
read_okx = _read("okx", _OkxVolumes, _okx)
read_kucoin = _read("kucoin", _KuCoinVolumes, lambda body: [
    (row.symbol, number(row.volValue)) for row in body.data.ticker
])  # fmt: skip
read_kraken = _read("kraken", _KrakenVolumes, _kraken)
