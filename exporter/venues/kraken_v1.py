"""Kraken, spot, WebSocket v1: frozen, still served.

Source: docs.kraken.com (WebSocket v1), read 2026-10; frames and checksums checked against
traffic recorded in April 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from exporter.contracts import BookRules, Venue, VenueFact
from exporter.decoding import DOUBTFUL, ParseError, Price, Size, unreadable
from exporter.doubt import Doubt, VenueLook
from exporter.instrument import speller
from exporter.listing import MarketStates
from exporter.model import Ack, Channel, Control, Depth, Event, Kline, Message, Quote, Side, Trade
from exporter.venues.families import kraken as family
from exporter.venues.families.states import kraken_states

Seconds = Annotated[float, Meta(gt=1e9, lt=1e10)]


class _KrakenV1Frame(Struct, gc=False, array_like=True):
    """``[id, body, channel, pair]``, or ``[id, body, body, channel, pair]``."""

    number: Raw
    body: Raw
    second: Raw  # the channel, or the other side of the book
    third: str
    fourth: str = ""


class _KrakenV1Trade(Struct, gc=False, array_like=True):
    price: Price
    volume: Size
    time: float | None
    side: str


class _KrakenV1Best(Struct, gc=False, array_like=True):
    price: Size
    whole_lots: Size
    volume: Size


class _KrakenV1Ticker(Struct, gc=False):
    a: _KrakenV1Best
    b: _KrakenV1Best


class _KrakenV1Level(Struct, gc=False, array_like=True):
    price: str  # text, because the checksum needs every trailing zero
    volume: str
    time: float | None
    republished: str = ""  # "r": sent again after a level above it went away; the time is old


class _KrakenV1Book(Struct, gc=False):
    a: list[_KrakenV1Level] | None = None
    b: list[_KrakenV1Level] | None = None
    c: int | None = None
    as_: list[_KrakenV1Level] | None = msgspec.field(default=None, name="as")
    bs: list[_KrakenV1Level] | None = None


class _KrakenV1Candle(Struct, gc=False, array_like=True):
    time: Seconds
    end: Seconds
    open: Size
    high: Size
    low: Size
    close: Size  # zero before the first trade


class _Spread(Struct, gc=False, array_like=True):
    bid: Size
    ask: Size
    time: float | None
    bid_volume: Size | None = None  # may be absent
    ask_volume: Size | None = None


class _Terms(Struct, gc=False):
    name: str
    depth: int | None = None


class _Subscription(Struct, gc=False, tag_field="event", tag="subscriptionStatus"):
    status: str
    pair: str | None = None
    subscription: _Terms | None = None
    reqid: int | None = None
    errorMessage: str | None = None  # noqa: N815 - the wire's spelling


class _KrakenV1System(Struct, gc=False, tag_field="event", tag="systemStatus"):
    status: str


class _KrakenV1Heartbeat(Struct, gc=False, tag_field="event", tag="heartbeat"):
    pass


class _Pong(Struct, gc=False, tag_field="event", tag="pong"):
    pass


class _KrakenV1Error(Struct, gc=False, tag_field="event", tag="error"):
    errorMessage: str | None = None  # noqa: N815
    reqid: int | None = None


class _KrakenV1Kind(Struct, gc=False):
    event: str


# strict=False: numbers come as JSON strings, and become floats while they are validated.
_FRAME = msgspec.json.Decoder(_KrakenV1Frame)
_TEXT = msgspec.json.Decoder(str)
_TRADES = msgspec.json.Decoder(list[_KrakenV1Trade], strict=False)
_TICKER = msgspec.json.Decoder(_KrakenV1Ticker, strict=False)
_BOOK = msgspec.json.Decoder(_KrakenV1Book, strict=False)
_SPREAD = msgspec.json.Decoder(_Spread, strict=False)
_CANDLE = msgspec.json.Decoder(_KrakenV1Candle, strict=False)
_KIND = msgspec.json.Decoder(_KrakenV1Kind)
_NAMED = frozenset({"subscriptionStatus", "systemStatus", "heartbeat", "pong", "error"})
_EVENT: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
    _Subscription | _KrakenV1System | _KrakenV1Heartbeat | _Pong | _KrakenV1Error
)


def parse(frame: bytes) -> tuple[Event, ...]:
    """Turn one frame into events. Raises ParseError if undocumented."""
    try:
        if frame.startswith(b"{"):
            return (_told(frame),)
        message = _FRAME.decode(frame)
        if message.fourth:
            bodies = [message.body, message.second]
            channel, pair = message.third, message.fourth
        else:
            bodies = [message.body]
            channel, pair = _TEXT.decode(message.second), message.third
        name, _, terms = channel.partition("-")
        if name not in _EVENTS:
            return (Control(name[:60] or "unknown", data=True, unknown=True),)
        return _EVENTS[name](bodies, f"{name}:{pair}", pair, terms)
    except DOUBTFUL as error:
        raise unreadable("kraken_v1", error) from error


def _trades(bodies: Sequence[Raw], topic: str, pair: str, terms: str) -> tuple[Event, ...]:
    return tuple(
        Trade(
            "trade",
            topic,
            pair,
            _known(row.time),
            row.price,
            row.volume,
            {"b": Side.BUY, "s": Side.SELL}.get(row.side),
        )
        for row in _TRADES.decode(bodies[0])
    )


def _ticker(bodies: Sequence[Raw], topic: str, pair: str, terms: str) -> tuple[Event, ...]:
    row = _TICKER.decode(bodies[0])
    bid, ask = row.b, row.a
    if not (bid.price and ask.price and bid.volume and ask.volume):
        return (Message("ticker", topic, pair),)  # one side is empty: there is no quote
    return (Quote("ticker", topic, pair, None, bid.price, ask.price, bid.volume, ask.volume),)


def _book(bodies: Sequence[Raw], topic: str, pair: str, terms: str) -> tuple[Event, ...]:
    book = _BOOK.decode(bodies[0])
    if len(bodies) == 2:
        other = _BOOK.decode(bodies[1])
        book = _KrakenV1Book(
            book.a or other.a, book.b or other.b, book.c if other.c is None else other.c
        )
    if book.as_ is not None or book.bs is not None:
        sides = (book.bs or [], book.as_ or [])
        return (Depth("book.snapshot", topic, pair, None, sides, snapshot=True),)
    bids, asks = book.b or [], book.a or []
    if book.c is None:
        raise ParseError("a book update without a checksum")
    times = [time for level in bids + asks if (time := _known(level.time)) is not None]
    time = max(times, default=None)
    return (Depth("book.update", topic, pair, time, (bids, asks), checksum=book.c),)


def _candle(bodies: Sequence[Raw], topic: str, pair: str, terms: str) -> tuple[Event, ...]:
    row = _CANDLE.decode(bodies[0])
    if not row.close:
        return (Message("ohlc", topic, pair, row.time),)
    return (Kline("ohlc", topic, pair, row.time, row.end - 60.0 * int(terms), row.close),)


def _spread(bodies: Sequence[Raw], topic: str, pair: str, terms: str) -> tuple[Event, ...]:
    row = _SPREAD.decode(bodies[0])
    if not (row.bid and row.ask) or 0.0 in (row.bid_volume, row.ask_volume):
        return (Message("spread", topic, pair, _known(row.time)),)
    sizes = row.bid_volume, row.ask_volume
    return (Quote("spread", topic, pair, _known(row.time), row.bid, row.ask, *sizes),)


_EVENTS: dict[str, Callable[[Sequence[Raw], str, str, str], tuple[Event, ...]]] = {
    "trade": _trades,
    "ticker": _ticker,
    "book": _book,
    "ohlc": _candle,
    "spread": _spread,
}


def _known(time: float | None) -> float | None:
    """Return a time, or None for what cannot be one: what it is of counts all the same."""
    return time if time is not None and 1e9 < time < 1e10 else None


def _told(frame: bytes) -> Ack | Control:
    try:
        return _reply(_EVENT.decode(frame))
    except msgspec.ValidationError:
        event = _KIND.decode(frame).event
        if event in _NAMED:
            raise
        return Control(event[:60] or "unknown", unknown=True)


def _reply(
    row: _Subscription | _KrakenV1System | _KrakenV1Heartbeat | _Pong | _KrakenV1Error,
) -> Ack | Control:
    match row:
        case _KrakenV1System(status=status):
            return Control("systemStatus", maintenance=family.said(family.State(status=status)))
        case _KrakenV1Heartbeat():
            return Control("heartbeat")
        case _Pong():
            return Control("pong")
        case _KrakenV1Error(errorMessage=text, reqid=number):
            return Ack("error", ok=False, request=number, reason=(text or "")[:200])
        case _Subscription(status="unsubscribed"):
            return Control("subscriptionStatus")
    terms = row.subscription
    topics = (f"{terms.name}:{row.pair}",) if terms is not None and row.pair else ()
    depth = None if terms is None else terms.depth
    ok = row.status == "subscribed"
    reason = (row.errorMessage or "")[:200]
    return Ack("subscriptionStatus", ok, row.reqid, topics, reason, depth)


_TERMS: dict[str, dict[str, object]] = {
    "trade": {"name": "trade"},
    "ticker": {"name": "ticker"},
    "book": {"name": "book", "depth": family.DEPTH},
    "ohlc": {"name": "ohlc", "interval": 1},
}


def subscribe(topics: Sequence[str], request: int) -> str:
    """Ask for one channel of many pairs on an open connection."""
    return _request("subscribe", topics, request)


def unsubscribe(topics: Sequence[str], request: int) -> str:
    """Take one channel of many pairs off an open connection."""
    return _request("unsubscribe", topics, request)


def _request(event: str, topics: Sequence[str], request: int) -> str:
    pairs = [topic.partition(":")[2] for topic in topics]
    terms = _TERMS[_channel(topics[0])]
    message = {"event": event, "reqid": request, "pair": pairs, "subscription": terms}
    return msgspec.json.encode(message).decode()


def _channel(topic: str) -> str:
    return topic.partition(":")[0]


def ping(number: int) -> str:
    """Return the client's own keepalive."""
    return msgspec.json.encode({"event": "ping", "reqid": number}).decode()


