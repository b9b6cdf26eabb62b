"""What Binance's spot and futures servers share: REST answers, streams, the subscribe protocol.

Source: github.com/binance/binance-spot-api-docs at a5e0bc3, read 2026-07-21, and
developers.binance.com (USD-M futures), read 2026-10.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from exporter.simulator.market import Candle, Levels, Listing, Pair, Print, Step
from exporter.simulator.session import SimulatedSession
from exporter.simulator.spec import Query, SimulatedFeed, SimulatedReply, Usage, dump
from exporter.simulator.venue_server import VenueServer

PAD = 8  # all prices and sizes carry eight decimals
_INTERVALS = {"1s": 1, "1m": 60, "3m": 180, "5m": 300, "15m": 900, "1h": 3600, "1d": 86_400}


# --- REST -------------------------------------------------------------------------------------


def error(code: int, message: str, status: int = 400, **headers: str) -> SimulatedReply:
    """Return an error answer; header names are spelt with underscores."""
    body = json.dumps({"code": code, "msg": message}, separators=(",", ":")).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return SimulatedReply(status=status, body=body, headers=named)


def limited(desk: VenueServer, wait: float) -> SimulatedReply:
    """Return a 429."""
    limit = desk.wire.quota.limit if desk.wire.quota else 0
    message = (
        f"Too much request weight used; current limit is {limit} request weight per 1 MINUTE. "
        "Please use WebSocket Streams for live updates to avoid polling the API."
    )
    return error(-1003, message, 429, Retry_After=str(int(wait) + 1))


def banned(desk: VenueServer, wait: float) -> SimulatedReply:
    """Return a 418."""
    until = desk.millis() + int(wait * 1000)
    message = (
        f"Way too much request weight used; IP banned until {until}. "
        "Please use WebSocket Streams for live updates to avoid bans."
    )
    return error(-1003, message, 418, Retry_After=str(int(wait) + 1))


def unavailable(desk: VenueServer) -> SimulatedReply:
    """Return a 503."""
    return error(-1008, "Server is currently overloaded with other requests.", 503)


def levels(listing: Listing, levels: Levels) -> str:
    """Format levels as an array of text pairs."""
    rows = [f'["{listing.price(p, PAD)}","{listing.size(n, PAD)}"]' for p, n in levels]
    return f"[{','.join(rows)}]"


def of(
    answer: Callable[[VenueServer, Query, Pair], bytes | SimulatedReply],
) -> Callable[[VenueServer, Query], bytes | SimulatedReply]:
    """Return an answer that needs the parameter ``symbol``."""

    def checked(desk: VenueServer, query: Query) -> bytes | SimulatedReply:
        symbol = query.get("symbol", "")
        if not symbol:
            return error(
                -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."
            )
        pair = desk.pair(symbol)
        return answer(desk, query, pair) if pair else error(-1121, "Invalid symbol.")

    return checked


def depth_weight(query: Query) -> int:
    """Return the weight of a depth request by its limit."""
    limit = int(query["limit"]) if query.get("limit", "").isdecimal() else 100
    return 5 if limit <= 100 else 25 if limit <= 500 else 50 if limit <= 1000 else 250


def every(
    row: Callable[[Pair], Mapping[str, object]],
) -> Callable[[VenueServer, Query], bytes | SimulatedReply]:
    """Return one symbol's row, or all rows in an array if none is named."""

    def answer(desk: VenueServer, query: Query) -> bytes | SimulatedReply:
        if "symbol" not in query:
            return dump([row(pair) for pair in desk.pairs()])
        pair = desk.pair(query["symbol"])
        return dump(row(pair)) if pair else error(-1121, "Invalid symbol.")

    return answer


def price(pair: Pair) -> Mapping[str, object]:
    """Return the row of the price ticker."""
    return {"symbol": pair.listing.symbol, "price": pair.listing.price(pair.print[2], PAD)}


