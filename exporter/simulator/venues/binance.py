"""Binance, spot, as its server.

Source: github.com/binance/binance-spot-api-docs (rest-api.md, web-socket-streams.md, errors.md)
at a5e0bc3, read 2026-07-21; frames checked against traffic recorded in October 2021.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence

from exporter.simulator.desk import Desk
from exporter.simulator.kinds import Kind
from exporter.simulator.market import Candle, Levels, Listing, Pair, Print, Step
from exporter.simulator.session import Session
from exporter.simulator.spec import Feed, Query, Quota, Refusals, Reply, Route, Usage, Wire

_PAD = 8  # all prices and sizes carry eight decimals
_INTERVALS = {"1s": 1, "1m": 60, "3m": 180, "5m": 300, "15m": 900, "1h": 3600, "1d": 86_400}
_LIMIT = 6000


# --- REST -------------------------------------------------------------------------------------


def _error(code: int, message: str, status: int = 400, **headers: str) -> Reply:
    body = json.dumps({"code": code, "msg": message}, separators=(",", ":")).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status=status, body=body, headers=named)


def _limited(desk: Desk, wait: float) -> Reply:
    message = (
        f"Too much request weight used; current limit is {_LIMIT} request weight per 1 MINUTE. "
        "Please use WebSocket Streams for live updates to avoid polling the API."
    )
    return _error(-1003, message, 429, Retry_After=str(int(wait) + 1))


def _banned(desk: Desk, wait: float) -> Reply:
    until = desk.millis() + int(wait * 1000)
    message = (
        f"Way too much request weight used; IP banned until {until}. "
        "Please use WebSocket Streams for live updates to avoid bans."
    )
    return _error(-1003, message, 418, Retry_After=str(int(wait) + 1))


def _unavailable(desk: Desk) -> Reply:
    return _error(-1008, "Server is currently overloaded with other requests.", 503)


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _levels(listing: Listing, levels: Levels) -> str:
    rows = [f'["{listing.price(p, _PAD)}","{listing.size(n, _PAD)}"]' for p, n in levels]
    return f"[{','.join(rows)}]"


def _of(
    answer: Callable[[Desk, Query, Pair], bytes | Reply],
) -> Callable[[Desk, Query], bytes | Reply]:
    """Give an answer that needs the parameter ``symbol``."""

    def checked(desk: Desk, query: Query) -> bytes | Reply:
        symbol = query.get("symbol", "")
        if not symbol:
            return _error(
                -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."
            )
        pair = desk.pair(symbol)
        return answer(desk, query, pair) if pair else _error(-1121, "Invalid symbol.")

    return checked


def _depth(desk: Desk, query: Query, pair: Pair) -> bytes | Reply:
    limit = query.get("limit", "100")
    if not limit.isdecimal() or int(limit) < 1:
        return _error(-1100, "Illegal characters found in parameter 'limit'.")
    count = min(int(limit), 5000)
    bids = _levels(pair.listing, pair.bids.top(count))
    asks = _levels(pair.listing, pair.asks.top(count))
    return f'{{"lastUpdateId":{pair.last},"bids":{bids},"asks":{asks}}}'.encode()


def _depth_weight(query: Query) -> int:
    limit = int(query["limit"]) if query.get("limit", "").isdecimal() else 100
    return 5 if limit <= 100 else 25 if limit <= 500 else 50 if limit <= 1000 else 250


def _every(
    row: Callable[[Pair], Mapping[str, object]],
) -> Callable[[Desk, Query], bytes | Reply]:
    """Give one symbol's row, or all rows in an array if none is named."""

    def answer(desk: Desk, query: Query) -> bytes | Reply:
        if "symbol" not in query:
            return _json([row(pair) for pair in desk.pairs()])
        pair = desk.pair(query["symbol"])
        return _json(row(pair)) if pair else _error(-1121, "Invalid symbol.")

    return answer


