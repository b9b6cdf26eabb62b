"""Bitget v2, spot, as its server.

Source: bitget.com/api-doc as ccxt shows it, read 2026-11-30; checksums as in recorded traffic.
"""

from __future__ import annotations

import json
from binascii import crc32
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from exporter.simulator.market import Candle, Levels, Listing, Pair, PriceWindow, Print, Step
from exporter.simulator.session import SimulatedSession
from exporter.simulator.spec import (
    Query,
    Quota,
    Refusals,
    Route,
    SimulatedFeed,
    SimulatedReply,
    VenueSpec,
    dump,
)
from exporter.simulator.venue_server import VenueServer

_INTERVALS = {"1m": 60, "5m": 300, "15m": 900, "1H": 3600, "1D": 86_400}
_BOOKS = {"books": 200, "books1": 1, "books5": 5, "books15": 15}


# --- REST -------------------------------------------------------------------------------------


def _envelope(desk: VenueServer, data: object) -> bytes:
    return dump({"code": "00000", "msg": "success", "requestTime": desk.millis(), "data": data})


def _fault(code: str, message: str, status: int = 400) -> SimulatedReply:
    body = dump({"code": code, "msg": message, "requestTime": 0, "data": None})
    return SimulatedReply(status=status, body=body)


def _of(
    answer: Callable[[VenueServer, Query, Pair], object],
) -> Callable[[VenueServer, Query], bytes | SimulatedReply]:
    """Return an answer that needs the parameter ``symbol``."""

    def checked(desk: VenueServer, query: Query) -> bytes | SimulatedReply:
        name = query.get("symbol", "")
        pair = desk.pair(name)
        if not name:
            return _fault("400172", "Parameter verification failed")
        if pair is None:
            return _fault("40034", f"Parameter {name[:40]} does not exist")
        return _envelope(desk, answer(desk, query, pair))

    return checked


def _ticker(pair: Pair, millis: int) -> dict[str, str]:
    one, (bid, bid_size), (ask, ask_size) = pair.listing, pair.bids.top(1)[0], pair.asks.top(1)[0]
    last, volume = one.price(pair.print[2]), one.size(pair.day_volume)
    turnover = f"{float(volume) * float(last):.8f}"
    return {
        "open": one.price(pair.day_open), "symbol": one.symbol, "high24h": one.price(pair.day_high),
        "low24h": one.price(pair.day_low), "lastPr": last, "quoteVolume": turnover,
        "baseVolume": volume, "usdtVolume": turnover, "ts": str(millis), "bidPr": one.price(bid),
        "askPr": one.price(ask), "bidSz": one.size(bid_size), "askSz": one.size(ask_size),
        "openUtc": one.price(pair.day_open), "changeUtc24h": "0.001", "change24h": "0.001",
    }  # fmt: skip


def _tickers(desk: VenueServer, query: Query) -> bytes | SimulatedReply:
    if "symbol" in query:
        return _of(lambda desk, query, pair: [_ticker(pair, desk.millis())])(desk, query)
    return _envelope(desk, [_ticker(pair, desk.millis()) for pair in desk.pairs()])


def _symbols(desk: VenueServer, query: Query) -> bytes:
    return _envelope(desk, [
        {"symbol": p.listing.symbol, "baseCoin": p.listing.base, "quoteCoin": p.listing.quote,
         "minTradeAmount": "0", "maxTradeAmount": "900000000000", "takerFeeRate": "0.002",
         "makerFeeRate": "0.002", "pricePrecision": str(p.listing.price_decimals),
         "quantityPrecision": str(p.listing.size_decimals), "quotePrecision": "8",
         "status": "online", "minTradeUSDT": "1", "buyLimitPriceRatio": "0.05",
         "sellLimitPriceRatio": "0.05"}
        for p in desk.pairs()
    ])  # fmt: skip


def _coins(desk: VenueServer, query: Query) -> bytes:
    known = sorted({name for p in desk.pairs() for name in (p.listing.base, p.listing.quote)})
    return _envelope(desk, [
        {"coinId": str(number), "coin": name, "transfer": "true", "chains": []}
        for number, name in enumerate(known, 1)
    ])  # fmt: skip


def _rows(one: Listing, levels: Levels) -> list[list[str]]:
    return [[one.price(p), one.size(n) if n else "0"] for p, n in levels]


