"""KuCoin, spot, classic API.

Source: github.com/Kucoin/kucoin-api-docs at 7f01bbe (June 2023: the old site, newer limits may
differ), read 2026-10; frames checked against traffic recorded in April 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from exporter.contracts import (
    BookRules,
    CrossCheck,
    Endpoint,
    Prelude,
    RestLimit,
    SequenceRule,
    Venue,
    VenueFact,
    VenueSite,
)
from exporter.decoding import (
    DOUBTFUL,
    ParseError,
    Price,
    Size,
    known_millis,
    reading,
    seconds,
    unreadable,
)
from exporter.doubt import Doubt, VenueLook
from exporter.instrument import Product, speller
from exporter.listing import MarketStates, VolumeLists
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
from exporter.venues.families.kucoin_rest import (
    fault,
    payload,
    read_address,
    read_best,
    read_last_trade,
    read_markets,
    read_status,
    read_time,
)
from exporter.venues.families.states import kucoin_states
from exporter.venues.families.volumes import read_kucoin

_BUY, _SELL = Side.BUY, Side.SELL
_NS = 10**18  # of the year 2001


class _KuCoinMatch(Struct, gc=False):
    symbol: str
    size: Size
    price: Price
    sequence: int | None = None
    side: str = ""
    time: int | None = None  # ns, but ms and µs are seen on other sites of the venue


class _KuCoinTicker(Struct, gc=False):
    sequence: int | None = None
    time: int | None = None
    # Null where the side is empty. N815: the wire's spelling, here and below.
    bestBid: Size | Literal[""] | None = None  # noqa: N815
    bestAsk: Size | Literal[""] | None = None  # noqa: N815
    bestBidSize: Size | Literal[""] | None = None  # noqa: N815
    bestAskSize: Size | Literal[""] | None = None  # noqa: N815


class _KuCoinUpdate(Struct, gc=False):
    symbol: str
    sequenceStart: int  # noqa: N815
    sequenceEnd: int  # noqa: N815
    changes: Raw
    time: int | None = None  # since September 2022


class _Prices(Struct, gc=False, array_like=True):
    start: int
    open: Size  # zero before the first trade
    close: Size


class _KuCoinCandle(Struct, gc=False):
    symbol: str
    candles: _Prices
    time: int | None = None


class _KuCoinFrame(Struct, gc=False):
    type: str
    topic: str | None = None
    subject: str | None = None
    id: str | int | None = None  # as text, whatever was sent
    data: Raw = Raw(b"null")
    code: int | str | None = None


# strict=False: numbers come as JSON strings, and become floats while they are validated.
_FRAME = msgspec.json.Decoder(_KuCoinFrame)
_MATCH = msgspec.json.Decoder(_KuCoinMatch, strict=False)
_TICKER = msgspec.json.Decoder(_KuCoinTicker, strict=False)
_UPDATE = msgspec.json.Decoder(_KuCoinUpdate, strict=False)
_CANDLE = msgspec.json.Decoder(_KuCoinCandle, strict=False)


def parse(frame: bytes) -> tuple[Event, ...]:
    """Turn one frame into events. Raises ParseError if undocumented."""
    try:
        # What `data` holds is told only after it: hence two steps.
        message = _FRAME.decode(frame)
        if message.type == "message":
            topic, subject = message.topic or "", message.subject or ""
            if topic == "/market/ticker:all":  # where the subject is the symbol
                topic, subject = f"/market/ticker:{subject}", "trade.ticker"
            read = _EVENTS.get(subject)
            if read is not None:
                return (read(topic, message.data),)
            if topic.startswith(_ASKED):
                raise ParseError(f"kucoin: unknown subject {subject[:40]!r}")
            known = topic.startswith(_UNUSED)
            return (Control(subject[:60] or "unknown", data=True, unknown=not known),)
        return (_reply(message),)
    except DOUBTFUL as error:
        raise unreadable("kucoin", error) from error


def _match(topic: str, data: Raw) -> Trade:
    row = _MATCH.decode(data)
    side = _BUY if row.side == "buy" else _SELL if row.side == "sell" else None
    time = row.time
    return Trade(
        "trade.l3match",
        topic,
        row.symbol,
        # Nearly always ns: a call costs 0.1 µs.
        None if time is None else time / 1e9 if _NS < time < 9 * _NS else _moment(time),
        row.price,
        row.size,
        side,
        None,
        row.sequence,
    )


def _moment(time: int) -> float | None:
    """Return epoch seconds of a time in ns, µs or ms; None for what cannot be one."""
    for least, per_second in ((10**18, 1e9), (10**15, 1e6), (10**12, 1e3)):
        if least < time < 10 * least:
            return time / per_second
    return None


def _ticker(topic: str, data: Raw) -> Quote | Message:
    row = _TICKER.decode(data)
    symbol, time = topic.partition(":")[2], known_millis(row.time)
    bid, ask, bid_size, ask_size = row.bestBid, row.bestAsk, row.bestBidSize, row.bestAskSize
    if not (bid and ask) or 0.0 in (bid_size, ask_size):  # one side is empty: there is no quote
        return Message("trade.ticker", topic, symbol, time, row.sequence)
    sizes = bid_size or None, ask_size or None
    return Quote("trade.ticker", topic, symbol, time, bid, ask, *sizes, row.sequence)


def _update(topic: str, data: Raw) -> Depth:
    row = _UPDATE.decode(data)
    return Depth(
        "trade.l2update",
        topic,
        row.symbol,
        known_millis(row.time),
        row.changes,
        False,
        row.sequenceStart,
        row.sequenceEnd,
    )


def _candle(label: str) -> Callable[[str, Raw], Kline | Message]:
    def candle(topic: str, data: Raw) -> Kline | Message:
        row = _CANDLE.decode(data)
        start = seconds(row.candles.start, 1.0)
        time = None if row.time is None else _moment(row.time)
        if not row.candles.close:
            return Message(label, topic, row.symbol, time)
        return Kline(label, topic, row.symbol, time, start, row.candles.close)

    return candle


_EVENTS: dict[str, Callable[[str, Raw], Event]] = {
    "trade.l3match": _match,
    "trade.ticker": _ticker,
    "trade.l2update": _update,
    "trade.candles.update": _candle("trade.candles.update"),
    "trade.candles.add": _candle("trade.candles.add"),
}


# The topics of our subjects; others nothing here asks for, but anybody's recording may hold.
_ASKED = ("/market/match:", "/market/ticker:", "/market/level2:", "/market/candles:")
_UNUSED = (
    "/market/snapshot:", "/market/ticker:", "/market/level", "/market/index", "/spotMarket/",
    "/indicator/", "/margin/", "/callauction/",
)  # fmt: skip


def _reply(message: _KuCoinFrame) -> Ack | Control:
    number = str(message.id)
    request = int(number) if number.isdecimal() else None
    match message.type:
        case "ack":
            return Ack("ack", request=request)
        case "welcome":
            return Control("welcome", ready=True)
        case "error":
            text = str(message.data, "utf-8")
            return Ack(
                "error", ok=False, request=request, reason=f"{message.code or 0} {text}"[:200]
            )
    if not message.type:
        raise ParseError("a message without a type")
    return Control(message.type[:60], unknown=message.type not in ("pong", "notice", "command"))


def subscribe(topics: Sequence[str], request: int) -> str:
    """Ask for one channel of many symbols on an open connection."""
    return _request("subscribe", topics, request)


def unsubscribe(topics: Sequence[str], request: int) -> str:
    """Take one channel of many symbols off an open connection."""
    return _request("unsubscribe", topics, request)


def _request(kind: str, topics: Sequence[str], request: int) -> str:
    symbols = ",".join(topic.partition(":")[2] for topic in topics)
    message = {
        "id": request,
        "type": kind,
        "topic": f"{_channel(topics[0])}:{symbols}",
        "privateChannel": False,
        "response": True,
    }
    return msgspec.json.encode(message).decode()


def _channel(topic: str) -> str:
    return topic.partition(":")[0]


def _request_group(topic: str) -> str:
    """Return what topics of one request share: the channel, but candles take one symbol each."""
    channel = _channel(topic)
    return topic if channel == "/market/candles" else channel


def ping(number: int) -> str:
    """Return the client's own keepalive."""
    return msgspec.json.encode({"id": str(number), "type": "ping"}).decode()


