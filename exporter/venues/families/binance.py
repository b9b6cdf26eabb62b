"""The wire of Binance's sites: spot, Binance.US, USD-M and COIN-M futures speak one dialect.

Source: github.com/binance/binance-spot-api-docs (rest-api.md, web-socket-streams.md, errors.md)
at a5e0bc3, read 2026-07-21; frames checked against traffic of all four recorded in 2021.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from exporter.decoding import (
    DOUBTFUL,
    Instant,
    ParseError,
    Price,
    Serial,
    Size,
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

_FIRST_MILLIS, _LAST_MILLIS, _FIRST_MICROS = 10**12, 10**13, 10**15  # of 2001 to 2286
_BUY, _SELL = Side.BUY, Side.SELL  # an enum's member costs 0.1 µs to look up, a global a quarter


def event_time(moment: int) -> float:
    """Return epoch seconds of ms, or of the µs for which the connection asked by `timeUnit`."""
    if moment < _LAST_MILLIS:
        return moment / 1e3
    if _FIRST_MICROS < moment < 10**16:
        return moment / 1e6
    raise ParseError(f"expected a time in ms or µs, got {moment}")


def _known(moment: int) -> float | None:
    """Return the same, or None for a time that cannot be one: an update counts whenever it was."""
    try:
        return event_time(moment) if moment > _FIRST_MILLIS else None
    except ParseError:
        return None


class _BinanceTrade(Struct, gc=False, tag_field="e", tag="trade"):
    E: Instant
    s: str
    t: Serial
    p: Price
    q: Size
    m: bool  # the buyer was the maker
    X: str | None = None  # futures alone


class _NoTrade(Struct, gc=False):
    """What the stream of futures' single trades says when it takes back a number (X: NA)."""

    e: Literal["trade"]
    s: str
    t: Serial
    X: str
    E: int = 0


class _NoTradeStream(Struct, gc=False):
    stream: str
    data: _NoTrade


# Of futures' single trades: fills of the insurance fund, auto-deleveraging, and no fill at all.
# They take numbers of the market's trades, at prices of their own. What comes to be is a trade.
# Source: github.com/QuantConnect/Lean.Brokerages.Binance issue 28 (INSURANCE_FUND), read
# 2026-11-30; `@aggTrade`, which is asked for, is documented to leave them out.
_NOT_OF_THE_MARKET = frozenset({"INSURANCE_FUND", "ADL", "NA"})


class _AggTrade(Struct, gc=False, tag_field="e", tag="aggTrade"):
    E: Instant
    s: str
    a: Serial
    p: Price
    q: Size
    m: bool


class _Depth(Struct, gc=False, tag_field="e", tag="depthUpdate"):
    E: int
    s: str
    U: Serial
    u: Serial
    b: Raw
    a: Raw
    pu: Serial | None = None  # futures alone


class _BinanceTicker(Struct, gc=False, tag_field="e", tag="bookTicker"):
    E: Instant
    s: str
    u: Serial
    b: Size  # zero where the side is empty
    B: Size
    a: Size
    A: Size


class _BinanceCandle(Struct, gc=False):
    t: Instant
    c: Size  # zero before the first trade
    x: bool
    i: str = "1m"


class _Kline(Struct, gc=False, tag_field="e", tag="kline"):
    E: Instant
    s: str
    k: _BinanceCandle


class _Shutdown(Struct, gc=False, tag_field="e", tag="serverShutdown"):
    E: Instant


_Message = _BinanceTrade | _AggTrade | _Depth | _BinanceTicker | _Kline | _Shutdown


class _Stream(Struct, gc=False):
    stream: str
    data: _Message


class _SpotTicker(Struct, gc=False):
    """Spot's bookTicker: the one message without a type and without a time."""

    u: Serial
    s: str
    b: Size  # zero where the side is empty
    B: Size
    a: Size
    A: Size
    E: int = 0  # of futures, where the keys come in another order


