"""OKX's WebSocket frames: subscribe requests, events, order books and their checksums.

Source: OKX API documentation v5 and announcement of 2026-05-21 on book checksums; frames checked
against traffic recorded in May 2022, newer fields (connId, count, seqId) against captures of
August 2026 by other open-source clients.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Literal
from zlib import crc32

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


class _Arg(Struct, gc=False):
    channel: str
    instId: str | None = None  # noqa: N815 - the wire's spelling


class _TradeArg(Struct, gc=False):
    channel: Literal["trades", "trades-all"]
    instId: str  # noqa: N815


class _OkxFill(Struct, gc=False):
    instId: str  # noqa: N815
    px: Price
    sz: Size
    side: str = ""
    ts: Millis | None = None
    tradeId: Serial | None = None  # noqa: N815


class _OkxTrades(Struct, gc=False):
    arg: _TradeArg
    data: list[_OkxFill]


class _BookArg(Struct, gc=False):
    channel: Literal["books", "books5", "books-l2-tbt", "books50-l2-tbt"]
    instId: str  # noqa: N815


class _OkxLevels(Struct, gc=False):
    asks: Raw = Raw(b"[]")
    bids: Raw = Raw(b"[]")
    ts: int | None = None
    seqId: Serial | None = None  # noqa: N815 - absent in 2022
    prevSeqId: int | None = None  # noqa: N815 - -1 on a snapshot
    checksum: int | None = None


class _OkxBooks(Struct, gc=False):
    arg: _BookArg
    data: list[_OkxLevels]
    action: Literal["snapshot", "update"] | None = None  # books5 says none and sends it whole


class _OkxLevel(Struct, gc=False, array_like=True):
    price: Size
    size: Size


class _TopArg(Struct, gc=False):
    channel: Literal["bbo-tbt"]
    instId: str  # noqa: N815


class _OkxTop(Struct, gc=False):
    ts: Millis
    asks: list[_OkxLevel] | None = None
    bids: list[_OkxLevel] | None = None
    seqId: Serial | None = None  # noqa: N815


class _OkxTops(Struct, gc=False):
    arg: _TopArg
    data: list[_OkxTop]


class _TickerArg(Struct, gc=False):
    channel: Literal["tickers"]
    instId: str  # noqa: N815


class _OkxTicker(Struct, gc=False):
    """``""`` stands for the price and size of an empty side."""

    ts: Millis
    askPx: Size | Literal[""] | None = None  # noqa: N815
    askSz: Size | Literal[""] | None = None  # noqa: N815
    bidPx: Size | Literal[""] | None = None  # noqa: N815
    bidSz: Size | Literal[""] | None = None  # noqa: N815


class _OkxTickers(Struct, gc=False):
    arg: _TickerArg
    data: list[_OkxTicker]


class _OkxCandle(Struct, gc=False, array_like=True):
    start: Millis
    open: str
    high: str
    low: str
    close: Size  # zero before the first trade
    volume: str = ""
    volume_currency: str = ""
    volume_quote: str = ""
    confirm: str = ""


class _OkxCandles(Struct, gc=False):
    arg: _Arg
    data: list[_OkxCandle]


class _OkxMessage(Struct, gc=False):
    """What tells the kinds of frame apart, whatever the order of keys."""

    arg: _Arg | None = None
    event: str | None = None
    id: str | int | None = None
    code: str | int | None = None
    msg: str | None = None


# strict=False: numbers come as JSON strings, and become floats while they are validated.
_trades = msgspec.json.Decoder(_OkxTrades, strict=False).decode
_books = msgspec.json.Decoder(_OkxBooks, strict=False).decode
_tops = msgspec.json.Decoder(_OkxTops, strict=False).decode
_tickers = msgspec.json.Decoder(_OkxTickers, strict=False).decode
_candles = msgspec.json.Decoder(_OkxCandles, strict=False).decode
_message = msgspec.json.Decoder(_OkxMessage).decode


def parse(frame: bytes) -> tuple[Event, ...]:
    """Turn one frame into events. Raises ParseError if undocumented."""
    try:
        # Where `arg` is the first key and `channel` the first in it, as in all that was seen,
        # three bytes tell the decoder. The order of keys is not promised, hence `_rare`.
        read = _READERS.get(frame[19:22])
        if read is not None:
            return read(frame)
        return _rare(frame)
    except msgspec.ValidationError as error:
        try:
            return _rare(frame)
        except DOUBTFUL:
            raise unreadable("okx", error) from error
    except DOUBTFUL as error:
        raise unreadable("okx", error) from error


def _read_trades(frame: bytes) -> tuple[Event, ...]:
    message = _trades(frame)
    channel = message.arg.channel
    topic = f"{channel}:{message.arg.instId}"
    rows = message.data
    if len(rows) == 1:  # nearly always; a generator costs 0.3 µs
        return (_trade(channel, topic, rows[0]),)
    return tuple(_trade(channel, topic, row) for row in rows)


def _trade(label: str, topic: str, row: _OkxFill) -> Trade:
    side = _BUY if row.side == "buy" else _SELL if row.side == "sell" else None
    time = None if row.ts is None else row.ts / 1e3
    return Trade(label, topic, row.instId, time, row.px, row.sz, side, None, row.tradeId)


def _read_books(frame: bytes) -> tuple[Event, ...]:
    message = _books(frame)
    arg = message.arg
    symbol = arg.instId
    topic = f"{arg.channel}:{symbol}"
    action = message.action or "snapshot"
    label = f"{arg.channel}.{action}"
    snapshot = action == "snapshot"
    rows = message.data
    if len(rows) == 1:
        return (_depth(label, topic, symbol, snapshot, rows[0]),)
    return tuple(_depth(label, topic, symbol, snapshot, row) for row in rows)


def _depth(label: str, topic: str, symbol: str, snapshot: bool, row: _OkxLevels) -> Depth:
    # A snapshot follows nothing. An update may go back to a smaller number, a legal reset; one
    # that follows itself is a keepalive.
    previous = None if snapshot else row.prevSeqId
    checksum = row.checksum or None  # always 0 since 2026-06-23, which means none
    levels = (row.bids, row.asks)
    return Depth(
        label,
        topic,
        symbol,
        known_millis(row.ts),
        levels,
        snapshot,
        None,
        row.seqId,
        previous,
        None,
        checksum,
    )


def _read_tops(frame: bytes) -> tuple[Event, ...]:
    message = _tops(frame)
    symbol = message.arg.instId
    topic = f"bbo-tbt:{symbol}"
    return tuple([_top(topic, symbol, row) for row in message.data])


def _top(topic: str, symbol: str, row: _OkxTop) -> Event:
    bid = next((level for level in row.bids or () if level.size and level.price), None)
    ask = next((level for level in row.asks or () if level.size and level.price), None)
    if bid is None or ask is None:
        # An empty side: alive, but nothing to quote.
        return Message("bbo-tbt", topic, symbol, row.ts / 1e3, row.seqId)
    return Quote(
        "bbo-tbt",
        topic,
        symbol,
        row.ts / 1e3,
        bid.price,
        ask.price,
        bid.size,
        ask.size,
        row.seqId,
    )


def _read_tickers(frame: bytes) -> tuple[Event, ...]:
    message = _tickers(frame)
    symbol = message.arg.instId
    topic = f"tickers:{symbol}"
    return tuple([_ticker(topic, symbol, row) for row in message.data])


def _ticker(topic: str, symbol: str, row: _OkxTicker) -> Event:
    bid, ask, bid_size, ask_size = row.bidPx, row.askPx, row.bidSz, row.askSz
    if not (bid and ask) or 0.0 in (bid_size, ask_size):
        return Message("tickers", topic, symbol, row.ts / 1e3)
    return Quote(
        "tickers",
        topic,
        symbol,
        row.ts / 1e3,
        bid,
        ask,
        bid_size or None,
        ask_size or None,
    )


def _read_candles(frame: bytes) -> tuple[Event, ...]:
    message = _candles(frame)
    arg = message.arg
    if not arg.channel.startswith("candle"):
        raise ParseError(f"okx: candles of the channel {arg.channel[:40]!r}")
    if arg.instId is None:
        raise ParseError("okx: candles of no instrument")
    symbol, topic = arg.instId, f"{arg.channel}:{arg.instId}"
    return tuple(
        Kline(
            "candle",
            topic,
            symbol,
            None,
            row.start / 1e3,
            row.close,
            {"0": False, "1": True}.get(row.confirm),
        )
        if row.close
        else Message("candle", topic, symbol)
        for row in message.data
    )


_READERS: dict[bytes, Callable[[bytes], tuple[Event, ...]]] = {
    b"tra": _read_trades,
    b"boo": _read_books,
    b"bbo": _read_tops,
    b"tic": _read_tickers,
    b"can": _read_candles,
}


def _rare(frame: bytes) -> tuple[Event, ...]:
    """Read replies, notices, the text keepalive, and data with their keys in another order."""
    if frame == b"pong":
        return (Control("pong"),)
    message = _message(frame)
    if message.event is not None:
        return (_reply(message),)
    if message.arg is None:
        raise ParseError("okx: neither an event nor a channel")
    channel = message.arg.channel
    if channel in _ASKED or channel.startswith("candle"):
        return _READERS[channel[:3].encode()](frame)
    # Channels that nothing here asks for, but anybody's recording may hold.
    known = channel.startswith(_UNUSED)
    return (Control(channel[:60] or "unknown", data=channel != "status", unknown=not known),)


_ASKED = frozenset({
    "trades", "trades-all", "books", "books5", "books-l2-tbt", "books50-l2-tbt", "bbo-tbt",
    "tickers",
})  # fmt: skip
# Beginnings of names: of books with RPI and ELP orders there are several, of candles too.
_UNUSED = (
    "books-", "instruments", "status", "funding-rate", "mark-price", "index-", "open-interest",
    "price-limit", "liquidation-orders", "adl-warning", "opt-summary", "estimated-price", "sprd-",
    "option-trades", "public-struc-block-trades", "public-block-trades", "block-tickers",
    "call-auction-details", "economic-calendar", "event-contract",
)  # fmt: skip


# "Wrong URL or channel:X,instId:Y doesn't exist. ..." is all that names a refused topic.
_REFUSED = re.compile(r"channel:([\w-]{1,40}), ?instId:([\w-]{1,80})")


def _reply(message: _OkxMessage) -> Event:
    arg = message.arg
    topics = () if arg is None else (f"{arg.channel}:{arg.instId or ''}",)
    match message.event:
        case "subscribe" | "unsubscribe" as event:
            # One answer for each topic; the request is done when all of its topics are named.
            return Ack(event, topics=topics)
        case "error" | "channel-conn-count-error" as event:
            named = (
                tuple(":".join(names) for names in _REFUSED.findall(message.msg or "")) or topics
            )
            # A request of which one topic is named is not refused as a whole.
            number = "" if message.id is None else str(message.id)
            request = int(number) if number.isdecimal() and not named else None
            reason = f"{message.code or ''} {message.msg or ''}".strip()[:200]
            return Ack(event, False, request, named, reason or event)
        case "notice":
            # 64008: "the connection will soon be closed for a service upgrade". Others may come.
            upgrade = str(message.code) == "64008"
            return Control("notice", reconnect=upgrade, unknown=not upgrade)
        case "channel-conn-count" | "login" as event:
            return Control(event)
        case str() as event if event:  # what comes to be
            return Control(event[:60], unknown=True)
    raise ParseError("okx: neither an event nor a channel")


def subscribe(topics: Sequence[str], request: int) -> str:
    """Ask for topics (``trades:BTC-USDT``) on an open connection."""
    return _request("subscribe", topics, request)


def unsubscribe(topics: Sequence[str], request: int) -> str:
    """Take topics off an open connection."""
    return _request("unsubscribe", topics, request)


def _request(op: str, topics: Sequence[str], request: int) -> str:
    args = [
        {"channel": channel, "instId": symbol}
        for channel, _, symbol in (topic.partition(":") for topic in topics)
    ]
    return msgspec.json.encode({"id": str(request), "op": op, "args": args}).decode()


def ping(number: int) -> str:
    """Return the keepalive, a plain text; the server cuts after 30 s without a push."""
    return "ping"


# --- books ------------------------------------------------------------------------------------


class _OkxDigits(Struct, gc=False, array_like=True):
    """A level in the wire's own digits; what follows is deprecated, and a count of orders."""

    price: str
    size: str


_read_levels = msgspec.json.Decoder(list[_OkxDigits] | None).decode


def levels(event: Depth) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Decode the bids and asks of a book frame, as (price, size) in the wire's own digits."""
    with reading("okx levels"):
        match event.levels:
            case (Raw() as bids, Raw() as asks):
                return (
                    [(each.price, each.size) for each in _read_levels(bids) or ()],
                    [(each.price, each.size) for each in _read_levels(asks) or ()],
                )
    raise ParseError("levels of another venue")


def checksum(bids: Sequence[tuple[str, str]], asks: Sequence[tuple[str, str]]) -> int:
    """Return the signed CRC-32 of the 25 best levels, bid and ask in turn, best first.

    Sent until 2026-06-23; the field has been 0 since.

    Source: OKX API documentation v5, "Order book channel", "Checksum"; holds for all 136 frames
    recorded in May 2022.
    """
    pairs = zip_longest(bids[:25], asks[:25])
    text = ":".join(f"{price}:{size}" for pair in pairs for price, size in filter(None, pair))
    unsigned = crc32(text.encode())
    return unsigned - (1 << 32) if unsigned >= 1 << 31 else unsigned