# --- books ------------------------------------------------------------------------------------


class _Changes(Struct, gc=False):
    # price, size and number of the change
    asks: list[tuple[Size, Size, Size]] | None = None
    bids: list[tuple[Size, Size, Size]] | None = None


class _Sides(Struct, gc=False):
    bids: list[tuple[Price, Size]]
    asks: list[tuple[Price, Size]]


_changes = msgspec.json.Decoder(_Changes, strict=False).decode


def levels(event: Depth) -> tuple[Sequence[tuple[float, float]], Sequence[tuple[float, float]]]:
    """Decode the bids and asks of an update; a price of zero only moves the sequence."""
    found = event.levels
    try:
        if type(found) is Raw:
            changes = _changes(found)
            bids, asks = changes.bids, changes.asks
            # Nearly always one side has nothing new: a list less is 0.15 µs less.
            return (
                [(price, size) for price, size, _ in bids if price] if bids else (),
                [(price, size) for price, size, _ in asks if price] if asks else (),
            )
        if isinstance(found, _Sides):
            return found.bids, found.asks
    except DOUBTFUL as error:
        raise unreadable("kucoin levels", error) from error
    raise ParseError("levels of another venue")


class _KuCoinBook(_Sides, gc=False):
    sequence: int = 0
    time: int | None = None


