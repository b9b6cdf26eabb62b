"""Bybit v5, spot, linear and inverse, as its server.

Source: github.com/bybit-exchange/docs at 072c197, read 2026-07-24; acks and level-1 books as
captured in August 2026. Spot and linear share the same markets here, inverse are those in USD.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from exporter.simulator.kinds import FaultKind
from exporter.simulator.market import Candle, Levels, Listing, Pair, PriceWindow, Print, Step
from exporter.simulator.perpetuals import state_of
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
from exporter.simulator.state_streams import changes
from exporter.simulator.venue_server import VenueServer

_DEPTHS = (1, 50, 200, 1000)
_INTERVALS = {"1": 60, "3": 180, "5": 300, "15": 900, "60": 3600, "D": 86_400}
_CATEGORIES = ("spot", "linear", "inverse", "option")  # no option is listed
_MOST_ARGS = 10
_MOST_CHARACTERS = 21_000


# --- REST -------------------------------------------------------------------------------------


def _envelope(desk: VenueServer, result: object, code: int = 0, message: str = "OK") -> bytes:
    return dump({"retCode": code, "retMsg": message, "result": result, "retExtInfo": {},
                  "time": desk.millis()})  # fmt: skip


def _fault(desk: VenueServer, code: int, message: str, status: int = 200) -> SimulatedReply:
    return SimulatedReply(status=status, body=_envelope(desk, {}, code, message))


def _time(desk: VenueServer, query: Query) -> bytes:
    nanos = desk.nanos()
    return _envelope(desk, {"timeSecond": str(nanos // 10**9), "timeNano": str(nanos)})


def _status(desk: VenueServer, query: Query) -> bytes:
    return _envelope(desk, {"list": list(_windows(desk).values())})


def _windows(desk: VenueServer) -> dict[str, Mapping[str, object]]:
    rows = [
        {"id": f"4d95b2a0-587f-11f0-bcc9-56f28c94d6e{number:x}", "title": fault.text("title"),
         "state": "scheduled" if fault.kind is FaultKind.ANNOUNCED else "ongoing",
         "begin": str(begin), "end": str(end), "href": "", "serviceTypes": [2, 3, 4, 5],
         "product": [1, 2], "uidSuffix": [],
         "maintainType": 3 if fault.kind is FaultKind.INCIDENT else 1, "env": 1}
        for number, (fault, begin, end) in enumerate(desk.notices())
    ]  # fmt: skip
    return {str(row["id"]): row for row in rows}


def _of(pair: Pair, category: str) -> bool:
    dollars = pair.listing.quote == "USD"
    return category == "inverse" if dollars else category in ("spot", "linear")


def _pairs(desk: VenueServer, category: str) -> list[Pair]:
    return [pair for pair in desk.pairs() if _of(pair, category)]


def _market(
    answer: Callable[[VenueServer, Query, Pair | None], object], needs_symbol: bool
) -> Callable[[VenueServer, Query], bytes | SimulatedReply]:
    """Check ``category`` and ``symbol`` as all market endpoints do."""

    def checked(desk: VenueServer, query: Query) -> bytes | SimulatedReply:
        if query.get("category") not in _CATEGORIES:
            return _fault(desk, 10001, "params error: Category is invalid")
        symbol = query.get("symbol")
        pair = desk.pair(symbol) if symbol else None
        if pair is not None and not _of(pair, query["category"]):
            pair = None
        if pair is None and (symbol or needs_symbol):
            return _fault(desk, 10001, "Not supported symbols")
        return _envelope(desk, answer(desk, query, pair))

    return checked


def _tickers(desk: VenueServer, query: Query, pair: Pair | None) -> object:
    category = query["category"]
    pairs = [pair] if pair else _pairs(desk, category)
    contracts = category != "spot"
    told = (_told(desk, one) if contracts else None for one in pairs)
    rows = [{**_quote(one), **_ticker(one, each)} for one, each in zip(pairs, told, strict=True)]
    return {"category": category, "list": rows}


def _quote(pair: Pair) -> Mapping[str, str]:
    one, (bid, bid_size), (ask, ask_size) = pair.listing, pair.bids.top(1)[0], pair.asks.top(1)[0]
    return {"symbol": one.symbol, "bid1Price": one.price(bid), "bid1Size": one.size(bid_size),
            "ask1Price": one.price(ask), "ask1Size": one.size(ask_size)}  # fmt: skip


def _told(desk: VenueServer, pair: Pair) -> Mapping[str, str]:
    """Return what is said of a contract beside what it trades at."""
    state = state_of(desk, pair)
    return {"markPrice": state.mark, "indexPrice": state.index, "fundingRate": f"{state.rate:.6f}",
            "nextFundingTime": str(state.due), "fundingIntervalHour": str(state.interval),
            "fundingCap": "0.005"}  # fmt: skip


def _ticker(pair: Pair, told: Mapping[str, str] | None) -> dict[str, str]:
    one, last, opened = pair.listing, pair.print[2], pair.day_open
    price, volume = one.price(last), one.size(pair.day_volume)
    row = {
        "symbol": one.symbol,
        "lastPrice": price,
        "highPrice24h": one.price(pair.day_high),
        "lowPrice24h": one.price(pair.day_low),
        "prevPrice24h": one.price(opened),
        "volume24h": volume,
        "turnover24h": f"{float(volume) * float(price):.8f}",
        "price24hPcnt": f"{(last - opened) / opened:.4f}",
    }
    if told is None:
        return {**row, "usdIndexPrice": price}
    # Spot's and contracts' rows are told apart by these fields: so ccxt 4.5.90 does it.
    return {
        **row,
        "tickDirection": "PlusTick" if pair.print[1] else "MinusTick",
        "prevPrice1h": one.price(opened),
        "openInterest": "54321.123",
        "openInterestValue": f"{54321.123 * float(price):.4f}",
        **told,
    }


def _instruments(desk: VenueServer, query: Query, pair: Pair | None) -> object:
    contract = query["category"] != "spot"
    rows = [
        {"symbol": p.listing.symbol, "baseCoin": p.listing.base, "quoteCoin": p.listing.quote,
         "status": "Trading", "priceFilter": {"tickSize": p.listing.price(state.tick)},
         **({**_contract(p), "deliveryTime": str(state.delisting or 0)} if contract else _spot(p))}
        for p in ([pair] if pair else _pairs(desk, query["category"]))
        for state in (desk.listed_as(p),)
        if state.mode == "trading"  # others are not listed unless asked for
    ]  # fmt: skip
    page = {"nextPageCursor": ""} if contract else {}
    return {"category": query["category"], "list": rows, **page}


def _spot(pair: Pair) -> Mapping[str, object]:
    sizes = {"basePrecision": pair.listing.size(1), "quotePrecision": "0.0000001"}
    return {"innovation": "0", "marginTrading": "both", "lotSizeFilter": sizes}


def _contract(pair: Pair) -> Mapping[str, object]:
    one = pair.listing
    inverse = one.quote == "USD"
    kind = "InversePerpetual" if inverse else "LinearPerpetual"
    return {"contractType": kind, "launchTime": "1584230400000", "deliveryTime": "0",
            "deliveryFeeRate": "", "priceScale": str(one.price_decimals),
            "settleCoin": one.base if inverse else one.quote, "unifiedMarginTrade": True,
            "fundingInterval": 480,
            "copyTrading": "none", "isPreListing": False, "preListingInfo": None,
            "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
            "lotSizeFilter": {"maxOrderQty": "1190.000", "minOrderQty": one.size(1),
                              "qtyStep": one.size(1), "minNotionalValue": "5"}}  # fmt: skip


def _recent(desk: VenueServer, query: Query, pair: Pair | None) -> object:
    assert pair is not None  # noqa: S101 - `needs_symbol`
    one = pair.listing
    rows = [
        {"execId": f"{n:036x}", "symbol": one.symbol, "price": one.price(p), "size": one.size(q),
         "side": "Buy" if buy else "Sell", "time": str(millis), "isBlockTrade": False,
         "isRPITrade": False, "seq": str(n * 3)}
        for (n, buy, p, q), millis in reversed(pair.recent)
    ]  # fmt: skip
    return {"category": query["category"], "list": rows}


def _candles(desk: VenueServer, query: Query, pair: Pair | None) -> object:
    assert pair is not None  # noqa: S101 - `needs_symbol`
    one, candles = pair.listing, [*pair.closed, pair.kline(60_000, desk.millis())]
    rows = [
        [str(c.start), *(one.price(p) for p in (c.open, c.high, c.low, c.close)),
         one.size(c.volume), f"{float(one.size(c.volume)) * float(one.price(c.close)):.8f}"]
        for c in reversed(candles)
    ]  # fmt: skip
    return {"category": query["category"], "symbol": one.symbol, "list": rows}


def _book(desk: VenueServer, query: Query, pair: Pair | None) -> object:
    assert pair is not None  # noqa: S101 - `needs_symbol`
    limit = query.get("limit", "1")
    count = min(int(limit), 1000) if limit.isdecimal() else 1
    one, now = pair.listing, desk.millis()

    def rows(levels: Levels) -> list[list[str]]:
        return [[one.price(p), one.size(n)] for p, n in levels]

    return {"s": one.symbol, "b": rows(pair.bids.top(count)), "a": rows(pair.asks.top(count)),
            "ts": now, "u": pair.version, "seq": pair.last, "cts": now}  # fmt: skip


def _headers(desk: VenueServer, usage: Usage) -> Mapping[str, str]:
    return {
        "X-Bapi-Limit": str(usage.limit),
        "X-Bapi-Limit-Status": str(max(0, usage.limit - usage.used)),
        "X-Bapi-Limit-Reset-Timestamp": str(int(usage.reset * 1000)),
    }


# --- WebSocket --------------------------------------------------------------------------------


def _make(desk: VenueServer, topic: str, category: str) -> SimulatedFeed | None:
    """Make the feed of a topic; None where no such topic exists."""
    parts = topic.split(".")
    pair = desk.pair(parts[-1])
    key = f"{category}:{topic}"
    if pair is None or not _of(pair, category):
        return None
    match parts:
        case ["publicTrade", _]:
            return SimulatedFeed(key=key, topic=topic, channel="trades", pair=pair,
                        prints=_trades(pair, topic))  # fmt: skip
        case ["orderbook", depth, _] if depth.isdecimal() and int(depth) in _DEPTHS:
            if depth == "1":
                return _level_one(pair, key, topic)
            return _orderbook(pair, key, topic, int(depth))
        case ["kline", interval, _] if interval in _INTERVALS:
            return SimulatedFeed(key=key, topic=topic, channel="klines", pair=pair,
                        steps=_kline(pair, topic, interval))  # fmt: skip
        case ["tickers", _]:
            return _tickers_feed(desk, pair, key, topic, category != "spot")
    return None


def _trades(pair: Pair, topic: str) -> Callable[[Sequence[Print], int], list[bytes]]:
    one = pair.listing
    shape = (
        f'{{"topic":"{topic}","type":"snapshot","ts":%d,"data":[{{"T":%d,"s":"{one.symbol}",'
        '"S":"%s","v":"%s","p":"%s","L":"%s",'
        f'"i":"{pair.last:08x}-d8dd-5b31-9112-%012x","BT":false,"seq":%d}}]}}'
    )

    def encode(prints: Sequence[Print], millis: int) -> list[bytes]:
        prices = {row[2]: one.price(row[2]) for row in prints}
        sizes = {row[3]: one.size(row[3]) for row in prints}
        return [
            (shape % (millis, millis, "Buy" if buy else "Sell", sizes[q], prices[p],
                      "PlusTick" if buy else "MinusTick", n, n * 3)).encode()
            for n, buy, p, q in prints
        ]  # fmt: skip

    return encode


def _levels(one: Listing, levels: Levels) -> str:
    rows = [f'["{one.price(p)}","{one.size(n) if n else 0}"]' for p, n in levels]
    return f"[{','.join(rows)}]"


def _frame(
    pair: Pair, topic: str, kind: str, millis: int, bids: Levels, asks: Levels, update: int
) -> bytes:
    one = pair.listing
    return (
        f'{{"topic":"{topic}","type":"{kind}","ts":{millis},"data":{{"s":"{one.symbol}",'
        f'"b":{_levels(one, bids)},"a":{_levels(one, asks)},"u":{update},"seq":{pair.last}}},'
        f'"cts":{millis - 1}}}'
    ).encode()


def _level_one(pair: Pair, key: str, topic: str) -> SimulatedFeed:
    """Return level 1: snapshots only, one a change, repeated after 3 s without one."""
    before: list[object] = [None]
    number, sent = pair.version, 0

    def snapshot(millis: int) -> bytes:
        return _frame(pair, topic, "snapshot", millis, pair.bids.top(1), pair.asks.top(1), number)

    def steps(step: Step) -> list[bytes]:
        nonlocal number, sent
        best = [pair.bids.top(1), pair.asks.top(1)]
        if best != before:
            before[:] = best
            number += 1
        elif step.millis - sent < 3000:
            return []
        sent = step.millis
        return [snapshot(step.millis)]

    return SimulatedFeed(key=key, topic=topic, channel="quotes", pair=pair, steps=steps,
                opening=lambda millis: [snapshot(millis)])  # fmt: skip


def _orderbook(pair: Pair, key: str, topic: str, depth: int) -> SimulatedFeed:
    """Return a snapshot and then deltas of the best ``depth`` levels a side."""
    window = PriceWindow(pair, depth)

    def steps(step: Step) -> list[bytes]:
        bids, asks = window.changes()
        return [_frame(pair, topic, "delta", step.millis, bids, asks, pair.version)]

    def opening(millis: int) -> list[bytes]:
        bids, asks = window.levels()
        return [_frame(pair, topic, "snapshot", millis, bids, asks, pair.version)]

    return SimulatedFeed(
        key=key, topic=topic, channel="book", pair=pair, steps=steps, opening=opening
    )


def _kline(pair: Pair, topic: str, interval: str) -> Callable[[Step], list[bytes]]:
    one, length = pair.listing, _INTERVALS[interval] * 1000

    def steps(step: Step) -> list[bytes]:
        closed = step.closed.get(length)
        if closed is None and not step.second:
            return []
        return [frame(closed or pair.kline(length, step.millis), step.millis)]

    def frame(c: Candle, millis: int) -> bytes:
        volume = one.size(c.volume)
        row = {"start": c.start, "end": c.end, "interval": interval, "open": one.price(c.open),
               "close": one.price(c.close), "high": one.price(c.high), "low": one.price(c.low),
               "volume": volume, "turnover": f"{float(volume) * float(one.price(c.close)):.4f}",
               "confirm": c.closed, "timestamp": millis}  # fmt: skip
        return dump({"topic": topic, "data": [row], "ts": millis, "type": "snapshot"})

    return steps


def _tickers_feed(
    desk: VenueServer, pair: Pair, key: str, topic: str, contract: bool
) -> SimulatedFeed:
    """Spot: snapshots without bid and ask. Linear: a snapshot, then what has changed."""
    seen: dict[str, str] = {}

    def frame(row: Mapping[str, str], kind: str, millis: int) -> bytes:
        return dump({"topic": topic, "ts": millis, "type": kind, "cs": pair.last, "data": row})

    def steps(step: Step) -> list[bytes]:
        row = _row()
        if not contract:
            if row == seen:
                return []
            seen.update(row)
            return [frame(row, "snapshot", step.millis)]
        changed = {k: v for k, v in row.items() if seen.get(k) != v}
        seen.update(row)
        if not changed:
            return []
        return [frame({"symbol": row["symbol"], **changed}, "delta", step.millis)]

    def _row() -> dict[str, str]:
        told = _told(desk, pair) if contract else None
        return {**_ticker(pair, told), **(_quote(pair) if contract else {})}

    def opening(millis: int) -> list[bytes]:
        return [frame(_row(), "snapshot", millis)]

    return SimulatedFeed(
        key=key, topic=topic, channel="ticker", pair=pair, steps=steps, opening=opening
    )


def _received(session: SimulatedSession, text: str) -> None:
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError):
        asked = None
    operation = asked.get("op") if isinstance(asked, dict) else None
    category = session.path.rpartition("/")[2]
    contract = category != "spot"
    # A number comes back as text: so the clients expect it that send one.
    given = asked.get("req_id") if isinstance(asked, dict) else None
    number = {} if given is None else {"req_id": str(given)}

    def reply(good: bool, message: str, *, keepalive: bool = False) -> None:
        frame = {"success": good, "ret_msg": message, "conn_id": session.id, **number,
                 "op": operation or ""}  # fmt: skip
        session.reply(json.dumps(frame, separators=(",", ":")), keepalive=keepalive)

    if operation == "ping":
        # Only contracts' streams echo the request's id.
        number = number if contract else {}
        reply(True, "pong", keepalive=True)
        return
    args = asked.get("args") if isinstance(asked, dict) else None
    if operation not in ("subscribe", "unsubscribe") or not isinstance(args, list):
        reply(False, "Invalid request: expected op and args")
        return
    if wrong := _objection(session, args, operation):
        reply(False, wrong)
        return
    if category == "status":
        session.heard_of["system.status"] = {}
        reply(True, "subscribe")
        return
    prefix = f"{category}:"
    if operation == "unsubscribe":
        for topic in args:
            session.unsubscribe(prefix + topic)
        reply(True, "" if contract else "unsubscribe")
        return
    feeds = [session.desk.feeds.get(prefix + t) or _make(session.desk, t, category) for t in args]
    known = [feed for feed in feeds if feed is not None]
    if len(known) < len(feeds):
        reply(False, f"Invalid topic: {args[feeds.index(None)][:80]}")
        return
    for feed in known:
        if not session.subscribe(feed):
            reply(False, f"Invalid topic: {feed.topic}")
            return
    reply(True, "" if contract else "subscribe")
    for feed in known:
        session.open(feed)


def _tended(session: SimulatedSession, now: float) -> None:
    """Push the windows that began or ended since."""
    if (heard := session.heard_of.get("system.status")) is None:
        return
    now_on = {
        name: row if name not in heard or heard[name]["state"] != row["state"] else heard[name]
        for name, row in _windows(session.desk).items()
    }
    over = {n: {**row, "state": "completed"} for n, row in heard.items() if n not in now_on}
    if rows := [*changes(session, "system.status", now_on).values(), *over.values()]:
        frame = {"topic": "system.status", "ts": session.desk.millis(), "data": rows}
        session.reply(dump(frame).decode())
    for name in over:
        del heard[name]


def _objection(session: SimulatedSession, args: list[object], operation: str) -> str:
    if not all(isinstance(topic, str) for topic in args):
        return "Invalid request: args must be texts"
    if not session.desk.limited or operation == "unsubscribe":
        return ""
    if session.path.endswith("/spot") and len(args) > _MOST_ARGS:
        return f"args size >{_MOST_ARGS}"
    held = sum(len(feed.topic) for feed in session.feeds.values())
    if held + sum(len(str(topic)) for topic in args) > _MOST_CHARACTERS:
        return f"args length >{_MOST_CHARACTERS}"
    return ""


WIRE = VenueSpec(
    name="bybit",
    symbol=lambda instrument: instrument.removesuffix("-PERP").replace("-", ""),
    contracts=lambda asked: [each for each in asked if each.endswith("-USD-PERP")],
    routes={
        "/v5/market/time": Route(answer=_time),
        "/v5/system/status": Route(answer=_status, always=True),
        "/v5/market/tickers": Route(answer=_market(_tickers, needs_symbol=False)),
        "/v5/market/instruments-info": Route(answer=_market(_instruments, needs_symbol=False)),
        "/v5/market/orderbook": Route(answer=_market(_book, needs_symbol=True)),
        "/v5/market/recent-trade": Route(answer=_market(_recent, needs_symbol=True)),
        "/v5/market/kline": Route(answer=_market(_candles, needs_symbol=True)),
    },
    refusals=Refusals(
        unknown_path=lambda desk, path: _fault(desk, 10017, "route not found.", 404),
        # One endpoint too often is code 10006 in a 200; the whole address, a 403 in plain text.
        limited=lambda desk, wait: SimulatedReply(
            status=403, body=b"403, access too frequent", content_type="text/plain"
        ),
        banned=lambda desk, wait: SimulatedReply(
            status=403, body=b"403, access too frequent", content_type="text/plain"
        ),
        unavailable=lambda desk: _fault(desk, 10016, "Service is under maintenance", 503),
    ),
    quota=Quota(limit=600, window=5.0),
    headers=_headers,
    sockets=lambda path: path in [f"/v5/public/{one}" for one in (*_CATEGORIES, "misc/status")],
    received=_received,
    tended=_tended,
    idle_limit=600.0,
    connects=Quota(limit=500, window=300.0),
)
