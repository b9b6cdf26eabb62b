"""Bybit's WebSocket frames: subscribe requests, events and order books.

Source: github.com/bybit-exchange/docs (docs/v5) at 072c197, read 2026-07-24; acks and quotes as
captured in August 2026 by other open-source clients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from exporter.decoding import (
    DOUBTFUL,
    Millis,
    ParseError,
    Price,
    Serial,
    Size,
    known_millis,
    level_pairs,
    reading,
    unreadable,
)
from exporter.model import (
    Ack,
    Control,
    Depth,
    Event,
    Kline,
    Message,
    Quote,
    Side,
    Trade,
)

_BUY, _SELL = Side.BUY, Side.SELL


class _BybitFill(Struct, gc=False):
    s: str
    v: Size
    p: Price
    S: str = ""
    seq: Serial | None = None
    BT: bool | None = None


class _BybitTrades(Struct, gc=False):
    topic: str
    ts: Millis
    data: list[_BybitFill]


class _BybitLevel(Struct, gc=False, array_like=True):
    price: Size
    size: Size


class _BybitTop(Struct, gc=False):
    s: str
    u: Serial
    b: list[_BybitLevel] | None = None
    a: list[_BybitLevel] | None = None


class _BybitTops(Struct, gc=False):
    topic: str
    ts: Millis
    data: _BybitTop


class _BybitLevels(Struct, gc=False):
    s: str
    u: Serial
    b: Raw = Raw(b"[]")
    a: Raw = Raw(b"[]")


class _BybitBook(Struct, gc=False):
    topic: str
    ts: int
    type: Literal["snapshot", "delta"]
    data: _BybitLevels


class _BybitCandle(Struct, gc=False):
    start: Millis
    close: Size  # zero before the first trade
    confirm: bool | None = None


class _BybitOption(Struct, gc=False):
    """The ticker of an option: whole each time, with other names than those of contracts."""

    symbol: str
    # Zero, empty or null where nobody bids or asks. N815: the wire's spelling.
    bidPrice: Size | Literal[""] | None = None  # noqa: N815
    askPrice: Size | Literal[""] | None = None  # noqa: N815
    bidSize: Size | Literal[""] | None = None  # noqa: N815
    askSize: Size | Literal[""] | None = None  # noqa: N815


class _BybitOptions(Struct, gc=False):
    topic: str
    ts: Millis
    data: _BybitOption


class _Klines(Struct, gc=False):
    topic: str
    ts: Millis
    data: list[_BybitCandle]


class _Outcome(Struct, gc=False):
    failTopics: list[str] | None = None  # noqa: N815 - the wire's spelling
    successTopics: list[str] | None = None  # noqa: N815


class _BybitReply(Struct, gc=False):
    op: str | None = None
    type: str | None = None
    success: bool | None = None
    ret_msg: str | None = None
    req_id: str | int | None = None  # text as we send it; other clients send numbers
    data: Raw = Raw(b"null")  # what became of each topic: of options alone
    # The envelope of REST, in which limits are told. N815: the wire's spelling.
    retCode: int | str | None = None  # noqa: N815
    retMsg: str | None = None  # noqa: N815
    reqId: str | int | None = None  # noqa: N815


class _Topic(Struct, gc=False):
    topic: str | None = None


# strict=False: numbers come as JSON strings, and become floats while they are validated.
_trades = msgspec.json.Decoder(_BybitTrades, strict=False).decode
_tops = msgspec.json.Decoder(_BybitTops, strict=False).decode
_book = msgspec.json.Decoder(_BybitBook, strict=False).decode
_options = msgspec.json.Decoder(_BybitOptions, strict=False).decode
_klines = msgspec.json.Decoder(_Klines, strict=False).decode
_reply = msgspec.json.Decoder(_BybitReply).decode
_outcome = msgspec.json.Decoder(_Outcome | None).decode
_topic = msgspec.json.Decoder(_Topic).decode


def parse(frame: bytes) -> tuple[Event, ...]:
    """Turn one frame into events. Raises ParseError if undocumented."""
    try:
        # Twelve bytes tell the two busiest topics where `topic` is the first key, as it is in all
        # that was seen; the order of keys is not promised, so anything else is read key by key.
        match frame[10:22]:
            case b"publicTrade.":
                return _read_trades(frame)
            case b"orderbook.1.":
                return (_read_quote(frame),)
        topic = _topic(frame).topic
        if topic is None:
            return _read_reply(frame)
        if topic.startswith("orderbook.1."):
            return (_read_quote(frame),)
        if topic.startswith("orderbook.") and topic[10:11].isdecimal():
            return (_read_depth(frame),)
        if topic.startswith("publicTrade."):
            return _read_trades(frame)
        if topic.startswith("kline."):
            return _read_klines(frame)
        if topic.startswith("tickers.") and b'"bidPrice"' in frame:
            return (_read_option(frame),)
        # What is left nothing here asks for, but anybody's recording may hold.
        if topic.startswith("system.status"):
            return (Control("system.status"),)
        kind = topic.partition(".")[0]
        return (Control(kind[:60] or "unknown", data=True, unknown=kind not in _UNUSED),)
    except DOUBTFUL as error:
        raise unreadable("bybit", error) from error


# `orderbook` are the books with RPI orders and of full depth, `lt` is of leveraged tokens.
_UNUSED = frozenset({
    "orderbook", "tickers", "liquidation", "allLiquidation", "insurance", "adlAlert", "priceLimit",
    "kline_lt", "tickers_lt", "lt", "spread", "rfq",
})  # fmt: skip


def _read_trades(frame: bytes) -> tuple[Event, ...]:
    message = _trades(frame)
    topic, time = message.topic, message.ts / 1e3
    rows = message.data
    if len(rows) == 1:  # nearly always; a generator costs 0.3 µs
        return (_trade(topic, time, rows[0]),)
    return tuple(_trade(topic, time, row) for row in rows)


def _trade(topic: str, time: float, row: _BybitFill) -> Trade | Message:
    if row.BT:  # a block trade is made between two parties, away from the market's prices
        return Message("publicTrade.block", topic, row.s, time, None, row.seq)
    side = _BUY if row.S == "Buy" else _SELL if row.S == "Sell" else None
    return Trade("publicTrade", topic, row.s, time, row.p, row.v, side, None, row.seq)


def _read_quote(frame: bytes) -> Event:
    message = _tops(frame)
    row = message.data
    # A side may be empty, and contracts sent deltas until 2025-03-20, in which size 0 takes a
    # level away: alive, but nothing to quote.
    best_bid = next((level for level in row.b or () if level.size and level.price), None)
    best_ask = next((level for level in row.a or () if level.size and level.price), None)
    if best_bid is None or best_ask is None:
        return Message("orderbook.1", message.topic, row.s, message.ts / 1e3, row.u)
    return Quote(
        "orderbook.1",
        message.topic,
        row.s,
        message.ts / 1e3,
        best_bid.price,
        best_ask.price,
        best_bid.size,
        best_ask.size,
        row.u,
    )


def _read_option(frame: bytes) -> Quote | Message:
    message = _options(frame)
    topic, row, time = message.topic, message.data, message.ts / 1e3
    if not (row.bidPrice and row.askPrice and row.bidSize and row.askSize):
        return Message("tickers", topic, row.symbol, time)
    sizes = row.bidSize, row.askSize
    return Quote("tickers", topic, row.symbol, time, row.bidPrice, row.askPrice, *sizes)


def _read_depth(frame: bytes) -> Depth:
    message = _book(frame)
    row = message.data
    # u == 1: the service was restarted and begins anew, whatever the type says.
    snapshot = message.type == "snapshot" or row.u == 1
    return Depth(
        "orderbook.snapshot" if snapshot else "orderbook.delta",
        message.topic,
        row.s,
        known_millis(message.ts),
        (row.b, row.a),
        snapshot,
        row.u,
        row.u,
    )


def _read_klines(frame: bytes) -> tuple[Event, ...]:
    message = _klines(frame)
    topic, time = message.topic, message.ts / 1e3
    symbol = topic.rpartition(".")[2]
    return tuple(
        Kline("kline", topic, symbol, time, row.start / 1e3, row.close, row.confirm)
        if row.close
        else Message("kline", topic, symbol, time)
        for row in message.data
    )


def _read_reply(frame: bytes) -> tuple[Ack | Control, ...]:
    reply = _reply(frame)
    # Spot and linear answer a ping with op "ping" and say "pong" in ret_msg; options say "pong".
    if reply.op in ("ping", "pong"):
        return (Control("pong"),)
    number = str(reply.reqId if reply.req_id is None else reply.req_id)
    request = int(number) if number.isdecimal() else None
    text, op = (reply.ret_msg or reply.retMsg or "")[:200], reply.op or ""
    success = reply.success is not False and reply.retCode in (None, 0, "0", "")
    outcome = _outcome(reply.data) if reply.type == "COMMAND_RESP" else None
    if outcome is not None:
        good, bad = (tuple(each or ()) for each in (outcome.successTopics, outcome.failTopics))
        text = text or "among failTopics, without a reason"
        # Books are asked for with their depth, of options another than of all else.
        named = (each.split(".")[1] for each in good if each.startswith("orderbook."))
        depths = {int(each) for each in named if each.isdecimal()}
        depth = depths.pop() if len(depths) == 1 else None
        agreed = (Ack("subscribe", True, request, good, depth=depth),) if good or not bad else ()
        return (*agreed, *((Ack("error", False, request, bad, text),) if bad else ()))
    if success:
        if not op and request is None:
            raise ParseError("bybit: a reply to nothing")
        if op in ("", "subscribe", "unsubscribe"):
            return (Ack(op or "subscribe", request=request),)
        return (Control(op[:60], unknown=op != "auth"),)
    # The whole request is refused; of its topics the text names one, in words that vary.
    return (Ack("error", False, request, reason=text or f"code {reply.retCode}"),)


def subscribe(topics: Sequence[str], request: int) -> str:
    """Ask for topics on an open connection."""
    return _request("subscribe", topics, request)


def unsubscribe(topics: Sequence[str], request: int) -> str:
    """Take topics off an open connection."""
    return _request("unsubscribe", topics, request)


def _request(op: str, topics: Sequence[str], request: int) -> str:
    return msgspec.json.encode({"req_id": str(request), "op": op, "args": list(topics)}).decode()


def ping(number: int) -> str:
    """Return the keepalive that must be sent at least every 20 seconds."""
    return f'{{"req_id":"{number}","op":"ping"}}'


def levels(event: Depth) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Decode the bids and asks of a book frame."""
    with reading("bybit levels"):
        match event.levels:
            case (Raw() as bids, Raw() as asks):
                return level_pairs(bids), level_pairs(asks)
    raise ParseError("levels of another venue")
