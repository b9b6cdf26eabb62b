"""Kraken, spot, WebSocket v2.

Source: docs.kraken.com (WebSocket v2: trade, ticker, book, ohlc, heartbeat, status, ping), read
2026-10; book frames and checksums checked against frames captured in October 2026.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from exporter.contracts import BookRules, SequenceRule, Venue, VenueFact
from exporter.decoding import DOUBTFUL, Moment, ParseError, Price, Size, epoch, known, unreadable
from exporter.doubt import Doubt, VenueLook
from exporter.instrument import speller
from exporter.listing import MarketStates
from exporter.model import (
    Ack,
    Channel,
    Continuity,
    Control,
    Depth,
    Event,
    Kline,
    Message,
    Quote,
    Side,
    Trade,
)
from exporter.venues.families import kraken as family
from exporter.venues.families import state_streams
from exporter.venues.families.states import kraken_states

_BUY, _SELL = Side.BUY, Side.SELL


class _KrakenTrade(Struct, gc=False):
    symbol: str
    price: Price
    qty: Size
    side: str = ""
    trade_id: int | None = None
    timestamp: Moment | None = None


class _KrakenTrades(Struct, gc=False, tag_field="channel", tag="trade"):
    type: str
    data: list[_KrakenTrade]


class _Quote(Struct, gc=False):
    symbol: str
    bid: Size | None = None
    ask: Size | None = None
    bid_qty: Size | None = None
    ask_qty: Size | None = None
    timestamp: Moment | None = None  # since 2026


class _Quotes(Struct, gc=False, tag_field="channel", tag="ticker"):
    type: str
    data: list[_Quote]


class _KrakenBook(Struct, gc=False):
    symbol: str
    bids: Raw = Raw(b"[]")
    asks: Raw = Raw(b"[]")
    checksum: int | None = None
    timestamp: Moment | None = None


class _KrakenBooks(Struct, gc=False, tag_field="channel", tag="book"):
    type: Literal["snapshot", "update"]
    data: list[_KrakenBook]


class _KrakenCandle(Struct, gc=False):
    symbol: str
    close: Size  # zero before the first trade
    interval_begin: Moment


class _KrakenCandles(Struct, gc=False, tag_field="channel", tag="ohlc"):
    type: str
    data: list[_KrakenCandle]
    timestamp: Moment | None = None


class _KrakenHeartbeat(Struct, gc=False, tag_field="channel", tag="heartbeat"):
    pass


class _KrakenStatus(Struct, gc=False, tag_field="channel", tag="status"):
    data: list[family.State] | None = None


_Channel = (
    _KrakenTrades | _Quotes | _KrakenBooks | _KrakenCandles | _KrakenHeartbeat | _KrakenStatus
)


class _KrakenKind(Struct, gc=False):
    channel: str = ""


class _KrakenResult(Struct, gc=False):
    channel: str = ""
    symbol: str | None = None
    depth: int | None = None


class _KrakenReply(Struct, gc=False):
    method: str | None = None
    success: bool | None = None
    req_id: int | str | None = None
    result: _KrakenResult | None = None
    symbol: str | None = None
    error: str | None = None
    Error: str | None = None  # the venue's own spelling when too many messages were sent


# strict=False: numbers may come as JSON strings.
_CHANNEL: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_Channel, strict=False)
_REPLY = msgspec.json.Decoder(_KrakenReply)
_KIND = msgspec.json.Decoder(_KrakenKind)


def parse(frame: bytes) -> tuple[Event, ...]:
    """Turn one frame into events. Raises ParseError if undocumented."""
    try:
        try:
            message = _CHANNEL.decode(frame)
        except msgspec.ValidationError:
            channel = _KIND.decode(frame).channel
            if channel in _ASKED:
                raise
            if channel:
                return (Control(channel[:60], data=True, unknown=channel not in _UNUSED),)
            return (_reply(_REPLY.decode(frame)),)
        return _EVENTS[type(message)](message)
    except DOUBTFUL as error:
        raise unreadable("kraken", error) from error


def _trades(message: _KrakenTrades) -> tuple[Event, ...]:
    snapshot = message.type == "snapshot"
    label = "trade.snapshot" if snapshot else "trade.update"
    return tuple(
        [
            Trade(
                label,
                "trade:" + row.symbol,
                row.symbol,
                known(row.timestamp),
                row.price,
                row.qty,
                _BUY if row.side == "buy" else _SELL if row.side == "sell" else None,
                None,
                row.trade_id,
                snapshot,
            )
            for row in message.data
        ]
    )


def _quotes(message: _Quotes) -> tuple[Event, ...]:
    label = "ticker.snapshot" if message.type == "snapshot" else "ticker.update"
    return tuple([_quote(label, row) for row in message.data])


def _quote(label: str, row: _Quote) -> Quote | Message:
    time = known(row.timestamp)
    topic = "ticker:" + row.symbol
    # Closed markets send prices of zero and the year 1970.
    if not (row.bid and row.ask) or 0.0 in (row.bid_qty, row.ask_qty):
        return Message(label, topic, row.symbol, time)
    return Quote(label, topic, row.symbol, time, row.bid, row.ask, row.bid_qty, row.ask_qty)


def _books(message: _KrakenBooks) -> tuple[Event, ...]:
    snapshot = message.type == "snapshot"
    label = "book.snapshot" if snapshot else "book.update"
    return tuple(
        [
            Depth(
                label,
                "book:" + row.symbol,
                row.symbol,
                known(row.timestamp),
                (row.bids, row.asks),
                snapshot,
                checksum=row.checksum,
            )
            for row in message.data
        ]
    )


def _candles(message: _KrakenCandles) -> tuple[Event, ...]:
    label = "ohlc.snapshot" if message.type == "snapshot" else "ohlc.update"
    # The rows' own `timestamp` is deprecated, and is the candle's end.
    time = known(message.timestamp)
    return tuple(
        Kline(label, "ohlc:" + row.symbol, row.symbol, time, epoch(row.interval_begin), row.close)
        if row.close
        else Message(label, "ohlc:" + row.symbol, row.symbol, time)
        for row in message.data
    )


def _status(message: _KrakenStatus) -> tuple[Event, ...]:
    states = [row for row in message.data or () if row.status or row.system]
    told = tuple(Control("status", maintenance=family.said(row)) for row in states)
    return told or (Control("status"),)


_EVENTS: dict[type, Callable[[Any], tuple[Event, ...]]] = {
    _KrakenTrades: _trades,
    _Quotes: _quotes,
    _KrakenBooks: _books,
    _KrakenCandles: _candles,
    _KrakenHeartbeat: lambda message: (Control("heartbeat"),),
    _KrakenStatus: _status,
}
_ASKED = frozenset({"trade", "ticker", "book", "ohlc", "heartbeat", "status"})
# Nothing here asks for these, but anybody's recording may hold them.
_UNUSED = frozenset({"instrument", "level3", "executions", "balances"})

# Errors name the symbol but not the channel, which is therefore hidden in the request's number.
_PARAMS: dict[str, dict[str, object]] = {
    "trade": {},
    "ticker": {"event_trigger": "bbo"},
    "book": {"depth": family.DEPTH},
    "ohlc": {"interval": 1},
}
_CHANNELS = tuple(_PARAMS)


def _reply(reply: _KrakenReply) -> Ack | Control:
    if reply.Error:
        return Ack("error", ok=False, reason=reply.Error[:200])
    if reply.method and reply.method != "subscribe":
        return Control(reply.method[:60], unknown=reply.method not in ("pong", "unsubscribe"))
    if not (reply.method or reply.error):
        raise ParseError("a reply to nothing")
    number = str(reply.req_id)
    request, channel = divmod(int(number), len(_CHANNELS)) if number.isdecimal() else (None, 0)
    if reply.error or reply.success is False:
        topics = (f"{_CHANNELS[channel]}:{reply.symbol}",) if reply.symbol and request else ()
        return Ack("subscribe", False, request, topics, (reply.error or "")[:200])
    if reply.result is None:
        if request is None:
            raise ParseError("an acknowledgement of nothing")
        return Ack("subscribe", True, request)
    topic = f"{reply.result.channel}:{reply.result.symbol or ''}"
    return Ack("subscribe", True, request, (topic,), depth=reply.result.depth)


def subscribe(topics: Sequence[str], request: int) -> str:
    """Ask for one channel of many symbols on an open connection."""
    return _request("subscribe", topics, request)


def unsubscribe(topics: Sequence[str], request: int) -> str:
    """Take one channel of many symbols off an open connection."""
    return _request("unsubscribe", topics, request)


def _request(method: str, topics: Sequence[str], request: int) -> str:
    channel = _channel(topics[0])
    symbols = [topic.partition(":")[2] for topic in topics]
    params = {"channel": channel, "symbol": symbols, **_PARAMS[channel]}
    number = request * len(_CHANNELS) + _CHANNELS.index(channel)
    return msgspec.json.encode({"method": method, "params": params, "req_id": number}).decode()


def _channel(topic: str) -> str:
    return topic.partition(":")[0]


def ping(number: int) -> str:
    """Return the client's own keepalive."""
    return msgspec.json.encode({"method": "ping", "req_id": number}).decode()