class _SpotTickerStream(Struct, gc=False):
    stream: str
    data: _SpotTicker


class _OneSided(Struct, gc=False):
    """A best bid and ask of which something is missing, null, empty or zero."""

    s: str
    u: Serial
    e: str = "bookTicker"
    E: int = 0
    b: Raw = Raw(b"null")
    B: Raw = Raw(b"null")
    a: Raw = Raw(b"null")
    A: Raw = Raw(b"null")

    @property
    def empty(self) -> bool:
        """Whether a side has no price or no size."""
        return any(bytes(each) in _NOTHING for each in (self.b, self.B, self.a, self.A))


class _OneSidedStream(Struct, gc=False):
    stream: str
    data: _OneSided


_NOTHING = (b"null", b'""', b"0", b'"0"')


class _Partial(Struct, gc=False):
    """Spot's best 5, 10 or 20 levels: a message without a type, a symbol or a time."""

    lastUpdateId: Serial  # noqa: N815 - the wire's spelling
    bids: Raw
    asks: Raw


class _PartialStream(Struct, gc=False):
    stream: str
    data: _Partial


class _BinanceKind(Struct, gc=False):
    e: str


class _KindStream(Struct, gc=False):
    stream: str
    data: _BinanceKind | list[_BinanceKind]


class _Refusal(Struct, gc=False):
    code: int = 0
    msg: str | None = None


class _BinanceReply(Struct, gc=False):
    id: int | str | None = None
    code: int | None = None
    msg: str | None = None
    error: _Refusal | None = None


# strict=False: numbers come as JSON strings, and become floats while they are validated.
_stream = msgspec.json.Decoder(_Stream, strict=False).decode
_spot_ticker = msgspec.json.Decoder(_SpotTickerStream, strict=False).decode
_bare_message: Callable[[bytes], _Message] = msgspec.json.Decoder(_Message, strict=False).decode
_bare_ticker = msgspec.json.Decoder(_SpotTicker, strict=False).decode
_bare_partial = msgspec.json.Decoder(_Partial, strict=False).decode
_partial = msgspec.json.Decoder(_PartialStream, strict=False).decode
_one_sided = msgspec.json.Decoder(_OneSidedStream, strict=False).decode
_bare_one_sided = msgspec.json.Decoder(_OneSided, strict=False).decode
_kind = msgspec.json.Decoder(_KindStream).decode
_bare_kind = msgspec.json.Decoder(_BinanceKind | list[_BinanceKind]).decode
_no_trade = msgspec.json.Decoder(_NoTradeStream, strict=False).decode
_bare_no_trade = msgspec.json.Decoder(_NoTrade, strict=False).decode
_read_reply = msgspec.json.Decoder(_BinanceReply).decode
_PARTIAL = "partialDepth"  # our name of what has none
# Market data that nothing here asks for, but anybody's recording may hold.
_UNUSED = frozenset({
    "24hrTicker", "24hrMiniTicker", "1hTicker", "4hTicker", "1dTicker", "avgPrice",
    "markPriceUpdate", "indexPriceUpdate", "forceOrder", "continuous_kline", "indexPrice_kline",
    "markPrice_kline", "compositeIndex", "contractInfo", "assetIndexUpdate",
    "referencePrice", "blockTrade", "EquityUpdate", "KR_EquityUpdate", "HK_EquityUpdate",
    "CN_EquityUpdate", "CommodityUpdate", "FXUpdate",
    # Of accounts: their stream has ended, the connection goes on.
    "eventStreamTerminated", "listenKeyExpired",
})  # fmt: skip
_QUOTE_MARK = ord('"')
# The types of what is asked for: what has another says nothing of it.
_COUNTED = frozenset({"trade", "aggTrade", "depthUpdate", "bookTicker", "kline", "serverShutdown"})