def levels(event: Depth) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return bids and asks as text."""
    match event.levels:
        case (list() as bids, list() as asks):
            return [(row.price, row.volume) for row in bids], [
                (row.price, row.volume) for row in asks
            ]
    raise ParseError("levels of another venue")


VENUE = Venue(
    name="kraken_v1",
    title="Kraken (WebSocket v1)",
    rest_url=family.REST_URL,
    endpoints=family.ENDPOINTS,
    fault=family.fault,
    rest_limits=family.REST_LIMITS,
    markets_path=family.MARKETS_PATH,
    read_markets=family.read_frozen_markets,
    states=MarketStates(read=kraken_states(str)),
    volumes=family.VOLUMES,
    status_page=family.STATUS_PAGE,
    stream_urls=("wss://ws.kraken.com",),
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
    book=BookRules(levels=levels, checksum=family.checksum, depth=family.DEPTH),
    cross_checks=family.CROSS_CHECKS,
    ping=ping,
    ping_every=30.0,
    topics_per_request=100,
    request_group=_channel,
    symbol=speller(spot=family.frozen),
    hosts=("ws.kraken.com", "beta-ws.kraken.com"),
    timestamps={
        Channel.TRADES: "time of the newest trade in the frame (µs)",
        Channel.QUOTES: "none is sent",
        Channel.BOOK: "time of the newest level in the frame (µs)",
        Channel.KLINES: "time of the last trade in the candle (µs)",
    },
    source="docs.kraken.com, WebSocket v1, read 2026-10",
    facts=(
        VenueFact("channels and frames", "docs.kraken.com, WebSocket v1", "2026-10"),
        VenueFact("states", "docs.kraken.com, systemStatus and Get System Status", "2026-11-30"),
        VenueFact("frames and checksums on the wire", "recorded traffic", "2021-04"),
    ),
    checked="recording",
    unsure=(*family.UNSURE, Doubt("ohlc frames: documentation only", VenueLook.CHANNELS, "klines")),
)
