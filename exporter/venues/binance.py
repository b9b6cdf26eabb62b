"""Binance, spot.

Source: github.com/binance/binance-spot-api-docs (rest-api.md, web-socket-streams.md, errors.md)
at a5e0bc3, read 2026-07-21; frames checked against traffic recorded in October 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from exporter.contracts import BookRules, Endpoint, RestLimit, Venue
from exporter.model import (
    Ack,
    Answer,
    Channel,
    Continuity,
    Control,
    Depth,
    Event,
    Kline,
    Maintenance,
    Market,
    Quote,
    Reason,
    Side,
    Trade,
)
from exporter.wire import DOUBTFUL, Millis, ParseError, Price, Size, reading, seconds, unreadable


class _AggTrade(Struct, gc=False, tag_field="e", tag="aggTrade"):
    E: Millis
    s: str
    a: int
    p: Price
    q: Size
    m: bool


class _Trade(Struct, gc=False, tag_field="e", tag="trade"):
    E: Millis
    s: str
    t: int
    p: Price
    q: Size
    m: bool


class _Depth(Struct, gc=False, tag_field="e", tag="depthUpdate"):
    E: Millis
    s: str
    U: int
    u: int
    b: Raw
    a: Raw


class _Candle(Struct, gc=False):
    t: Millis
    c: Price
    x: bool


class _Kline(Struct, gc=False, tag_field="e", tag="kline"):
    E: Millis
    s: str
    k: _Candle


class _Shutdown(Struct, gc=False, tag_field="e", tag="serverShutdown"):
    E: Millis


class _Stream(Struct, gc=False):
    stream: str
    data: _AggTrade | _Trade | _Depth | _Kline | _Shutdown


class _Book(Struct, gc=False):
    u: int
    s: str
    b: Price
    B: Size
    a: Price
    A: Size


class _BookStream(Struct, gc=False):
    stream: str
    data: _Book


class _Reply(Struct, gc=False, forbid_unknown_fields=True):
    id: int | str | None = None
    result: list[str] | None = None
    code: int | None = None
    msg: str = ""
    error: dict[str, Raw] | None = None


# strict=False: numbers come as JSON strings, and become floats while they are validated.
_STREAM = msgspec.json.Decoder(_Stream, strict=False)
_BOOK_STREAM = msgspec.json.Decoder(_BookStream, strict=False)
_REPLY = msgspec.json.Decoder(_Reply)


def parse(frame: bytes) -> tuple[Event, ...]:
    """Turn one frame of a combined stream into events. Raises ParseError if undocumented."""
    try:
        # Spot's bookTicker is the one message without the type field `e`.
        if b"@bookTicker" in frame[:64]:
            quote = _BOOK_STREAM.decode(frame)
            book = quote.data
            topic, symbol = quote.stream, book.s
            return (
                Quote("bookTicker", topic, symbol, None, book.b, book.a, book.B, book.A, book.u),
            )
        try:
            message = _STREAM.decode(frame)
        except msgspec.ValidationError:
            return (_reply(frame),)
        row = message.data
        return (_EVENTS[type(row)](message.stream, row),)
    except DOUBTFUL as error:
        raise unreadable("binance", error) from error


def _trade(topic: str, row: _Trade) -> Trade:
    side = Side.SELL if row.m else Side.BUY  # m: the buyer was the maker
    return Trade("trade", topic, row.s, row.E / 1e3, row.p, row.q, side, row.t)


def _agg_trade(topic: str, row: _AggTrade) -> Trade:
    side = Side.SELL if row.m else Side.BUY
    return Trade("aggTrade", topic, row.s, row.E / 1e3, row.p, row.q, side, row.a)


def _depth(topic: str, row: _Depth) -> Depth:
    levels = (row.b, row.a)
    return Depth("depthUpdate", topic, row.s, row.E / 1e3, levels, first=row.U, last=row.u)


def _kline(topic: str, row: _Kline) -> Kline:
    candle = row.k
    return Kline("kline", topic, row.s, row.E / 1e3, candle.t / 1e3, candle.c, candle.x)


def _shutdown(topic: str, row: _Shutdown) -> Control:
    return Control("serverShutdown", reconnect=True)


_EVENTS: dict[type, Callable[[str, Any], Event]] = {
    _Trade: _trade,
    _AggTrade: _agg_trade,
    _Depth: _depth,
    _Kline: _kline,
    _Shutdown: _shutdown,
}


def _reply(frame: bytes) -> Ack:
    reply = _REPLY.decode(frame)
    request = reply.id if isinstance(reply.id, int) else None
    if reply.code is not None or reply.error is not None:
        text = reply.msg or ("" if reply.error is None else str(bytes(reply.error["msg"]), "utf-8"))
        return Ack("error", ok=False, request=request, reason=text[:200])
    if request is None:
        raise ParseError("a reply without an id")
    return Ack("result", request=request)


def subscribe(topics: Sequence[str], request: int) -> str:
    """Ask for streams on an open connection."""
    return _request("SUBSCRIBE", topics, request)


def unsubscribe(topics: Sequence[str], request: int) -> str:
    """Take streams off an open connection."""
    return _request("UNSUBSCRIBE", topics, request)


def _request(method: str, topics: Sequence[str], request: int) -> str:
    return msgspec.json.encode({"method": method, "params": list(topics), "id": request}).decode()


# --- REST -------------------------------------------------------------------------------------


class _Time(Struct):
    serverTime: int  # noqa: N815 - the wire's spelling


class _Status(Struct):
    status: int
    msg: str = ""


class _Symbol(Struct):
    symbol: str
    status: str
    baseAsset: str  # noqa: N815
    quoteAsset: str  # noqa: N815


class _Info(Struct):
    symbols: list[_Symbol]


def read_time(body: bytes) -> float:
    """Read the venue's clock."""
    with reading("binance time"):
        return seconds(msgspec.json.decode(body, type=_Time).serverTime, 1e3)


