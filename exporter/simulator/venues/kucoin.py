"""KuCoin, spot, classic API, as its server.

Source: github.com/Kucoin/kucoin-api-docs at 7f01bbe, read 2026-10; frames checked against traffic
recorded in April 2021.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from exporter.simulator.kinds import FaultKind
from exporter.simulator.market import Candle, Levels, Pair, Print, Step
from exporter.simulator.session import SimulatedSession
from exporter.simulator.spec import (
    Query,
    Quota,
    Refusals,
    Route,
    SimulatedFeed,
    SimulatedReply,
    Usage,
    VenueSpec,
    dump,
)
from exporter.simulator.venue_server import VenueServer

_TOKEN = "2neAiuYvAU61ZDXANAGAsiL4-iAExhsBXZxftpOeh_55i3Ysy2q2LEsEWU64mdzUOPusi34M=="  # noqa: S105 - public
_INTERVALS = {"1min": 60, "5min": 300, "15min": 900, "1hour": 3600, "1day": 86_400}
_MOST_TOPICS = 300
_SNAPSHOT_STEPS = 20  # the venue says every two seconds
_PING_EVERY, _PING_TIMEOUT = 18.0, 10.0


# --- REST -------------------------------------------------------------------------------------


def _ok(data: object) -> bytes:
    return dump({"code": "200000", "data": data})


def _error(code: str, text: str, status: int = 200) -> SimulatedReply:
    return SimulatedReply(status=status, body=dump({"code": code, "msg": text}))


def _of(
    answer: Callable[[VenueServer, Query, Pair], object],
) -> Callable[[VenueServer, Query], bytes | SimulatedReply]:
    def checked(desk: VenueServer, query: Query) -> bytes | SimulatedReply:
        pair = desk.pair(query.get("symbol", ""))
        if pair is None:
            return _error("900001", "symbol not exists")
        return _ok(answer(desk, query, pair))

    return checked


def _status(desk: VenueServer, query: Query) -> bytes:
    if fault := desk.find(FaultKind.MAINTENANCE):
        return _ok({"status": "close", "msg": fault.text("title")})
    # Of restrictions it has a word for one alone.
    cancels = desk.restriction(None) == "cancel_only"
    return _ok({"status": "cancelonly" if cancels else "open", "msg": ""})


def _quote(pair: Pair, millis: int) -> Mapping[str, object]:
    one, (bid, bid_size), (ask, ask_size) = pair.listing, pair.bids.top(1)[0], pair.asks.top(1)[0]
    return {"sequence": str(pair.last), "bestAsk": one.price(ask), "size": one.size(pair.print[3]),
            "bestBidSize": one.size(bid_size), "price": one.price(pair.print[2]), "time": millis,
            "bestAskSize": one.size(ask_size), "bestBid": one.price(bid)}  # fmt: skip


def _book(desk: VenueServer, query: Query, pair: Pair) -> object:
    one = pair.listing
    bids, asks = (
        [[one.price(p), one.size(n)] for p, n in side.top(100)] for side in (pair.bids, pair.asks)
    )
    return {"time": desk.millis(), "sequence": str(pair.last), "bids": bids, "asks": asks}


def _symbols(desk: VenueServer, query: Query) -> bytes:
    return _ok([
        {"symbol": p.listing.symbol, "name": p.listing.symbol, "baseCurrency": p.listing.base,
         "quoteCurrency": p.listing.quote, "feeCurrency": p.listing.quote, "market": "USDS",
         "baseMinSize": p.listing.size(1), "baseIncrement": p.listing.size(1),
         "priceIncrement": p.listing.price(state.tick), "priceLimitRate": "0.1",
         "isMarginEnabled": False, "enableTrading": state.mode == "trading"}
        for p in desk.pairs()
        for state in (desk.listed_as(p),)
    ])  # fmt: skip


def _bullet(desk: VenueServer, query: Query) -> bytes:
    server = {"endpoint": desk.address + "/", "encrypt": False, "protocol": "websocket",
              "pingInterval": int(_PING_EVERY * 1000),
              "pingTimeout": int(_PING_TIMEOUT * 1000)}  # fmt: skip
    return _ok({"token": _TOKEN, "instanceServers": [server]})


def _headers(desk: VenueServer, usage: Usage) -> Mapping[str, str]:
    now = desk.millis() / 1000 - desk.skew()
    return {"gw-ratelimit-limit": str(usage.limit),
            "gw-ratelimit-remaining": str(max(0, usage.limit - usage.used)),
            "gw-ratelimit-reset": str(max(0, int((usage.reset - now) * 1000)))}  # fmt: skip


def _currencies(desk: VenueServer, query: Query) -> bytes:
    known = {name for p in desk.pairs() for name in (p.listing.base, p.listing.quote)}
    return _ok([
        {"currency": name, "name": name, "fullName": name, "precision": 8, "confirms": None,
         "contractAddress": None, "isMarginEnabled": False, "isDebitEnabled": False, "chains": []}
        for name in sorted(known)
    ])  # fmt: skip


def _day(pair: Pair) -> Mapping[str, object]:
    """Return what the day's answers and the snapshot topic have in common."""
    one, change = pair.listing, pair.print[2] - pair.day_open
    return {"symbol": one.symbol, "buy": one.price(pair.bids.best),
            "sell": one.price(pair.asks.best), "changeRate": f"{change / pair.day_open:.4f}",
            "changePrice": one.price(change), "high": one.price(pair.day_high),
            "low": one.price(pair.day_low), "vol": one.size(pair.day_volume),
            "volValue": _turnover(pair),
            "last": one.price(pair.print[2]), "averagePrice": one.price(pair.print[2]),
            "takerFeeRate": "0.001", "makerFeeRate": "0.001", "takerCoefficient": "1",
            "makerCoefficient": "1"}  # fmt: skip