def _price(pair: Pair) -> Mapping[str, object]:
    return {"symbol": pair.listing.symbol, "price": pair.listing.price(pair.print[2], _PAD)}


def _best(pair: Pair) -> Mapping[str, object]:
    one = pair.listing
    (bid, bid_size), (ask, ask_size) = pair.bids.top(1)[0], pair.asks.top(1)[0]
    return {
        "symbol": one.symbol,
        "bidPrice": one.price(bid, _PAD),
        "bidQty": one.size(bid_size, _PAD),
        "askPrice": one.price(ask, _PAD),
        "askQty": one.size(ask_size, _PAD),
    }


def _info(desk: Desk, query: Query) -> bytes | Reply:
    wanted = query.get("symbol")
    if wanted is not None and desk.pair(wanted) is None:
        return _error(-1121, "Invalid symbol.")
    symbols = [
        {
            "symbol": pair.listing.symbol,
            "status": "TRADING",
            "baseAsset": pair.listing.base,
            "baseAssetPrecision": _PAD,
            "quoteAsset": pair.listing.quote,
            "quotePrecision": _PAD,
            "quoteAssetPrecision": _PAD,
            "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
            "isSpotTradingAllowed": True,
            "filters": [
                {"filterType": "PRICE_FILTER", "tickSize": pair.listing.price(1, _PAD)},
                {"filterType": "LOT_SIZE", "stepSize": pair.listing.size(1, _PAD)},
            ],
            "permissions": ["SPOT"],
        }
        for pair in desk.pairs()
        if wanted in (None, pair.listing.symbol)
    ]
    minute = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1}
    raw = {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5}
    return _json(
        {
            "timezone": "UTC",
            "serverTime": desk.millis(),
            "rateLimits": [{**minute, "limit": _LIMIT}, {**raw, "limit": 61_000}],
            "exchangeFilters": [],
            "symbols": symbols,
        }
    )


def _status(desk: Desk, query: Query) -> bytes:
    busy = desk.find(Kind.MAINTENANCE)
    return _json({"status": 1, "msg": "system_maintenance"} if busy
                 else {"status": 0, "msg": "normal"})  # fmt: skip


def _klines(desk: Desk, query: Query, pair: Pair) -> bytes | Reply:
    if query.get("interval") != "1m":
        return _error(-1120, "Invalid interval.")
    one, now = pair.listing, desk.millis()
    rows = [
        [c.start, *(one.price(p, _PAD) for p in (c.open, c.high, c.low, c.close)),
         one.size(c.volume, _PAD), c.end, _turnover(one, c, c.volume), c.count,
         one.size(c.bought, _PAD), _turnover(one, c, c.bought), "0"]
        for c in (*pair.closed, pair.kline(60_000, now))
    ]  # fmt: skip
    limit = query.get("limit", "500")
    return _json(rows[-int(limit) :] if limit.isdecimal() and int(limit) else rows)


def _headers(desk: Desk, usage: Usage) -> Mapping[str, str]:
    return {"x-mbx-used-weight": str(usage.used), "x-mbx-used-weight-1m": str(usage.used)}


# --- WebSocket --------------------------------------------------------------------------------

_STREAM = re.compile(
    r"(\w+)@(trade|aggTrade|bookTicker|ticker|kline_\w+|depth(5|10|20)?(@100ms|@1000ms)?)"
)
_MOST_STREAMS = 1024


def _make(desk: Desk, name: str, wrapped: bool) -> Feed | None:
    """Make the feed of a stream name; None where no such stream exists."""
    found = _STREAM.fullmatch(name)
    pair = desk.pair(found[1].upper()) if found and found[1].islower() else None
    if not found or not pair:
        return None
    kind = found[2]
    start, end = (f'{{"stream":"{name}","data":', "}") if wrapped else ("", "")
    key = ("stream:" if wrapped else "ws:") + name
    if kind in ("trade", "aggTrade"):
        encode = (_trades if kind == "trade" else _agg_trades)(pair.listing, start, end)
        return Feed(key=key, topic=name, channel="trades", pair=pair, prints=encode)
    channel, payload = _stepwise(pair, kind, found[3])
    if payload is None:
        return None

    def steps(step: Step) -> list[bytes]:
        text = payload(step)
        return [(start + text + end).encode()] if text else []

    return Feed(key=key, topic=name, channel=channel, pair=pair, steps=steps)