def read_snapshot(body: bytes, topic: str, symbol: str) -> Depth:
    """Read the REST book that updates continue."""
    with reading("kucoin book"):
        book = msgspec.json.decode(payload(body), type=_KuCoinBook, strict=False)
        time = known_millis(book.time)
        return Depth("book", topic, symbol, time, book, snapshot=True, last=book.sequence)


_LEVEL_ONE = "/api/v1/market/orderbook/level1?symbol={symbol}"
_CHECKED_TRADES = CrossCheck(path=_LEVEL_ONE, read=read_last_trade, weight=2)
_CHECKED_QUOTES = CrossCheck(path=_LEVEL_ONE, read=read_best, weight=2)

VENUE = Venue(
    name="kucoin",
    title="KuCoin",
    rest_url="https://api.kucoin.com",
    endpoints=(
        Endpoint(name="time", path="/api/v1/timestamp", weight=3, clock=read_time),
        Endpoint(name="status", path="/api/v1/status", weight=3, interval=30.0, status=read_status),
        Endpoint(
            name="ticker",
            path=_LEVEL_ONE,
            weight=2,
            default=False,
        ),
    ),
    fault=fault,
    rest_limits=(
        RestLimit(
            name="public_30s", weight=2000, window=30.0, remaining_header="gw-ratelimit-remaining"
        ),
    ),
    markets_path="/api/v2/symbols",
    read_markets=read_markets,
    states=MarketStates(read=kucoin_states),
    markets_weight=4,
    volumes=VolumeLists(
        paths={Product.SPOT: "/api/v1/market/allTickers"}, read=read_kucoin, weight=15
    ),
    # Source: clients that name KuCoin EU's REST address (found 2026-11-30); its token names the
    # stream's.
    regions={"eu": VenueSite(rest_urls=("https://api.kucoin.eu",), stream_urls=())},
    stream_urls=("wss://ws-api-spot.kucoin.com",),
    connection_limit=RestLimit(name="connections_1m", weight=30, window=60.0),
    prelude=Prelude(path="/api/v1/bullet-public", method="POST", read=read_address, weight=10),
    welcomed=True,
    topics={
        Channel.TRADES: "/market/match:{symbol}",
        Channel.QUOTES: "/market/ticker:{symbol}",
        Channel.BOOK: "/market/level2:{symbol}",
        Channel.KLINES: "/market/candles:{symbol}_1min",
    },
    subscribe=subscribe,
    unsubscribe=unsubscribe,
    parse=parse,
    sequences=(
        SequenceRule(
            name="l2update",
            labels=("trade.l2update",),
            continuity=Continuity.OVERLAPPING,
            attribute="span",
        ),
        SequenceRule(
            name="match.sequence",
            labels=("trade.l3match",),
            continuity=Continuity.RISING,
            attribute="order",
        ),
        SequenceRule(
            name="ticker.sequence",
            labels=("trade.ticker",),
            continuity=Continuity.RISING,
            attribute="sequence",
        ),
    ),
    book=BookRules(
        levels=levels,
        # The whole book needs a key.
        snapshot_path="/api/v1/market/orderbook/level2_100?symbol={symbol}",
        read_snapshot=read_snapshot,
        weight=2,
    ),
    cross_checks={
        Channel.TRADES: _CHECKED_TRADES,
        Channel.KLINES: _CHECKED_TRADES,
        Channel.QUOTES: _CHECKED_QUOTES,
        Channel.BOOK: _CHECKED_QUOTES,
    },
    ping=ping,
    ping_every=15.0,  # the server names 18 s, and waits 10 s more
    lifetime=24 * 3600.0,  # the token's
    topics_per_request=100,
    request_group=_request_group,
    topics_per_connection=300,
    requests_per_second=8.0,  # the limit is 100 in 10 s, and pings count
    symbol=speller(spot=lambda one: f"{one.base}-{one.quote}".upper()),
    hosts=(
        "ws-api-spot.kucoin.com",
        "ws-api.kucoin.com",
        "push-private.kucoin.com",
        "push.kucoin.com",
        "api.kucoin.com",
        "api.kucoin.eu",
    ),
    timestamps={
        Channel.TRADES: "time of the match (ns)",
        Channel.QUOTES: "time of the message (ms)",
        Channel.BOOK: "time of the update (ms), sent since 2022",
        Channel.KLINES: "time of the message (ns)",
    },
    source="kucoin-api-docs at 7f01bbe, read 2026-10",
    facts=(
        VenueFact(
            "2,000 in 30 s of public requests; 429 and 429000 where they are used up",
            "www.kucoin.com/docs-new/rate-limit",
            "2026-11-30",
        ),
        VenueFact(
            "weights: symbols 4, allTickers 15, level1 2, timestamp 3, status 3, bullet-public 10",
            "ccxt 4.5.90, costs of kucoin",
            "2026-11-30",
        ),
        VenueFact(
            "frames, channel by channel (tests/venues/documented/kucoin.yml)",
            "answers captured on 2026-09-22 in docs/profiles/kucoin/websocket.md of "
            "github.com/nemanull/arbitrage-observatory; the shapes of the classic channels as in "
            "kucoin-api-docs at 7f01bbe",
            "2026-11-30",
        ),
        VenueFact(
            "channels, frames, connection limits",
            "github.com/Kucoin/kucoin-api-docs at 7f01bbe",
            "2026-10",
        ),
        VenueFact(
            "weights; candles take one symbol a topic",
            "its documentation, as public reports give it",
            "2026-11",
        ),
        VenueFact("frames on the wire", "recorded traffic", "2021-04"),
    ),
    checked="recording",
    unsure=(
        Doubt("wording of subscription errors", VenueLook.UNKNOWN, "refused"),
        Doubt("the address of the region eu", VenueLook.REGIONS, "eu"),
        "that the region eu lists the same markets",
        "limits per pool",
        Doubt("the gw-ratelimit headers", VenueLook.HEADERS),
        Doubt(
            "the book snapshot carries 100 levels a side: what lies deeper is learnt from updates",
            VenueLook.SNAPSHOT,
            "100",
        ),
    ),
)
