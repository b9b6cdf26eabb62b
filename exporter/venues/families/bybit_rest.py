"""What Bybit answers over REST: clock, status, markets, tickers, errors.

Source: github.com/bybit-exchange/docs (docs/v5) at 072c197, read 2026-07-24.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from exporter.decoding import (
    DOUBTFUL,
    reading,
    seconds,
)
from exporter.instrument import Product
from exporter.maintenance import EVERYTHING, Maintenance, WatchedMarkets
from exporter.model import (
    Answer,
    Market,
    MarketState,
    Reason,
)
from exporter.venues.families import windows


class _Clock(Struct):
    timeNano: int  # noqa: N815 - the wire's spelling


class _TimeBody(Struct):
    result: _Clock


class BybitWindow(windows.Window, kw_only=True):
    """A window as the endpoint lists it and the stream of the same name tells it."""

    id: str = ""
    env: int = 1
    product: list[int] | None = None  # none: all
    serviceTypes: list[int] | None = None  # noqa: N815
    maintainType: int = 1  # noqa: N815


class BybitWindows(Struct):
    rows: list[BybitWindow] = msgspec.field(name="list")


class _StatusBody(Struct):
    result: BybitWindows


class _BybitInstrument(Struct):
    symbol: str
    status: str
    baseCoin: str  # noqa: N815
    quoteCoin: str  # noqa: N815
    contractType: str = ""  # noqa: N815 - absent on spot and options
    optionsType: str = ""  # noqa: N815
    deliveryTime: str = ""  # noqa: N815 - ms; "0": never


class _BybitInstruments(Struct):
    rows: list[_BybitInstrument] = msgspec.field(name="list")
    category: str = "spot"


class _MarketsBody(Struct):
    result: _BybitInstruments


class _BybitFault(Struct):
    retCode: int  # noqa: N815


def read_time(body: bytes) -> float:
    """Read the venue's clock, which it gives in nanoseconds."""
    with reading("bybit time"):
        clock = msgspec.json.decode(body, type=_TimeBody, strict=False).result
        return seconds(clock.timeNano, 1e9)


_FUTURES, _SPOT, _OPTIONS = 1, 2, 3  # 4 are spreads
_BY_ROUTE = {"spot": _SPOT, "linear": _FUTURES, "inverse": _FUTURES, "option": _OPTIONS}
_SERVICES = frozenset(
    {1, 5}
)  # trading as a whole and market data; others take orders, or are private
_PRODUCTION, _INCIDENT = 1, 3


def _products(watched: WatchedMarkets) -> frozenset[int]:
    """Return the numbers of the products that are watched."""
    route = _BY_ROUTE.get(watched.stream_url.rstrip("/").rpartition("/")[2], _SPOT)
    found = {_product(each, route) for each in watched.instruments}
    return frozenset(found or {_SPOT, _FUTURES})


def _product(instrument: str, route: int) -> int:
    match instrument.split("-")[2:]:  # after base and quote
        case []:
            return route
        case [*_, "C" | "P"]:
            return _OPTIONS
    return _FUTURES


def read_status(body: bytes, watched: WatchedMarkets = EVERYTHING) -> Maintenance:
    """Read what goes on and what is announced of the products that are watched."""
    with reading("bybit status"):
        rows = msgspec.json.decode(body, type=_StatusBody, strict=False).result.rows
        return summed_up(rows, watched)


def summed_up(rows: Iterable[BybitWindow], watched: WatchedMarkets) -> Maintenance:
    """Return what the windows come to for the products that are watched. Raises ParseError."""
    products = _products(watched)
    return windows.summed_up(
        (row, row.maintainType == _INCIDENT)
        for row in rows
        if row.env == _PRODUCTION
        and not products.isdisjoint(row.product or products)
        and not _SERVICES.isdisjoint(row.serviceTypes or _SERVICES)
    )


def read_markets(body: bytes) -> tuple[Market, ...]:
    """Read the tradable markets of one class; a contract without a delivery is a perpetual."""
    with reading("bybit markets"):
        found = msgspec.json.decode(body, type=_MarketsBody).result
        product = _CLASSES[found.category]
        return tuple(
            Market(row.symbol, _instrument(row, product), product)
            for row in found.rows
            if row.status == "Trading"
        )


def _instrument(row: _BybitInstrument, product: Product) -> str:
    pair = f"{row.baseCoin}-{row.quoteCoin}"
    if product is Product.SPOT:
        return pair
    if row.deliveryTime in ("", "0"):
        return f"{pair}-PERP"
    expiry = datetime.fromtimestamp(seconds(row.deliveryTime, 1e3), UTC).strftime("%y%m%d")
    if product is not Product.OPTION:
        return f"{pair}-{expiry}"
    strike = row.symbol.split("-")[2]
    return f"{pair}-{expiry}-{strike}-{row.optionsType[:1]}"


_CLASSES = {each.value: each for each in Product}  # the venue's names of them are ours


class _BybitTicker(Struct):
    lastPrice: str  # noqa: N815
    bid1Price: str = ""  # noqa: N815
    bid1Size: str = ""  # noqa: N815
    ask1Price: str = ""  # noqa: N815
    ask1Size: str = ""  # noqa: N815


class _BybitTickers(Struct):
    rows: list[_BybitTicker] = msgspec.field(name="list")


class _TickerBody(Struct):
    result: _BybitTickers


def _ticker(body: bytes) -> _BybitTicker:
    return msgspec.json.decode(body, type=_TickerBody).result.rows[0]


def read_last_price(body: bytes) -> MarketState:
    """Read the price of the last trade: another trade at the same price goes unseen."""
    with reading("bybit ticker"):
        return MarketState(state=(_ticker(body).lastPrice,))


def read_best(body: bytes) -> MarketState:
    """Read the best bid and ask."""
    with reading("bybit ticker"):
        row = _ticker(body)
        return MarketState(state=(row.bid1Price, row.bid1Size, row.ask1Price, row.ask1Size))


def fault(answer: Answer) -> Reason | None:
    """Say what an answer hides: errors come as HTTP 200 with a ``retCode`` in the body.

    403 is either the limit of the whole host, which bans an address for ten minutes ("access too
    frequent"), or a refused region. A body that says "too many" counts at any status.
    """
    if answer.status == 429:
        return Reason.RATE_LIMITED
    if answer.status == 403 and b"too frequent" in answer.body:
        return Reason.BANNED
    if answer.status == 403 and b"from your country" in answer.body:
        return Reason.REGION_REFUSED
    try:
        code = msgspec.json.decode(answer.body, type=_BybitFault).retCode
    except DOUBTFUL:
        return Reason.BODY_INVALID if answer.status == 200 else None
    match code:
        case 0:
            return None
        case 10006 | 10018:
            return Reason.RATE_LIMITED
        case 10009:
            return Reason.REGION_REFUSED
        case 10000 | 10016:
            return Reason.HTTP_5XX
        case _:
            return Reason.BODY_INVALID if answer.status == 200 else None