def _stepwise(
    pair: Pair, kind: str, levels: str | None
) -> tuple[str, Callable[[Step], str] | None]:
    if kind == "bookTicker":
        return "quotes", _book_ticker(pair)
    if kind == "ticker":
        return "ticker", _ticker(pair)
    if kind.startswith("kline_"):
        interval = kind.removeprefix("kline_")
        return "klines", _kline(pair, interval) if interval in _INTERVALS else None
    slow = not kind.endswith("@100ms")
    return "book", _partial(pair, int(levels), slow) if levels else _updates(pair, slow)


def _trades(one: Listing, start: str, end: str) -> Callable[[Sequence[Print], int], list[bytes]]:
    shape = (
        f'{start}{{"e":"trade","E":%d,"s":"{one.symbol}","t":%d,"p":"%s","q":"%s","T":%d,'
        f'"m":%s,"M":true}}{end}'
    )

    def encode(prints: Sequence[Print], millis: int) -> list[bytes]:
        # Prices and sizes repeat in a batch: spelling them once halves the cost of a firehose.
        prices = {row[2]: one.price(row[2], _PAD) for row in prints}
        sizes = {row[3]: one.size(row[3], _PAD) for row in prints}
        return [
            (shape % (millis, n, prices[p], sizes[q], millis, "false" if buy else "true")).encode()
            for n, buy, p, q in prints
        ]

    return encode


def _agg_trades(
    one: Listing, start: str, end: str
) -> Callable[[Sequence[Print], int], list[bytes]]:
    shape = (
        f'{start}{{"e":"aggTrade","E":%d,"s":"{one.symbol}","a":%d,"p":"%s","q":"%s","f":%d,'
        f'"l":%d,"T":%d,"m":%s,"M":true}}{end}'
    )

    def encode(prints: Sequence[Print], millis: int) -> list[bytes]:
        return [
            (shape % (millis, n, one.price(p, _PAD), one.size(q, _PAD), n, n, millis,
                      "false" if buy else "true")).encode()
            for n, buy, p, q in prints
        ]  # fmt: skip

    return encode


def _book_ticker(pair: Pair) -> Callable[[Step], str]:
    one, before = pair.listing, [pair.bids.top(1), pair.asks.top(1)]

    def payload(step: Step) -> str:
        now = [pair.bids.top(1), pair.asks.top(1)]
        if now == before:
            return ""
        before[:] = now
        (bid, bid_size), (ask, ask_size) = now[0][0], now[1][0]
        return (
            f'{{"u":{step.last},"s":"{one.symbol}","b":"{one.price(bid, _PAD)}",'
            f'"B":"{one.size(bid_size, _PAD)}","a":"{one.price(ask, _PAD)}",'
            f'"A":"{one.size(ask_size, _PAD)}"}}'
        )

    return payload


def _updates(pair: Pair, slow: bool) -> Callable[[Step], str]:
    """Give the diff stream; the slow one gathers a second's changes into one frame."""
    one = pair.listing
    bids: dict[int, int] = {}
    asks: dict[int, int] = {}
    first = [0]

    def payload(step: Step) -> str:
        first[0] = first[0] or step.first
        bids.update(step.bids)
        asks.update(step.asks)
        if slow and not step.second:
            return ""
        text = (
            f'{{"e":"depthUpdate","E":{step.millis},"s":"{one.symbol}","U":{first[0]},'
            f'"u":{step.last},"b":{_levels(one, [*bids.items()])},'
            f'"a":{_levels(one, [*asks.items()])}}}'
        )
        first[0] = 0
        bids.clear()
        asks.clear()
        return text

    return payload