def best(pair: Pair) -> Mapping[str, object]:
    """Return the row of the book ticker."""
    one = pair.listing
    (bid, bid_size), (ask, ask_size) = pair.bids.top(1)[0], pair.asks.top(1)[0]
    return {
        "symbol": one.symbol,
        "bidPrice": one.price(bid, PAD),
        "bidQty": one.size(bid_size, PAD),
        "askPrice": one.price(ask, PAD),
        "askQty": one.size(ask_size, PAD),
    }


def klines(desk: VenueServer, query: Query, pair: Pair) -> bytes | SimulatedReply:
    """Return the newest one-minute klines."""
    if query.get("interval") != "1m":
        return error(-1120, "Invalid interval.")
    one, now = pair.listing, desk.millis()
    rows = [
        [c.start, *(one.price(p, PAD) for p in (c.open, c.high, c.low, c.close)),
         one.size(c.volume, PAD), c.end, _turnover(one, c, c.volume), c.count,
         one.size(c.bought, PAD), _turnover(one, c, c.bought), "0"]
        for c in (*pair.closed, pair.kline(60_000, now))
    ]  # fmt: skip
    limit = query.get("limit", "500")
    return dump(rows[-int(limit) :] if limit.isdecimal() and int(limit) else rows)


def headers(desk: VenueServer, usage: Usage) -> Mapping[str, str]:
    """Name the weight used in the minute."""
    return {"x-mbx-used-weight": str(usage.used), "x-mbx-used-weight-1m": str(usage.used)}


# --- streams ----------------------------------------------------------------------------------

_STREAM = re.compile(
    r"(\w+)@(trade|aggTrade|bookTicker|ticker|miniTicker|kline_\w+|depth(5|10|20)?(@100ms|@1000ms)?)"
)
_MOST_STREAMS = 1024


def make(desk: VenueServer, name: str, path: str, *, futures: bool) -> SimulatedFeed | None:
    """Make the feed of a stream name; None where no such stream exists.

    Futures' frames differ from spot's in a few keys. Their single trades are on no page of the
    documents, and served: github.com/JKorf/Binance.Net, issue 1218, shows one of 2023-03-26.
    """
    found = _STREAM.fullmatch(name)
    pair = desk.pair(found[1].upper()) if found and found[1] == found[1].lower() else None
    if not found or not pair:
        return None
    kind = found[2]
    start, end = (f'{{"stream":"{name}","data":', "}") if path.endswith("/stream") else ("", "")
    if kind in ("trade", "aggTrade"):
        encode = _trades if kind == "trade" else _agg_trades
        last = ("" if kind == "aggTrade" else ',"X":"MARKET"') if futures else ',"M":true'
        return SimulatedFeed(key=key(path, name), topic=name, channel="trades", pair=pair,
                    prints=encode(pair.listing, start, last + "}" + end))  # fmt: skip
    channel, payload = _stepwise(pair, kind, found[3], futures)
    if payload is None:
        return None

    def steps(step: Step) -> list[bytes]:
        text = payload(step)
        return [(start + text + end).encode()] if text else []

    return SimulatedFeed(key=key(path, name), topic=name, channel=channel, pair=pair, steps=steps)


def key(path: str, name: str) -> str:
    """Return the key of a stream: raw and combined frames of one name differ."""
    return ("stream:" if path.endswith("/stream") else "ws:") + name


def _stepwise(
    pair: Pair, kind: str, levels: str | None, futures: bool
) -> tuple[str, Callable[[Step], str] | None]:
    if kind == "bookTicker":
        return "quotes", _book_ticker(pair, futures)
    if kind == "ticker":
        return "ticker", _ticker(pair)
    if kind == "miniTicker":
        return "ticker", _mini_ticker(pair)
    if kind.startswith("kline_"):
        interval = kind.removeprefix("kline_")
        return "klines", _kline(pair, interval) if interval in _INTERVALS else None
    slow = not kind.endswith("@100ms")
    if levels:
        return "book", _partial(pair, int(levels), slow)
    return "book", _updates(pair, slow, futures)