def read_status(body: bytes) -> Maintenance:
    """Read whether the venue says that it is in maintenance."""
    with reading("binance status"):
        status = msgspec.json.decode(body, type=_Status)
        return Maintenance(active=status.status != 0, title=status.msg[:200])


def read_markets(body: bytes) -> tuple[Market, ...]:
    """Read the tradable markets. The split of a symbol is never guessed from its letters."""
    with reading("binance markets"):
        rows = msgspec.json.decode(body, type=_Info).symbols
        return tuple(
            Market(row.symbol, f"{row.baseAsset}-{row.quoteAsset}")
            for row in rows
            if row.status == "TRADING"
        )


def fault(answer: Answer) -> Reason | None:
    """Say what a status code means here: 418 is a ban, 403 the firewall's."""
    match answer.status:
        case 418:
            return Reason.BANNED
        case 429 | 403:
            return Reason.RATE_LIMITED
    return None


_LEVELS = msgspec.json.Decoder(list[tuple[str, str]])


def levels(event: Depth) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Decode the bids and asks of a depth update."""
    with reading("binance levels"):
        match event.levels:
            case (Raw() as bids, Raw() as asks):
                return _LEVELS.decode(bids), _LEVELS.decode(asks)
    raise ParseError("levels of another venue")


class _Snapshot(Struct):
    lastUpdateId: int  # noqa: N815
    bids: Raw
    asks: Raw


def read_snapshot(body: bytes, topic: str, symbol: str) -> Depth:
    """Read the REST book that deltas continue."""
    with reading("binance depth"):
        book = msgspec.json.decode(body, type=_Snapshot)
        return Depth(
            "depth",
            topic,
            symbol,
            None,
            (book.bids, book.asks),
            snapshot=True,
            last=book.lastUpdateId,
        )


VENUE = Venue(
    name="binance",
    title="Binance",
    rest_url="https://api.binance.com",
    endpoints=(
        Endpoint(name="ping", path="/api/v3/ping"),
        Endpoint(name="time", path="/api/v3/time", clock=read_time),
        Endpoint(name="status", path="/sapi/v1/system/status", interval=30.0, status=read_status),
    ),
    fault=fault,
    rest_limits=(
        RestLimit(name="weight_1m", weight=6000, window=60.0, used_header="x-mbx-used-weight-1m"),
    ),
    markets_path="/api/v3/exchangeInfo",
    read_markets=read_markets,
    stream_urls=("wss://stream.binance.com:9443/stream", "wss://data-stream.binance.vision/stream"),
    topics={
        Channel.TRADES: "{lower}@trade",
        Channel.QUOTES: "{lower}@bookTicker",
        Channel.BOOK: "{lower}@depth@100ms",
        Channel.KLINES: "{lower}@kline_1m",
    },
    subscribe=subscribe,
    unsubscribe=unsubscribe,
    parse=parse,
    continuity={
        Channel.TRADES: Continuity.CONTIGUOUS,
        Channel.QUOTES: Continuity.RISING,
        Channel.BOOK: Continuity.CONTIGUOUS,
    },
    book=BookRules(
        levels=levels,
        snapshot_path="/api/v3/depth?symbol={symbol}&limit=1000",
        read_snapshot=read_snapshot,
    ),
    lifetime=24 * 3600.0,
    topics_per_request=100,
    topics_per_connection=1024,
    requests_per_second=4.0,  # the limit is 5 a second, and pings and pongs count
    symbol=lambda instrument: instrument.replace("-", ""),
    timestamps={
        Channel.TRADES: "E, when the event was published (ms)",
        Channel.BOOK: "E, when the event was published (ms)",
        Channel.KLINES: "E, when the event was published (ms)",
    },
    source="binance-spot-api-docs at a5e0bc3, read 2026-07-21",
    checked="recording",
    unsure=(
        "body of /sapi/v1/system/status",
        "an unknown stream name is acked like any other and stays silent",
    ),
)