def parse(frame: bytes) -> tuple[Event, ...]:
    """Turn one frame of a combined stream into events. Raises ParseError if undocumented.

    About 1.2 µs for a trade, half of it the decoder's: hence one function without inner calls.
    """
    try:
        # Spot's bookTicker alone ends in a string, so one byte picks the decoder that will do;
        # were the order of keys to change, `_rare` would still read it.
        if frame[-3] == _QUOTE_MARK:
            return (_spot_quote(frame),)
        message = _stream(frame)
        row = message.data
        # Asking isinstance of what it is not costs 0.1 µs.
        if type(row) is _BinanceTrade:
            if row.X is not None and row.X in _NOT_OF_THE_MARKET:
                return (_other_trade(message.stream, row),)
            side = _SELL if row.m else _BUY
            return (
                Trade(
                    "trade",
                    message.stream,
                    row.s,
                    event_time(row.E),
                    row.p,
                    row.q,
                    side,
                    row.t,
                ),
            )
        if type(row) is _AggTrade:
            side = _SELL if row.m else _BUY
            return (
                Trade(
                    "aggTrade",
                    message.stream,
                    row.s,
                    event_time(row.E),
                    row.p,
                    row.q,
                    side,
                    row.a,
                ),
            )
        if type(row) is _Depth:
            levels = (row.b, row.a)
            time = _known(row.E)
            return (
                Depth(
                    "depthUpdate", message.stream, row.s, time, levels, False, row.U, row.u, row.pu
                ),
            )
        return (_event(message.stream, row),)
    except msgspec.ValidationError as error:
        return (_rare(frame, error),)
    except DOUBTFUL as error:
        raise unreadable("binance", error) from error


def _event(topic: str, row: _Message) -> Event:
    if isinstance(row, _BinanceTrade) and row.X in _NOT_OF_THE_MARKET:
        return _other_trade(topic, row)
    if isinstance(row, _BinanceTrade | _AggTrade):
        number = row.t if isinstance(row, _BinanceTrade) else row.a
        side = _SELL if row.m else _BUY
        return Trade(
            _label(row),
            topic,
            row.s,
            event_time(row.E),
            row.p,
            row.q,
            side,
            number,
        )
    if isinstance(row, _Depth):
        levels = (row.b, row.a)
        return Depth(
            _label(row),
            topic,
            row.s,
            _known(row.E),
            levels,
            False,
            row.U,
            row.u,
            row.pu,
        )
    if isinstance(row, _BinanceTicker):
        if not (row.b and row.a and row.B and row.A):
            return Message("bookTicker", topic, row.s, event_time(row.E), row.u)
        return Quote(
            "bookTicker",
            topic,
            row.s,
            event_time(row.E),
            row.b,
            row.a,
            row.B,
            row.A,
            row.u,
        )
    if isinstance(row, _Kline):
        candle = row.k
        if not candle.c:
            return Message("kline", topic, row.s, event_time(row.E))
        return Kline(
            "kline",
            topic,
            row.s,
            event_time(row.E),
            event_time(candle.t),
            candle.c,
            candle.x,
        )
    return Control("serverShutdown", reconnect=True)


def _other_trade(topic: str, row: _BinanceTrade | _NoTrade) -> Message:
    return Message(OTHER_TRADE, topic, row.s, _known(row.E), row.t)


def _label(row: Struct) -> str:
    return str(row.__struct_config__.tag)


def _spot_quote(frame: bytes) -> Quote | Message:
    message = _spot_ticker(frame)
    return _quote(message.stream, message.data)


def _quote(topic: str, row: _SpotTicker) -> Quote | Message:
    time = _known(row.E) if row.E else None
    if not (row.b and row.a and row.B and row.A):  # one side of the book is empty: no quote
        return Message("bookTicker", topic, row.s, time, row.u)
    return Quote("bookTicker", topic, row.s, time, row.b, row.a, row.B, row.A, row.u)