def _trades(one: Listing, start: str, end: str) -> Callable[[Sequence[Print], int], list[bytes]]:
    shape = (
        f'{start}{{"e":"trade","E":%d,"s":"{one.symbol}","t":%d,"p":"%s","q":"%s","T":%d,'
        f'"m":%s{end}'
    )

    def encode(prints: Sequence[Print], millis: int) -> list[bytes]:
        # Prices and sizes repeat in a batch: spelling them once halves the cost of a firehose.
        prices = {row[2]: one.price(row[2], PAD) for row in prints}
        sizes = {row[3]: one.size(row[3], PAD) for row in prints}
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
        f'"l":%d,"T":%d,"m":%s{end}'
    )

    def encode(prints: Sequence[Print], millis: int) -> list[bytes]:
        return [
            (shape % (millis, n, one.price(p, PAD), one.size(q, PAD), n, n, millis,
                      "false" if buy else "true")).encode()
            for n, buy, p, q in prints
        ]  # fmt: skip

    return encode


def _book_ticker(pair: Pair, futures: bool) -> Callable[[Step], str]:
    one, before = pair.listing, [pair.bids.top(1), pair.asks.top(1)]

    def payload(step: Step) -> str:
        now = [pair.bids.top(1), pair.asks.top(1)]
        if now == before:
            return ""
        before[:] = now
        (bid, bid_size), (ask, ask_size) = now[0][0], now[1][0]
        kind, times = '"e":"bookTicker",', f',"T":{step.millis},"E":{step.millis}'
        return (
            f'{{{kind if futures else ""}"u":{step.last},"s":"{one.symbol}",{_underlying(one)}'
            f'"b":"{one.price(bid, PAD)}","B":"{one.size(bid_size, PAD)}",'
            f'"a":"{one.price(ask, PAD)}","A":"{one.size(ask_size, PAD)}"'
            f"{times if futures else ''}}}"
        )

    return payload


def _underlying(one: Listing) -> str:
    """Return the field that names the pair of a contract whose symbol has a suffix, or nothing."""
    pair, dash, _ = one.symbol.partition("_")
    return f'"ps":"{pair}",' if dash else ""


def _updates(pair: Pair, slow: bool, futures: bool) -> Callable[[Step], str]:
    """Return the diff stream; the slow one gathers a second's changes into one frame."""
    one = pair.listing
    bids: dict[int, int] = {}
    asks: dict[int, int] = {}
    first, previous, under = [0], [pair.last], _underlying(one)

    def payload(step: Step) -> str:
        first[0] = first[0] or step.first
        bids.update(step.bids)
        asks.update(step.asks)
        if slow and not step.second:
            return ""
        times = f'"T":{step.millis},' if futures else ""
        link = f'"pu":{previous[0]},' if futures else ""
        text = (
            f'{{"e":"depthUpdate","E":{step.millis},{times}"s":"{one.symbol}",{under}"U":{first[0]},'
            f'"u":{step.last},{link}"b":{levels(one, [*bids.items()])},'
            f'"a":{levels(one, [*asks.items()])}}}'
        )
        first[0], previous[0] = 0, step.last
        bids.clear()
        asks.clear()
        return text

    return payload