def _book(desk: VenueServer, query: Query, pair: Pair) -> object:
    limit = query.get("limit", "100")
    count = min(int(limit), 150) if limit.isdecimal() else 100
    asks, bids = (_rows(pair.listing, side.top(count)) for side in (pair.asks, pair.bids))
    return {"asks": asks, "bids": bids, "ts": str(desk.millis())}


def _fills(desk: VenueServer, query: Query, pair: Pair) -> object:
    return [{"symbol": pair.listing.symbol, **_trade(pair.listing, row, millis)}
            for row, millis in reversed(pair.recent)]  # fmt: skip


def _trade(one: Listing, row: Print, millis: int) -> dict[str, str]:
    number, buy, price, size = row
    return {"ts": str(millis), "price": one.price(price), "size": one.size(size),
            "side": "buy" if buy else "sell", "tradeId": str(number)}  # fmt: skip


def _candle(one: Listing, c: Candle) -> list[str]:
    volume = one.size(c.volume)
    turnover = f"{float(volume) * float(one.price(c.close)):.8f}"
    prices = [one.price(p) for p in (c.open, c.high, c.low, c.close)]
    return [str(c.start), *prices, volume, turnover, turnover]


def _candles(desk: VenueServer, query: Query, pair: Pair) -> object:
    return [_candle(pair.listing, c) for c in (*pair.closed, pair.kline(60_000, desk.millis()))]


# --- WebSocket --------------------------------------------------------------------------------


def _key(arg: Mapping[str, str]) -> str:
    return f"{arg['instType']}:{arg['channel']}:{arg['instId']}"


def _make(desk: VenueServer, pair: Pair, arg: Mapping[str, str]) -> SimulatedFeed | None:
    """Make the feed of a channel and market; None where there is none."""
    one, channel = pair.listing, arg["channel"]
    made = SimulatedFeed(key=_key(arg), topic=f"{channel}:{one.symbol}", channel="", pair=pair)

    def frame(action: str, millis: int, rows: Sequence[object]) -> list[bytes]:
        return [dump({"action": action, "arg": dict(arg), "data": rows, "ts": millis})]

    def ticker(millis: int) -> list[bytes]:
        row = _ticker(pair, millis)
        own = {"instId": row.pop("symbol"), "open24h": row.pop("open"), **row}
        return frame("snapshot", millis, [own])

    def candles(step: Step) -> list[bytes]:
        length = _INTERVALS[channel.removeprefix("candle")] * 1000
        closed = step.closed.get(length)
        if closed is None and not step.second:
            return []
        return frame("update", step.millis, [_candle(one, closed or pair.kline(length, 0))])

    match channel:
        case "trade":
            made.channel = "trades"
            made.prints = lambda prints, millis: frame(
                "update", millis, [_trade(one, row, millis) for row in reversed(prints)]
            )
            made.opening = lambda millis: frame(
                "snapshot", millis, [_trade(one, row, at) for row, at in reversed(pair.recent)]
            )
        case "ticker":
            made.channel, made.opening = "quotes", ticker
            made.steps = lambda step: ticker(step.millis)
        case "books":
            _books(desk, made, frame)
        case "books1" | "books5" | "books15":
            _tops(made, frame, _BOOKS[channel])
        case _ if channel.removeprefix("candle") in _INTERVALS:
            made.channel, made.steps = "klines", candles
        case _:
            return None
    return made


def _books(
    desk: VenueServer, made: SimulatedFeed, frame: Callable[[str, int, list[object]], list[bytes]]
) -> None:
    """Let a feed send the whole book, then what changes; with sums of the best 25 levels."""
    pair, one = made.pair, made.pair.listing
    window = PriceWindow(pair, _BOOKS["books"])

    def row(bids: Levels, asks: Levels, millis: int) -> object:
        best = [sorted(side, reverse=sign) for side, sign in zip(window.levels(), (True, False),
                                                                 strict=True)]  # fmt: skip
        total = desk.checksum(pair, checksum(one, best[0], best[1]))
        return {"asks": _rows(one, asks), "bids": _rows(one, bids), "checksum": total,
                "seq": pair.last, "ts": str(millis)}  # fmt: skip

    def steps(step: Step) -> list[bytes]:
        return frame("update", step.millis, [row(*window.changes(), step.millis)])

    def opening(millis: int) -> list[bytes]:
        return frame("snapshot", millis, [row(*window.levels(), millis)])

    made.channel, made.steps, made.opening = "book", steps, opening