def _partial(pair: Pair, count: int, slow: bool) -> Callable[[Step], str]:
    one = pair.listing

    def payload(step: Step) -> str:
        if slow and not step.second:
            return ""
        bids, asks = _levels(one, pair.bids.top(count)), _levels(one, pair.asks.top(count))
        return f'{{"lastUpdateId":{step.last},"bids":{bids},"asks":{asks}}}'

    return payload


def _turnover(one: Listing, candle: Candle, lots: int) -> str:
    # At the mean of its prices: plausible, and enough for a field that nobody checks.
    mean = (candle.high + candle.low) / 2 / 10**one.price_decimals
    return f"{mean * lots / 10**one.size_decimals:.8f}"


def _kline(pair: Pair, interval: str) -> Callable[[Step], str]:
    one, length = pair.listing, _INTERVALS[interval] * 1000

    def payload(step: Step) -> str:
        candle = step.closed.get(length)
        if candle is None and not step.second:
            return ""
        c = candle or pair.kline(length, step.millis)
        prices = [one.price(p, _PAD) for p in (c.open, c.close, c.high, c.low)]
        return (
            f'{{"e":"kline","E":{step.millis},"s":"{one.symbol}","k":{{"t":{c.start},"T":{c.end},'
            f'"s":"{one.symbol}","i":"{interval}","f":{c.first},"L":{c.last},"o":"{prices[0]}",'
            f'"c":"{prices[1]}","h":"{prices[2]}","l":"{prices[3]}",'
            f'"v":"{one.size(c.volume, _PAD)}","n":{c.count},"x":{str(c.closed).lower()},'
            f'"q":"{_turnover(one, c, c.volume)}","V":"{one.size(c.bought, _PAD)}",'
            f'"Q":"{_turnover(one, c, c.bought)}","B":"0"}}}}'
        )

    return payload


def _ticker(pair: Pair) -> Callable[[Step], str]:
    one = pair.listing

    def payload(step: Step) -> str:
        if not step.second:
            return ""
        (bid, bid_size), (ask, ask_size) = pair.bids.top(1)[0], pair.asks.top(1)[0]
        last = pair.print
        change = last[2] - pair.day_open
        return json.dumps({
            "e": "24hrTicker", "E": step.millis, "s": one.symbol, "p": one.price(change, _PAD),
            "P": f"{100 * change / pair.day_open:.3f}", "w": one.price(last[2], _PAD),
            "x": one.price(pair.day_open, _PAD), "c": one.price(last[2], _PAD),
            "Q": one.size(last[3], _PAD), "b": one.price(bid, _PAD),
            "B": one.size(bid_size, _PAD), "a": one.price(ask, _PAD),
            "A": one.size(ask_size, _PAD), "o": one.price(pair.day_open, _PAD),
            "h": one.price(pair.day_high, _PAD), "l": one.price(pair.day_low, _PAD),
            "v": one.size(pair.day_volume, _PAD), "q": "0.00000000",
            "O": step.millis - 86_400_000, "C": step.millis, "F": 0, "L": last[0], "n": last[0],
        }, separators=(",", ":"))  # fmt: skip

    return payload


def _opened(session: Session) -> None:
    """Subscribe to what the URL names: ``/ws/<stream>`` or ``/stream?streams=a/b``."""
    named = session.query.get("streams") or session.path.removeprefix("/ws").strip("/")
    if session.path != "/stream" or "streams" in session.query:
        _subscribe(session, [name for name in named.split("/") if name])


def _subscribe(session: Session, names: Sequence[str]) -> bool:
    wrapped = session.path == "/stream"
    for name in names:
        key = ("stream:" if wrapped else "ws:") + name
        feed = session.desk.feeds.get(key) or _make(session.desk, name, wrapped)
        if feed is None:
            # Acknowledged like any other, and silent for ever.
            session.names.append(name)
        elif not session.subscribe(feed):
            return False
    return True