def _partial(pair: Pair, count: int, slow: bool) -> Callable[[Step], str]:
    one = pair.listing

    def payload(step: Step) -> str:
        if slow and not step.second:
            return ""
        bids, asks = levels(one, pair.bids.top(count)), levels(one, pair.asks.top(count))
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
        prices = [one.price(p, PAD) for p in (c.open, c.close, c.high, c.low)]
        return (
            f'{{"e":"kline","E":{step.millis},"s":"{one.symbol}","k":{{"t":{c.start},"T":{c.end},'
            f'"s":"{one.symbol}","i":"{interval}","f":{c.first},"L":{c.last},"o":"{prices[0]}",'
            f'"c":"{prices[1]}","h":"{prices[2]}","l":"{prices[3]}",'
            f'"v":"{one.size(c.volume, PAD)}","n":{c.count},"x":{str(c.closed).lower()},'
            f'"q":"{_turnover(one, c, c.volume)}","V":"{one.size(c.bought, PAD)}",'
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
            "e": "24hrTicker", "E": step.millis, "s": one.symbol, "p": one.price(change, PAD),
            "P": f"{100 * change / pair.day_open:.3f}", "w": one.price(last[2], PAD),
            "x": one.price(pair.day_open, PAD), "c": one.price(last[2], PAD),
            "Q": one.size(last[3], PAD), "b": one.price(bid, PAD),
            "B": one.size(bid_size, PAD), "a": one.price(ask, PAD),
            "A": one.size(ask_size, PAD), "o": one.price(pair.day_open, PAD),
            "h": one.price(pair.day_high, PAD), "l": one.price(pair.day_low, PAD),
            "v": one.size(pair.day_volume, PAD), "q": "0.00000000",
            "O": step.millis - 86_400_000, "C": step.millis, "F": 0, "L": last[0], "n": last[0],
        }, separators=(",", ":"))  # fmt: skip

    return payload


def _mini_ticker(pair: Pair) -> Callable[[Step], str]:
    one = pair.listing

    def payload(step: Step) -> str:
        if not step.second:
            return ""
        return json.dumps({
            "e": "24hrMiniTicker", "E": step.millis, "s": one.symbol,
            "c": one.price(pair.print[2], PAD), "o": one.price(pair.day_open, PAD),
            "h": one.price(pair.day_high, PAD), "l": one.price(pair.day_low, PAD),
            "v": one.size(pair.day_volume, PAD), "q": "0.00000000",
        }, separators=(",", ":"))  # fmt: skip

    return payload


Maker: TypeAlias = Callable[[SimulatedSession, str], SimulatedFeed | None]


def opened(session: SimulatedSession, maker: Maker) -> None:
    """Subscribe to what the URL names: ``/ws/<stream>`` or ``/stream?streams=a/b``."""
    named = session.query.get("streams") or session.path.partition("/ws")[2].strip("/")
    if not session.path.endswith("/stream") or "streams" in session.query:
        _subscribe(session, [name for name in named.split("/") if name], maker)


def _subscribe(session: SimulatedSession, names: Sequence[str], maker: Maker) -> bool:
    for name in names:
        known = session.desk.feeds.get(key(session.path, name))
        feed = maker(session, name) if known is None else known
        if feed is None:
            # Acknowledged like any other, and silent for ever.
            session.names.append(name)
        elif not session.subscribe(feed):
            return False
    return True


def received(session: SimulatedSession, text: str, maker: Maker) -> None:
    """Answer a client's request."""
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
        elif _subscribe(session, names, maker):
            session.reply(f'{{"result":null,"id":{json.dumps(number)}}}')
        else:
            session.reply(_error_frame(2, "Invalid request: subscription rejected", number))
    elif method == "UNSUBSCRIBE":
        for name in names:
            session.unsubscribe(key(session.path, name))
        session.names = [name for name in session.names if name not in names]
        session.reply(f'{{"result":null,"id":{json.dumps(number)}}}')
    else:
        known = "expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`"
        message = f"Invalid request: unknown variant `{str(method)[:40]}`, {known}"
        session.reply(_error_frame(2, message, number))


def _error_frame(code: int, message: str, number: int | str | None = None) -> str:
    frame = {"code": code, "msg": message} | ({} if number is None else {"id": number})
    return json.dumps(frame, separators=(",", ":"))


def notice(session: SimulatedSession) -> str:
    """Return the warning before a planned shutdown."""
    shutdown = f'{{"e":"serverShutdown","E":{session.desk.millis()}}}'
    return (
        f'{{"stream":"!serverShutdown","data":{shutdown}}}'
        if session.path.endswith("/stream")
        else shutdown
    )