# --- books ------------------------------------------------------------------------------------


class _KrakenLevel(Struct, gc=False):
    price: Raw
    qty: Raw


_LEVELS = msgspec.json.Decoder(list[_KrakenLevel] | None)


def levels(event: Depth) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Decode bids and asks; as text, because the checksum needs every trailing zero."""
    try:
        match event.levels:
            case (Raw() as bids, Raw() as asks):
                return _side(bids), _side(asks)
    except DOUBTFUL as error:
        raise unreadable("kraken levels", error) from error
    raise ParseError("levels of another venue")


def _side(rows: Raw) -> list[tuple[str, str]]:
    found = _LEVELS.decode(rows) or ()
    pairs = [(str(row.price, "ascii"), str(row.qty, "ascii")) for row in found]
    if pairs and pairs[0][0].startswith('"'):
        return [(price.strip('"'), size.strip('"')) for price, size in pairs]
    return pairs


VENUE = Venue(
    name="kraken",
    title="Kraken",
    rest_url=family.REST_URL,
    endpoints=family.ENDPOINTS,
    fault=family.fault,
    rest_limits=family.REST_LIMITS,
    markets_path=family.MARKETS_PATH,
    read_markets=family.read_markets,
    states=MarketStates(read=kraken_states(family.modern)),
    state_stream=state_streams.kraken(parse),
    volumes=family.VOLUMES,
    status_page=family.STATUS_PAGE,
    stream_urls=("wss://ws.kraken.com/v2",),
    connection_limit=family.CONNECTION_LIMIT,
    topics={
        Channel.TRADES: "trade:{symbol}",
        Channel.QUOTES: "ticker:{symbol}",
        Channel.BOOK: "book:{symbol}",
        Channel.KLINES: "ohlc:{symbol}",
    },
    subscribe=subscribe,
    unsubscribe=unsubscribe,
    parse=parse,
    sequences=(
        SequenceRule(
            # It counts up by one, as documented; a snapshot may overlap, so its rising is enough.
            name="trade.trade_id",
            labels=("trade.snapshot", "trade.update"),
            continuity=Continuity.RISING,
            attribute="order",
        ),
    ),
    book=BookRules(levels=levels, checksum=family.checksum, depth=family.DEPTH),
    cross_checks=family.CROSS_CHECKS,
    ping=ping,
    ping_every=30.0,
    topics_per_request=100,
    request_group=_channel,
    symbol=speller(spot=lambda one: f"{one.base}/{one.quote}"),
    hosts=("ws.kraken.com/v2", "beta-ws.kraken.com/v2", "api.kraken.com"),
    timestamps={
        Channel.TRADES: "timestamp of the execution (µs)",
        Channel.QUOTES: "timestamp (µs), sent since 2026",
        Channel.BOOK: "timestamp (µs)",
        Channel.KLINES: "timestamp of the message (ns)",
    },
    source="docs.kraken.com, WebSocket v2, read 2026-10",
    facts=(
        VenueFact(
            "states of pairs: the channel instrument",
            "docs.kraken.com, spot-websocket-v2, Instruments",
            "2026-11-30",
        ),
        VenueFact(
            "frames, channel by channel (tests/venues/documented/kraken.yml)",
            "docs.kraken.com, spot-websocket-v2, in parts; docs/profiles/kraken/websocket.md of "
            "github.com/nemanull/arbitrage-observatory (2026-07-26); test data of nautilus_trader",
            "2026-11-30",
        ),
        VenueFact("channels, frames, checksum", "docs.kraken.com, WebSocket v2", "2026-10"),
        VenueFact(
            "states, announcements, emergencies",
            "docs.kraken.com, Get System Status, Get Maintenance Schedule, status",
            "2026-11-30",
        ),
        VenueFact("book frames on the wire", "captured frames", "2026-10"),
    ),
    checked="recording",
    unsure=(
        *family.UNSURE,
        Doubt("wording of subscription errors", VenueLook.UNKNOWN, "refused"),
        Doubt(
            "trade, ticker and ohlc frames: documentation and single captured frames only",
            VenueLook.CHANNELS,
            "trades",
            "quotes",
            "klines",
        ),
    ),
)