def _rare(frame: bytes, error: Exception) -> Event:
    """Read what the likely decoder refused: replies, keys in new order, and the rarer messages."""
    for read in (_reply, _typed, _spot_quote, _bare, _one_side, _levels_alone, _unpriced, _unused):
        with suppress(*DOUBTFUL):
            return read(frame)
    raise unreadable("binance", error) from error


def _typed(frame: bytes) -> Event:
    message = _stream(frame)
    return _event(message.stream, message.data)


def _bare(frame: bytes) -> Event:
    """Read a message of a connection to one stream alone, which does not say its name."""
    try:
        row = _bare_message(frame)
    except msgspec.ValidationError:
        quote = _bare_ticker(frame)
        return _quote(f"{quote.s.lower()}@bookTicker", quote)
    if isinstance(row, _Shutdown):
        return _event("", row)
    name = f"kline_{row.k.i}" if isinstance(row, _Kline) else _label(row)
    return _event(f"{row.s.lower()}@{_UNNAMED.get(name, name)}", row)


_UNNAMED = {"depthUpdate": "depth@100ms"}  # whose name is not the message's type


def _one_side(frame: bytes) -> Message:
    try:
        message = _one_sided(frame)
        topic, row = message.stream, message.data
    except msgspec.ValidationError:
        row = _bare_one_sided(frame)
        topic = f"{row.s.lower()}@bookTicker"
    if row.e != "bookTicker" or not row.empty:
        raise ParseError("binance: no quote")
    return Message("bookTicker", topic, row.s, _known(row.E), row.u)


def _unpriced(frame: bytes) -> Message:
    """Read a trade that is none and has no price."""
    try:
        message = _no_trade(frame)
        topic, row = message.stream, message.data
    except msgspec.ValidationError:
        row = _bare_no_trade(frame)
        topic = f"{row.s.lower()}@trade"
    if row.X not in _NOT_OF_THE_MARKET:
        raise ParseError("binance: a trade without a price")
    return _other_trade(topic, row)


def _levels_alone(frame: bytes) -> Event:
    try:
        message = _partial(frame)
    except msgspec.ValidationError:
        _bare_partial(frame)
        return Control(_PARTIAL, data=True)  # nobody can tell whose levels these are
    row, symbol = message.data, message.stream.partition("@")[0].upper()
    levels = (row.bids, row.asks)
    return Depth(_PARTIAL, message.stream, symbol, None, levels, True, None, row.lastUpdateId)


def _unused(frame: bytes) -> Event:
    try:
        message = _kind(frame)
        found, stream = message.data, message.stream
    except msgspec.ValidationError:
        found, stream = _bare_kind(frame), ""
    # An array of all markets may be empty, and since June 2026 it may mix two products' types.
    kinds = [one.e for one in (found if isinstance(found, list) else [found])] or [stream]
    # Of streams that nothing here asks for a type may be new, but of those that are asked for it
    # would be data that nobody counts.
    asked = stream.partition("@")[2].startswith(_ASKED) or not _COUNTED.isdisjoint(kinds)
    if asked and not _UNUSED.issuperset(kinds):
        raise ParseError(f"binance: messages of the types {sorted(set(kinds))!r:.80}")
    known = isinstance(found, list) or kinds[0] in _UNUSED
    return Control(kinds[0][:60] or "unknown", data=True, unknown=not known)


_ASKED = ("trade", "aggTrade", "bookTicker", "depth", "kline")


def _reply(frame: bytes) -> Ack:
    reply = _read_reply(frame)
    number = "" if reply.id is None else str(reply.id)
    request = int(number) if number.isdecimal() else None
    if reply.error is not None:
        return Ack(
            "error",
            ok=False,
            request=request,
            reason=(reply.error.msg or str(reply.error.code))[:200],
        )
    if reply.code is not None:
        return Ack("error", ok=False, request=request, reason=(reply.msg or str(reply.code))[:200])
    if not number and b'"result"' not in frame:
        raise ParseError("a reply without an id")
    return Ack("result", request=request)


OTHER_TRADE = "trade.other"