def _tops(
    made: SimulatedFeed, frame: Callable[[str, int, list[object]], list[bytes]], count: int
) -> None:
    """Let a feed send the best levels each time."""
    pair, one = made.pair, made.pair.listing

    def opening(millis: int) -> list[bytes]:
        row = {"asks": _rows(one, pair.asks.top(count)), "bids": _rows(one, pair.bids.top(count)),
               "checksum": 0, "seq": pair.last, "ts": str(millis)}  # fmt: skip
        return frame("snapshot", millis, [row])

    made.channel, made.opening = "book", opening
    made.steps = lambda step: opening(step.millis)


def checksum(one: Listing, bids: Levels, asks: Levels) -> int:
    """Return the signed CRC-32 of the best 25 levels, a bid and an ask in turn."""
    words: list[str] = []
    for pair in zip_longest(bids[:25], asks[:25]):
        words += [f"{one.price(level[0])}:{one.size(level[1])}" for level in pair if level]
    value = crc32(":".join(words).encode())
    return value - (1 << 32) if value >= 1 << 31 else value


def _received(session: SimulatedSession, text: str) -> None:
    if text == "ping":
        session.reply("pong", keepalive=True)
        return
    try:
        asked = json.loads(text)
        operation, args = asked["op"], [dict(arg) for arg in asked["args"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        _fail(session, 30003, "Invalid request", None, "")
        return
    if operation not in ("subscribe", "unsubscribe") or not args:
        _fail(session, 30002, "Invalid op", None, str(operation)[:40])
        return
    for arg in args:
        _operate(session, operation, arg)


def _operate(session: SimulatedSession, operation: str, given: Mapping[str, Any]) -> None:
    arg = {name: str(given.get(name, ""))[:60] for name in ("instType", "channel", "instId")}
    if operation == "unsubscribe":
        session.unsubscribe(_key(arg))
        session.reply(dump({"event": "unsubscribe", "arg": arg}).decode())
        return
    pair = session.desk.pair(arg["instId"]) if arg["instType"] == "SPOT" else None
    made = None if pair is None else _make(session.desk, pair, arg)
    feed = made and (session.desk.feeds.get(made.key) or made)
    if feed is None or not session.subscribe(feed):
        named = ",".join(f"{name}:{value}" for name, value in arg.items())
        _fail(session, 30001, f"{named} doesn't exist", arg, operation)
        return
    session.reply(dump({"event": "subscribe", "arg": arg}).decode())
    session.open(feed)


def _fail(session: SimulatedSession, code: int, message: str, arg: object, op: str) -> None:
    frame = {"event": "error", "arg": arg, "code": code, "msg": message, "op": op}
    session.reply(dump(frame).decode())


_EACH = Quota(limit=20, window=1.0)

WIRE = VenueSpec(
    name="bitget",
    symbol=lambda instrument: instrument.replace("-", ""),
    routes={
        "/api/v2/public/time": Route(
            answer=lambda desk, query: _envelope(desk, {"serverTime": str(desk.millis())}),
            quota=_EACH,
        ),
        "/api/v2/spot/public/symbols": Route(answer=_symbols, quota=_EACH),
        "/api/v2/spot/public/coins": Route(answer=_coins, quota=Quota(limit=3, window=1.0)),
        "/api/v2/spot/market/tickers": Route(answer=_tickers, quota=_EACH),
        "/api/v2/spot/market/orderbook": Route(answer=_of(_book), quota=_EACH),
        "/api/v2/spot/market/fills": Route(answer=_of(_fills), quota=_EACH),
        "/api/v2/spot/market/fills-history": Route(answer=_of(_fills), quota=_EACH),
        "/api/v2/spot/market/candles": Route(answer=_of(_candles), quota=_EACH),
        "/api/v2/margin/currencies": Route(answer=lambda desk, query: _envelope(desk, [])),
    },
    refusals=Refusals(
        unknown_path=lambda desk, path: _fault("40404", "Request URL NOT FOUND", 404),
        limited=lambda desk, wait: _fault("429", "Too Many Requests", 429),
        banned=lambda desk, wait: _fault("429", "Too Many Requests", 429),
        unavailable=lambda desk: _fault("40725", "service return an error", 503),
    ),
    sockets=lambda path: path.startswith("/v2/ws/public"),
    received=_received,
    idle_limit=120.0,
    lifetime=24 * 3600.0,
    incoming=Quota(limit=10, window=1.0),
    checksums=True,
)
