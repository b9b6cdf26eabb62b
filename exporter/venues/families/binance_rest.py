"""What Binance's sites answer over REST: spot, Binance.US, USD-M and COIN-M futures.

Source: github.com/binance/binance-spot-api-docs (rest-api.md, errors.md) at a5e0bc3, read
2026-07-21.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
from msgspec import Raw, Struct

from exporter.contracts import BookRules, CrossCheck
from exporter.decoding import (
    DOUBTFUL,
    Instant,
    Price,
    Serial,
    Size,
    level_pairs,
    reading,
    seconds,
    unreadable,
)
from exporter.instrument import Instrument, Product
from exporter.maintenance import EVERYTHING, Maintenance, WatchedMarkets
from exporter.model import Answer, Channel, Depth, Market, MarketState, Reason, SizeUnit
from exporter.venues.families.binance import event_time


class _BinanceTime(Struct):
    serverTime: int  # noqa: N815 - the wire's spelling


class _BinanceStatus(Struct):
    status: int
    msg: str | None = None


class _BinanceSymbol(Struct):
    symbol: str
    baseAsset: str  # noqa: N815
    quoteAsset: str  # noqa: N815
    status: str = ""
    contractStatus: str = ""  # noqa: N815 - COIN-M's name for the status
    contractType: str | None = None  # noqa: N815 - futures alone


class _Info(Struct):
    symbols: list[_BinanceSymbol]


def read_time(body: bytes) -> float:
    """Read the venue's clock."""
    with reading("binance time"):
        return seconds(msgspec.json.decode(body, type=_BinanceTime).serverTime, 1e3)


def read_status(body: bytes, watched: WatchedMarkets = EVERYTHING) -> Maintenance:
    """Read whether the venue says that it is in maintenance, 1; another number says nothing.

    Source: developers.binance.com, Wallet, "System Status", read 2026-11-30.
    """
    with reading("binance status"):
        status = msgspec.json.decode(body, type=_BinanceStatus)
        return Maintenance(active=status.status == 1, title=(status.msg or "")[:200])


def read_markets(body: bytes) -> tuple[Market, ...]:
    """Read the tradable markets. The split of a symbol is never guessed from its letters.

    A contract that does not end by a date in its symbol is a perpetual, also of a type that came
    later than this (TRADIFI_PERPETUAL did); spot has no type at all.
    """
    with reading("binance markets"):
        rows = msgspec.json.decode(body, type=_Info).symbols
        return tuple(
            Market(row.symbol, _instrument(row))
            for row in rows
            if "TRADING" in (row.status, row.contractStatus)
        )


def _instrument(row: _BinanceSymbol) -> str:
    pair = f"{row.baseAsset}-{row.quoteAsset}"
    if row.contractType is None:
        return pair
    expiry = row.symbol.rpartition("_")[2]
    if "PERPETUAL" not in row.contractType and len(expiry) == 6 and expiry.isdecimal():
        return f"{pair}-{expiry}"
    return f"{pair}-PERP"


def joined(instrument: Instrument) -> str:
    """Format a pair as one word; assets may be in any script (币安人生USDT)."""
    return f"{instrument.base}{instrument.quote}".upper()


def fault(answer: Answer) -> Reason | None:
    """Say what an answer means: 418 is a ban, 403 the firewall's, 451 a refused region.

    Error -1003 is "too many requests", at whatever status. 451 and -1003 are unconfirmed here.
    """
    match answer.status:
        case 418:
            return Reason.BANNED
        case 429 | 403:
            return Reason.RATE_LIMITED
        case 451:
            return Reason.REGION_REFUSED
    with suppress(*DOUBTFUL):
        if _read_fault(answer.body).code == -1003:
            return Reason.RATE_LIMITED
    return None


class _BinanceFault(Struct):
    code: int


_read_fault = msgspec.json.Decoder(_BinanceFault).decode


def levels(event: Depth) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Decode the bids and asks of a depth update or snapshot. Raises ParseError."""
    try:
        sides: Any = event.levels  # the decoder refuses what are no bytes
        bids, asks = sides
        return level_pairs(bids), level_pairs(asks)
    except DOUBTFUL as error:
        raise unreadable("binance levels", error) from error


class _BinanceSnapshot(Struct):
    lastUpdateId: Serial  # noqa: N815
    bids: Raw
    asks: Raw
    E: Instant | None = None  # futures alone


def read_snapshot(body: bytes, topic: str, symbol: str) -> Depth:
    """Read the REST book that deltas continue."""
    with reading("binance depth"):
        book = msgspec.json.decode(body, type=_BinanceSnapshot)
        return Depth(
            "depth",
            topic,
            symbol,
            None if book.E is None else event_time(book.E),
            (book.bids, book.asks),
            snapshot=True,
            last=book.lastUpdateId,
        )


def book_rules(path: str, weight: int) -> BookRules:
    """Return the rules for a site whose REST book is at ``path`` and costs ``weight``."""
    return BookRules(
        levels=levels,
        snapshot_path=path,
        read_snapshot=read_snapshot,
        weight=weight,
        units=dict.fromkeys((Product.SPOT, Product.LINEAR), SizeUnit.BASE),
    )


class _LastPrice(Struct):
    price: Price


class _BinanceBest(Struct):
    bidPrice: Size  # noqa: N815
    bidQty: Size  # noqa: N815
    askPrice: Size  # noqa: N815
    askQty: Size  # noqa: N815


def read_last_price(body: bytes) -> MarketState:
    """Read the price of the last trade: another trade at the same price goes unseen."""
    with reading("binance price"):
        return MarketState(state=(msgspec.json.decode(body, type=_LastPrice, strict=False).price,))


def read_best(body: bytes) -> MarketState:
    """Read the best bid and ask."""
    with reading("binance book ticker"):
        best = msgspec.json.decode(body, type=_BinanceBest, strict=False)
        return MarketState(state=(best.bidPrice, best.bidQty, best.askPrice, best.askQty))


def cross_checks(
    base: str, weight: int, price: tuple[str, int] | None = None
) -> dict[Channel, CrossCheck]:
    """Return where a site's tickers are, below ``base``, for one symbol at ``weight``.

    ``price`` is the last price's own base and weight, where it has moved.
    """
    path = "{}/ticker/{}?symbol={{symbol}}"
    where, cost = price or (base, weight)
    trades = CrossCheck(path=path.format(where, "price"), read=read_last_price, weight=cost)
    quotes = CrossCheck(path=path.format(base, "bookTicker"), read=read_best, weight=weight)
    return {
        Channel.TRADES: trades,
        Channel.KLINES: trades,
        Channel.QUOTES: quotes,
        Channel.BOOK: quotes,
    }