def _received(session: Session, text: str) -> None:
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError) as error:
        at = f"line {getattr(error, 'lineno', 1)} column {getattr(error, 'colno', 1)}"
        session.reply(_error_frame(3, f"Invalid JSON: expected value at {at}"))
        return
    if not isinstance(asked, dict):
        session.reply(_error_frame(2, "Invalid request: request must be an object"))
        return
    number = asked.get("id")
    method, names = asked.get("method"), asked.get("params", [])
    if not isinstance(number, int | str) or isinstance(number, bool):
        session.reply(_error_frame(2, "Invalid request: request ID must be an unsigned integer"))
    elif not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        session.reply(
            _error_frame(2, "Invalid request: params must be an array of strings", number)
        )
    elif method == "LIST_SUBSCRIPTIONS":
        active = [feed.topic for feed in session.feeds.values()] + session.names
        session.reply(json.dumps({"result": active, "id": number}, separators=(",", ":")))
    elif method == "SUBSCRIBE":
        held = len(session.feeds) + len(session.names)
        if session.desk.limited and held + len(names) > _MOST_STREAMS:
            session.close(1008, "Too many streams")
        elif _subscribe(session, names):
            session.reply(f'{{"result":null,"id":{json.dumps(number)}}}')
        else:
            session.reply(_error_frame(2, "Invalid request: subscription rejected", number))
    elif method == "UNSUBSCRIBE":
        for name in names:
            session.unsubscribe(("stream:" if session.path == "/stream" else "ws:") + name)
        session.names = [name for name in session.names if name not in names]
        session.reply(f'{{"result":null,"id":{json.dumps(number)}}}')
    else:
        known = "expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`"
        message = f"Invalid request: unknown variant `{str(method)[:40]}`, {known}"
        session.reply(_error_frame(2, message, number))


def _error_frame(code: int, message: str, number: int | str | None = None) -> str:
    frame = {"code": code, "msg": message} | ({} if number is None else {"id": number})
    return json.dumps(frame, separators=(",", ":"))


def _notice(session: Session) -> str:
    shutdown = f'{{"e":"serverShutdown","E":{session.desk.millis()}}}'
    return (
        f'{{"stream":"!serverShutdown","data":{shutdown}}}'
        if session.path == "/stream"
        else shutdown
    )


WIRE = Wire(
    name="binance",
    symbol=lambda instrument: instrument.replace("-", ""),
    routes={
        "/api/v3/ping": Route(answer=lambda desk, query: b"{}"),
        "/api/v3/time": Route(answer=lambda desk, query: b'{"serverTime":%d}' % desk.millis()),
        "/api/v3/exchangeInfo": Route(answer=_info, weight=lambda query: 20),
        "/api/v3/depth": Route(answer=_of(_depth), weight=_depth_weight),
        "/api/v3/klines": Route(answer=_of(_klines), weight=lambda query: 2),
        "/api/v3/ticker/price": Route(
            answer=_every(_price), weight=lambda query: 2 if "symbol" in query else 4
        ),
        "/api/v3/ticker/bookTicker": Route(
            answer=_every(_best), weight=lambda query: 2 if "symbol" in query else 4
        ),
        "/sapi/v1/system/status": Route(answer=_status, always=True),
    },
    refusals=Refusals(
        unknown_path=lambda desk, path: Reply(
            status=404, body=b"<html><body><h2>404 Not found</h2></body></html>",
            content_type="text/html",
        ),
        limited=_limited,
        banned=_banned,
        unavailable=_unavailable,
    ),
    quota=Quota(limit=_LIMIT, window=60.0),
    bans=True,
    headers=_headers,
    sockets=lambda path: path in ("/ws", "/stream") or path.startswith("/ws/"),
    opened=_opened,
    received=_received,
    ping_every=20.0,
    pong_within=60.0,
    lifetime=24 * 3600.0,
    incoming=Quota(limit=5, window=1.0),
    connects=Quota(limit=300, window=300.0),
    notice=_notice,
)  # fmt: skip