def _turnover(pair: Pair) -> str:
    one = pair.listing
    return f"{float(one.size(pair.day_volume)) * float(one.price(pair.print[2])):.8f}"


def _all_tickers(desk: VenueServer, query: Query) -> bytes:
    rows = [{**_day(pair), "symbolName": pair.listing.symbol} for pair in desk.pairs()]
    return _ok({"time": desk.millis(), "ticker": rows})


def _histories(desk: VenueServer, query: Query, pair: Pair) -> object:
    return [
        {"sequence": str(n * 3), "price": pair.listing.price(p), "size": pair.listing.size(q),
         "side": "buy" if buy else "sell", "time": millis * 1_000_000}
        for (n, buy, p, q), millis in pair.recent
    ]  # fmt: skip


def _candle_row(pair: Pair, c: Candle) -> list[str]:
    volume = pair.listing.size(c.volume)
    amount = f"{float(volume) * float(pair.listing.price(c.close)):.8f}"
    prices = [pair.listing.price(p) for p in (c.open, c.close, c.high, c.low)]
    return [str(c.start // 1000), *prices, volume, amount]


def _rest_candles(desk: VenueServer, query: Query, pair: Pair) -> object:
    candles = [*pair.closed, pair.kline(60_000, desk.millis())]
    return [_candle_row(pair, c) for c in reversed(candles)]


# --- WebSocket --------------------------------------------------------------------------------


def _make(desk: VenueServer, topic: str) -> SimulatedFeed | None:
    channel, _, name = topic.partition(":")
    if channel == "/market/candles":
        symbol, _, interval = name.rpartition("_")
        pair = desk.pair(symbol)
        known = pair is not None and interval in _INTERVALS
        return _candles(pair, topic, _INTERVALS[interval]) if pair and known else None
    pair = desk.pair(name)
    if pair is None:
        return None
    match channel:
        case "/market/match":
            return SimulatedFeed(key=topic, topic=topic, channel="trades", pair=pair,
                        prints=partial(_matches, pair, topic))  # fmt: skip
        case "/market/ticker":
            return SimulatedFeed(key=topic, topic=topic, channel="quotes", pair=pair,
                        steps=_tickers(pair, topic))  # fmt: skip
        case "/market/level2":
            return SimulatedFeed(key=topic, topic=topic, channel="book", pair=pair,
                        steps=partial(_updates, pair, topic))  # fmt: skip
        case "/market/snapshot":
            return SimulatedFeed(key=topic, topic=topic, channel="ticker", pair=pair,
                        steps=partial(_snapshots, pair, topic))  # fmt: skip
        case "/spotMarket/level1":
            return SimulatedFeed(key=topic, topic=topic, channel="quotes", pair=pair,
                        steps=partial(_best, pair, topic))  # fmt: skip
        case "/spotMarket/level2Depth5" | "/spotMarket/level2Depth50":
            count = int(channel.rpartition("Depth")[2])
            return SimulatedFeed(key=topic, topic=topic, channel="book", pair=pair,
                        steps=partial(_tops, pair, topic, count))  # fmt: skip
    return None


def _message(topic: str, subject: str, row: object) -> bytes:
    return dump({"data": row, "subject": subject, "topic": topic, "type": "message"})


def _matches(pair: Pair, topic: str, prints: Sequence[Print], millis: int) -> list[bytes]:
    one = pair.listing
    return [
        (f'{{"data":{{"symbol":"{one.symbol}","sequence":"{n * 3}",'
         f'"side":"{"buy" if buy else "sell"}","size":"{one.size(q)}",'
         f'"price":"{one.price(p)}","takerOrderId":"{n:024x}",'
         f'"time":"{millis}{n % 10**6:06d}","type":"match","makerOrderId":"{n + 1:024x}",'
         f'"tradeId":"{n:024x}"}},"subject":"trade.l3match","topic":"{topic}","type":"message"}}'
         ).encode()
        for n, buy, p, q in prints
    ]  # fmt: skip


def _tickers(pair: Pair, topic: str) -> Callable[[Step], list[bytes]]:
    before: list[Levels] = []

    def steps(step: Step) -> list[bytes]:
        now = [pair.bids.top(1), pair.asks.top(1)]
        if now == before:
            return []
        before[:] = now
        return [_message(topic, "trade.ticker", _quote(pair, step.millis))]

    return steps


def _updates(pair: Pair, topic: str, step: Step) -> list[bytes]:
    one, number = pair.listing, step.first
    sides: dict[str, list[list[str]]] = {"asks": [], "bids": []}
    for side, levels in (("bids", step.bids), ("asks", step.asks)):
        for price, size in levels:
            sides[side].append([one.price(price), one.size(size) if size else "0", str(number)])
            number += 1
    row = {"sequenceStart": step.first, "symbol": one.symbol, "changes": sides,
           "sequenceEnd": step.last, "time": step.millis}  # fmt: skip
    return [_message(topic, "trade.l2update", row)]


def _tops(pair: Pair, topic: str, count: int, step: Step) -> list[bytes]:
    one = pair.listing
    bids, asks = (
        [[one.price(p), one.size(n)] for p, n in side.top(count)] for side in (pair.bids, pair.asks)
    )
    return [_message(topic, "level2", {"asks": asks, "bids": bids, "timestamp": step.millis})]


def _best(pair: Pair, topic: str, step: Step) -> list[bytes]:
    one = pair.listing
    (bid, bid_size), (ask, ask_size) = pair.bids.top(1)[0], pair.asks.top(1)[0]
    row = {"asks": [one.price(ask), one.size(ask_size)], "timestamp": step.millis,
           "bids": [one.price(bid), one.size(bid_size)]}  # fmt: skip
    return [_message(topic, "level1", row)]


def _snapshots(pair: Pair, topic: str, step: Step) -> list[bytes]:
    if step.number % _SNAPSHOT_STEPS:
        return []
    one = pair.listing
    row = {**_day(pair), "baseCurrency": one.base, "quoteCurrency": one.quote, "board": 0,
           "datetime": step.millis, "lastTradedPrice": one.price(pair.print[2]), "mark": 0,
           "market": one.quote, "markets": [one.quote], "open": one.price(pair.day_open),
           "sort": 100, "trading": True}  # fmt: skip
    return [_message(topic, "trade.snapshot", {"sequence": str(step.last), "data": row})]


def _candles(pair: Pair, topic: str, seconds: int) -> SimulatedFeed:
    one, length = pair.listing, seconds * 1000

    def frame(c: Candle, millis: int, subject: str) -> bytes:
        row, nanos = _candle_row(pair, c), millis * 1_000_000
        return _message(topic, subject, {"symbol": one.symbol, "candles": row, "time": nanos})

    def steps(step: Step) -> list[bytes]:
        now = pair.kline(length, step.millis)
        if length in step.closed:
            return [frame(step.closed[length], step.millis, "trade.candles.update"),
                    frame(now, step.millis, "trade.candles.add")]  # fmt: skip
        return [frame(now, step.millis, "trade.candles.update")] if step.second else []

    return SimulatedFeed(key=topic, topic=topic, channel="klines", pair=pair, steps=steps)


def _opened(session: SimulatedSession) -> None:
    number = session.query.get("connectId", session.id)[:64]
    if session.query.get("token") != _TOKEN:
        session.reply(_fail(number, 401, "token is invalid"))
        session.close(1008, "token is invalid")
        return
    session.reply(dump({"id": number, "type": "welcome"}).decode())


def _fail(number: str, code: int, text: str) -> str:
    return dump({"id": number, "type": "error", "code": code, "data": text[:200]}).decode()


def _received(session: SimulatedSession, text: str) -> None:
    try:
        asked = json.loads(text)
        number, kind = str(asked["id"]), asked["type"]
        topic = str(asked.get("topic", ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        session.reply(_fail("", 400, "invalid message"))
        return
    if kind == "ping":
        session.reply(dump({"id": number, "type": "pong"}).decode(), keepalive=True)
        return
    if kind not in ("subscribe", "unsubscribe"):
        session.reply(_fail(number, 404, f"type {kind} is not supported"))
        return
    channel, _, names = topic.partition(":")
    # cryptofeed 2.4.1 puts a space before each name; taken for harmless, unconfirmed.
    topics = [f"{channel}:{name.strip()}" for name in names.split(",")]
    ack = dump({"id": number, "type": "ack"}).decode()
    if kind == "unsubscribe":
        for one in topics:
            session.unsubscribe(one)
        session.reply(ack)
        return
    if session.desk.limited and len(session.feeds) + len(topics) > _MOST_TOPICS:
        session.reply(_fail(number, 509, "exceed max subscription count limitation of 300"))
        return
    for one in topics:
        feed = session.desk.feeds.get(one) or _make(session.desk, one)
        if feed is None or not session.subscribe(feed):
            session.reply(_fail(number, 404, f"topic {one} is not found"))
            return
    if asked.get("response"):
        session.reply(ack)


def _tended(session: SimulatedSession, now: float) -> None:
    # Data does not count: who does not ping is taken for dead.
    if now - session.heard > _PING_EVERY + _PING_TIMEOUT:
        session.close(1008, "ping timeout")


WIRE = VenueSpec(
    name="kucoin",
    symbol=lambda instrument: instrument,
    routes={
        "/api/v1/timestamp": Route(answer=lambda desk, query: _ok(desk.millis())),
        "/api/v1/status": Route(answer=_status, always=True),
        "/api/v1/market/orderbook/level1": Route(
            answer=_of(lambda desk, query, pair: _quote(pair, desk.millis()))
        ),
        "/api/v1/market/orderbook/level2_100": Route(answer=_of(_book)),
        "/api/v3/market/orderbook/level2": Route(answer=_of(_book)),
        "/api/v1/symbols": Route(answer=_symbols),
        "/api/v2/symbols": Route(answer=_symbols),
        "/api/v1/currencies": Route(answer=_currencies),
        "/api/v3/currencies": Route(answer=_currencies),
        "/api/v1/market/allTickers": Route(answer=_all_tickers),
        "/api/v1/market/stats": Route(
            answer=_of(lambda desk, query, pair: {"time": desk.millis(), **_day(pair)})
        ),
        "/api/v1/market/histories": Route(answer=_of(_histories)),
        "/api/v1/market/candles": Route(answer=_of(_rest_candles)),
        "/api/v1/bullet-public": Route(answer=_bullet, method="POST"),
    },
    refusals=Refusals(
        unknown_path=lambda desk, path: _error("404000", "Url Not Found", 404),
        limited=lambda desk, wait: _error("429000", "Too Many Requests", 429),
        banned=lambda desk, wait: _error("403", "Forbidden", 403),
        unavailable=lambda desk: _error("500000", "Service is under maintenance", 503),
    ),
    quota=Quota(limit=2000, window=30.0),
    headers=_headers,
    sockets=lambda path: path in ("", "/", "/endpoint"),
    opened=_opened,
    received=_received,
    tended=_tended,
    incoming=Quota(limit=100, window=10.0),
    connects=Quota(limit=30, window=60.0),
)
