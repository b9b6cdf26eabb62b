"""Gate API v4, spot, as its server.

Source: gate.io's documentation as cryptofeed, gocryptotrader and ccxt show it, read 2026-11-30.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from exporter.simulator.market import Candle, Levels, Pair, PriceWindow, Print, Step
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

_PREFIX = "/api/v4"
_INTERVALS = {"10s": 10, "1m": 60, "5m": 300, "15m": 900, "1h": 3600, "1d": 86_400}
_SPEEDS = ("20ms", "100ms", "1000ms")
_DEPTHS = ("50", "400")


# --- REST -------------------------------------------------------------------------------------


def _fault(label: str, message: str, status: int = 400) -> SimulatedReply:
    return SimulatedReply(status=status, body=dump({"label": label, "message": message}))


def _of(
    answer: Callable[[VenueServer, Query, Pair], object],
) -> Callable[[VenueServer, Query], bytes | SimulatedReply]:
    """Return an answer that needs the parameter ``currency_pair``."""

    def checked(desk: VenueServer, query: Query) -> bytes | SimulatedReply:
        name = query.get("currency_pair", "")
        if not name:
            return _fault("MISSING_REQUIRED_PARAM", "Missing required parameter currency_pair")
        pair = desk.pair(name)
        if pair is None:
            return _fault("INVALID_CURRENCY_PAIR", f"Invalid currency pair {name[:40]}")
        return dump(answer(desk, query, pair))

    return checked


def _ticker(pair: Pair) -> Mapping[str, str]:
    one, (bid, bid_size), (ask, ask_size) = pair.listing, pair.bids.top(1)[0], pair.asks.top(1)[0]
    last, volume = one.price(pair.print[2]), one.size(pair.day_volume)
    return {
        "currency_pair": one.symbol, "last": last, "lowest_ask": one.price(ask),
        "lowest_size": one.size(ask_size), "highest_bid": one.price(bid),
        "highest_size": one.size(bid_size), "change_percentage": "0.1", "base_volume": volume,
        "quote_volume": f"{float(volume) * float(last):.8f}", "high_24h": one.price(pair.day_high),
        "low_24h": one.price(pair.day_low),
    }  # fmt: skip


def _tickers(desk: VenueServer, query: Query) -> bytes | SimulatedReply:
    if "currency_pair" in query:
        return _of(lambda desk, query, pair: [_ticker(pair)])(desk, query)
    return dump([_ticker(pair) for pair in desk.pairs()])


def _listed(pair: Pair) -> Mapping[str, object]:
    one = pair.listing
    return {
        "id": one.symbol, "base": one.base, "base_name": one.base, "quote": one.quote,
        "quote_name": one.quote, "fee": "0.2", "min_base_amount": one.size(1),
        "min_quote_amount": "3", "max_quote_amount": "5000000",
        "amount_precision": one.size_decimals, "precision": one.price_decimals,
        "trade_status": "tradable", "sell_start": 0, "buy_start": 0, "type": "normal",
    }  # fmt: skip


def _currencies(desk: VenueServer, query: Query) -> bytes:
    known = sorted({name for p in desk.pairs() for name in (p.listing.base, p.listing.quote)})
    return dump([
        {"currency": name, "name": name, "delisted": False, "withdraw_disabled": False,
         "withdraw_delayed": False, "deposit_disabled": False, "trade_disabled": False,
         "chain": name, "chains": []}
        for name in known
    ])  # fmt: skip


def _rows(pair: Pair, levels: Levels) -> list[list[str]]:
    one = pair.listing
    return [[one.price(p), one.size(n) if n else "0"] for p, n in levels]


def _book(desk: VenueServer, query: Query, pair: Pair) -> object:
    limit = query.get("limit", "10")
    count = min(int(limit), 1000) if limit.isdecimal() else 10
    now = desk.millis()
    found: dict[str, object] = {"current": now, "update": now}
    if query.get("with_id") == "true":
        found["id"] = pair.last
    return {**found, "asks": _rows(pair, pair.asks.top(count)),
            "bids": _rows(pair, pair.bids.top(count))}  # fmt: skip


def _trade(pair: Pair, row: Print, millis: int) -> Mapping[str, object]:
    number, buy, price, size = row
    one = pair.listing
    return {
        "id": number, "create_time": millis // 1000, "create_time_ms": f"{millis}.000",
        "side": "buy" if buy else "sell", "currency_pair": one.symbol, "amount": one.size(size),
        "price": one.price(price), "range": f"{number}-{number}",
    }  # fmt: skip


def _trades(desk: VenueServer, query: Query, pair: Pair) -> object:
    return [{**_trade(pair, row, millis), "id": str(row[0]), "create_time": str(millis // 1000)}
            for row, millis in reversed(pair.recent)]  # fmt: skip


def _candles(desk: VenueServer, query: Query, pair: Pair) -> object:
    one = pair.listing
    return [
        [str(c.start // 1000), "1", *(one.price(p) for p in (c.close, c.high, c.low, c.open)),
         one.size(c.volume), "true" if c.closed else "false"]
        for c in (*pair.closed, pair.kline(60_000, desk.millis()))
    ]  # fmt: skip


# --- WebSocket --------------------------------------------------------------------------------


def _make(pair: Pair, channel: str, rest: Sequence[str]) -> SimulatedFeed | None:
    """Make a feed: ``rest`` is what the payload says beside the market."""
    key = ",".join((channel, pair.listing.symbol, *rest))

    def update(millis: int, row: object) -> bytes:
        return dump({"time": millis // 1000, "time_ms": millis, "channel": channel,
                     "event": "update", "result": row})  # fmt: skip

    def trades(prints: Sequence[Print], millis: int) -> list[bytes]:
        return [update(millis, _trade(pair, row, millis)) for row in prints]

    def tickers(step: Step) -> list[bytes]:
        return [update(step.millis, _ticker(pair))] if step.second else []

    def quotes(step: Step) -> list[bytes]:
        one = pair.listing
        (bid, bid_size), (ask, ask_size) = pair.bids.top(1)[0], pair.asks.top(1)[0]
        row = {"t": step.millis, "u": step.last, "s": one.symbol, "b": one.price(bid),
               "B": one.size(bid_size), "a": one.price(ask), "A": one.size(ask_size)}  # fmt: skip
        return [update(step.millis, row)]

    def book(step: Step) -> list[bytes]:
        row = {"t": step.millis, "e": "depthUpdate", "E": step.millis // 1000,
               "s": pair.listing.symbol, "U": step.first, "u": step.last,
               "b": _rows(pair, step.bids), "a": _rows(pair, step.asks)}  # fmt: skip
        return [update(step.millis, row)]

    def candles(step: Step) -> list[bytes]:
        length = _INTERVALS[rest[0]] * 1000
        closed = step.closed.get(length)
        if closed is None and not step.second:
            return []
        row = _candle(pair, rest[0], closed or pair.kline(length, step.millis))
        return [update(step.millis, row)]

    made = SimulatedFeed(key=key, topic=f"{channel}:{pair.listing.symbol}", channel="", pair=pair)
    match channel:
        case "spot.trades" if not rest:
            made.channel, made.prints = "trades", trades
        case "spot.tickers" if not rest:
            made.channel, made.steps = "ticker", tickers
        case "spot.book_ticker" if not rest:
            made.channel, made.steps = "quotes", quotes
        case "spot.order_book_update" if len(rest) == 1 and rest[0] in _SPEEDS:
            made.channel, made.steps = "book", book
        case "spot.obu" if len(rest) == 1 and rest[0] in _DEPTHS:
            _whole_books(made, update, rest[0])
        case "spot.candlesticks" if len(rest) == 1 and rest[0] in _INTERVALS:
            made.channel, made.steps = "klines", candles
        case _:
            return None
    return made


def _whole_books(made: SimulatedFeed, update: Callable[[int, object], bytes], depth: str) -> None:
    """Let a feed send the best levels, then what changes among them."""
    pair, name = made.pair, f"ob.{made.pair.listing.symbol}.{depth}"
    window, last = PriceWindow(pair, int(depth)), pair.last

    def row(bids: Levels, asks: Levels, millis: int) -> dict[str, object]:
        return {"t": millis, "s": name, "u": last, "b": _rows(pair, bids), "a": _rows(pair, asks)}

    def steps(step: Step) -> list[bytes]:
        nonlocal last
        first, last = last + 1, step.last
        return [update(step.millis, {**row(*window.changes(), step.millis), "U": first})]

    def opening(millis: int) -> list[bytes]:
        return [update(millis, {**row(*window.levels(), millis), "full": True})]

    made.channel, made.steps, made.opening = "book", steps, opening


def _candle(pair: Pair, interval: str, c: Candle) -> Mapping[str, object]:
    one = pair.listing
    return {"t": str(c.start // 1000), "v": "1", "c": one.price(c.close), "h": one.price(c.high),
            "l": one.price(c.low), "o": one.price(c.open), "n": f"{interval}_{one.symbol}",
            "a": one.size(c.volume), "w": c.closed}  # fmt: skip


def _wanted(channel: str, payload: Any) -> list[tuple[str, tuple[str, ...]]]:
    """Return market and rest of each topic of a payload. Raises ValueError for a wrong one."""
    if not isinstance(payload, list) or not payload or not all(isinstance(p, str) for p in payload):
        raise ValueError("payload")
    match channel:
        case "spot.order_book_update":
            name, *rest = payload
            return [(name, tuple(rest))]
        case "spot.obu":
            parts = [name.split(".") for name in payload]
            if any(len(each) != 3 or each[0] != "ob" for each in parts):
                raise ValueError("payload")
            return [(name, (depth,)) for _, name, depth in parts]
        case "spot.candlesticks":
            interval, *names = payload
            return [(name, (interval,)) for name in names]
    return [(name, ()) for name in payload]


_SKEW = 60.0  # seconds that the time of a request may be off


def _received(session: SimulatedSession, text: str) -> None:
    try:
        asked = json.loads(text)
        channel, event = str(asked["channel"]), asked.get("event", "")
        moment = asked["time"]
        if not isinstance(moment, int) or abs(moment - session.desk.millis() / 1e3) > _SKEW:
            raise ValueError("time")
    except (ValueError, KeyError, TypeError, RecursionError):
        _answer(session, {}, error={"code": 1, "message": "invalid request format"})
        return
    if channel == "spot.ping":
        now = session.desk.millis()
        pong = {"time": now // 1000, "channel": "spot.pong", "event": "", "result": None}
        session.reply(dump(pong).decode(), keepalive=True)
        return
    try:
        wanted = _wanted(channel, asked.get("payload"))
    except ValueError:
        wanted = []
    if event not in ("subscribe", "unsubscribe") or not wanted:
        _answer(session, asked, error={"code": 2, "message": "invalid argument"})
        return
    made: list[SimulatedFeed] = []
    for name, rest in wanted:
        key = ",".join((channel, name, *rest))
        if event == "unsubscribe":
            session.unsubscribe(key)
            continue
        pair = session.desk.pair(name)
        if pair is None:
            wrong = f"unknown currency pair {name[:40]}"
            _answer(session, asked, error={"code": 2, "message": wrong})
            return
        feed = session.desk.feeds.get(key) or _make(pair, channel, rest)
        if feed is None:
            _answer(session, asked, error={"code": 2, "message": f"unknown channel {channel[:40]}"})
            return
        made.append(feed)
    if not all(session.subscribe(feed) for feed in made):
        _answer(session, asked, error={"code": 3, "message": "server error"})
        return
    _answer(session, asked)
    for feed in made:
        session.open(feed)


def _answer(session: SimulatedSession, asked: Mapping[str, Any], error: object = None) -> None:
    now = session.desk.millis()
    frame: dict[str, object] = {"time": now // 1000, "time_ms": now}
    frame |= {"id": asked["id"]} if "id" in asked else {}
    frame |= {"conn_id": session.id, "channel": asked.get("channel", ""),
              "event": asked.get("event", ""), "payload": asked.get("payload")}  # fmt: skip
    frame |= {"result": {"status": "success"}} if error is None else {"error": error}
    frame |= {} if error is None else {"result": None}
    session.reply(dump(frame).decode())


_EACH = Quota(limit=200, window=10.0)
_ROUTES = {
    "/spot/time": Route(answer=lambda desk, query: dump({"server_time": desk.millis()}),
                        quota=_EACH),
    "/spot/tickers": Route(answer=_tickers, quota=_EACH),
    "/spot/currency_pairs": Route(
        answer=lambda desk, query: dump([_listed(pair) for pair in desk.pairs()]), quota=_EACH
    ),
    "/spot/currencies": Route(answer=_currencies, quota=_EACH),
    "/margin/currency_pairs": Route(answer=lambda desk, query: b"[]", quota=_EACH),
    "/margin/uni/currency_pairs": Route(answer=lambda desk, query: b"[]", quota=_EACH),
    "/spot/order_book": Route(answer=_of(_book), quota=_EACH),
    "/spot/trades": Route(answer=_of(_trades), quota=_EACH),
    "/spot/candlesticks": Route(answer=_of(_candles), quota=_EACH),
}  # fmt: skip

WIRE = VenueSpec(
    name="gate",
    symbol=lambda instrument: instrument.replace("-", "_"),
    routes={**_ROUTES, **{f"{_PREFIX}{path}": route for path, route in _ROUTES.items()}},
    headers=lambda desk, usage: {
        "X-Gate-RateLimit-Requests-Remain": str(max(0, usage.limit - usage.used)),
        "X-Gate-RateLimit-Limit": str(usage.limit),
        "X-Gate-RateLimit-Reset-Timestamp": str(int(usage.reset)),
    },
    refusals=Refusals(
        unknown_path=lambda desk, path: _fault("NOT_FOUND", "Not Found", 404),
        limited=lambda desk, wait: _fault("TOO_MANY_REQUESTS", "Request Rate limit Exceeded", 429),
        banned=lambda desk, wait: _fault("TOO_MANY_REQUESTS", "Request Rate limit Exceeded", 429),
        unavailable=lambda desk: _fault("SERVER_ERROR", "Service Unavailable", 503),
    ),
    sockets=lambda path: path.startswith("/ws/v4"),
    received=_received,
    ping_every=20.0,
)
