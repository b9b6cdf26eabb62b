"""Coinbase Advanced Trade, its public market data.

Source: docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis as ccxt and nautilus_trader show it,
read 2026-11; frames that ccxt captured in August 2026. Every frame of a connection has the number
that follows the one before, whatever its channel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from exporter.continuity import ConnectionNumbers
from exporter.contracts import (
    BookRules,
    CrossCheck,
    Endpoint,
    RestLimit,
    SequenceRule,
    Venue,
    VenueFact,
)
from exporter.decoding import (
    DOUBTFUL,
    Moment,
    ParseError,
    Price,
    Serial,
    Size,
    known,
    reading,
    seconds,
    unreadable,
)
from exporter.instrument import Product, speller
from exporter.listing import MarketStates, VolumeLists
from exporter.model import (
    Ack,
    Answer,
    Channel,
    Continuity,
    Control,
    Depth,
    Event,
    Market,
    MarketState,
    Message,
    Quote,
    Reason,
    Side,
    Trade,
)
from exporter.venues.families.states import coinbase_advanced_states
from exporter.venues.families.volumes import read_advanced

_SIDES = {"BUY": Side.SELL, "SELL": Side.BUY}  # it is the maker's: the taker took the other one
_LIMITED = frozenset({"rate_limit_exceeded", "resource_exhausted"})
_HEARTBEATS = '{"type":"subscribe","channel":"heartbeats"}'


class _AdvancedTrade(Struct, gc=False):
    product_id: str
    price: Price
    size: Size
    trade_id: Serial | str | None = None  # some samples have 000000000, which is no number
    side: str | None = None
    time: Moment | None = None


class _AdvancedTicker(Struct, gc=False):
    product_id: str
    best_bid: Size | Literal[""] | None = None
    best_ask: Size | Literal[""] | None = None
    best_bid_quantity: Size | Literal[""] | None = None
    best_ask_quantity: Size | Literal[""] | None = None


class _AdvancedLevel(Struct, gc=False):
    side: str
    price_level: Price
    new_quantity: Size


class _AdvancedEvent(Struct, gc=False):
    type: str = ""
    product_id: str = ""
    trades: list[_AdvancedTrade] = []
    tickers: list[_AdvancedTicker] = []
    updates: Raw = msgspec.field(default_factory=Raw)
    subscriptions: dict[str, Any] | None = None


class _AdvancedNumber(Struct, gc=False):
    sequence_num: int | None = None


class _AdvancedFrame(Struct, gc=False):
    channel: str = ""
    type: str = ""
    message: str = ""
    timestamp: Moment | None = None
    sequence_num: int | None = None
    events: list[_AdvancedEvent] = []


_FRAME = msgspec.json.Decoder(_AdvancedFrame, strict=False)
_NUMBER = msgspec.json.Decoder(_AdvancedNumber)
_LEVELS = msgspec.json.Decoder(list[_AdvancedLevel] | None, strict=False)


class AdvancedReader:
    """Reads the frames of one connection, and follows their numbers."""

    def __init__(self) -> None:
        self.numbers = ConnectionNumbers()
        self._missed = 0  # frames of which nobody was told yet

    def __call__(self, frame: bytes) -> tuple[Event, ...]:
        """Turn one frame into events. Raises ParseError."""
        try:
            row = _FRAME.decode(frame)
            events = _events(row)
        except DOUBTFUL as error:
            # What cannot be read is not missing. A gap before it is told with the next frame.
            with suppress(*DOUBTFUL):
                self._count(_NUMBER.decode(frame).sequence_num)
            raise unreadable("coinbase_advanced", error) from error
        self._count(row.sequence_num)
        missed, self._missed = self._missed, 0
        return (Control("gap", missed=missed), *events) if missed else events

    def _count(self, number: int | None) -> None:
        if number is not None:
            self._missed += self.numbers.follow(number)


def parse(frame: bytes) -> tuple[Event, ...]:
    """Read a frame as the first of its connection. Raises ParseError."""
    return AdvancedReader()(frame)


def _events(row: _AdvancedFrame) -> tuple[Event, ...]:
    match row.channel:
        case "market_trades":
            return tuple(_trades(row)) or (Control("market_trades", data=True),)
        case "ticker" | "ticker_batch":
            return tuple(_quotes(row)) or (Control(row.channel, data=True),)
        case "l2_data":
            return tuple(_depths(row)) or (Control("l2_data", data=True),)
        case "subscriptions":
            return (Ack("subscriptions", topics=tuple(_active(row))),)
        case "heartbeats":
            return (Control("heartbeats"),)
        case "candles" | "status":
            return (Control(row.channel, data=True),)
    if row.type == "error":
        return (Ack("error", ok=False, reason=row.message[:200]),)
    kind = (row.channel or row.type)[:60]
    if not kind:
        raise ParseError("a frame of no channel")
    return (Control(kind, data=bool(row.channel), unknown=True),)


def _whole(event: _AdvancedEvent) -> bool:
    """Whether it repeats what was before; one that does not say is no use."""
    if event.type not in ("snapshot", "update"):
        raise ParseError(f"the type {event.type[:20]!r}")
    return event.type == "snapshot"


def _trades(row: _AdvancedFrame) -> Iterator[Trade]:
    for event in row.events:
        snapshot = _whole(event)
        for one in reversed(event.trades):  # newest first
            yield Trade(
                "market_trades",
                f"market_trades:{one.product_id}",
                one.product_id,
                known(one.time),
                one.price,
                one.size,
                _SIDES.get(one.side or ""),
                None,
                one.trade_id if isinstance(one.trade_id, int) else None,
                snapshot,
            )


def _quotes(row: _AdvancedFrame) -> Iterator[Event]:
    for event in row.events:
        for one in event.tickers:
            bid_size, ask_size = one.best_bid_quantity, one.best_ask_quantity
            if not (one.best_bid and one.best_ask) or 0.0 in (bid_size, ask_size):
                topic = f"ticker:{one.product_id}"
                yield Message(row.channel, topic, one.product_id, known(row.timestamp))
                continue
            yield Quote(
                row.channel,
                f"ticker:{one.product_id}",
                one.product_id,
                known(row.timestamp),
                one.best_bid,
                one.best_ask,
                bid_size or None,
                ask_size or None,
            )


def _depths(row: _AdvancedFrame) -> Iterator[Depth]:
    for event in row.events:
        if not event.product_id:
            raise ParseError("a book without a product")
        whole = _whole(event)
        yield Depth(
            f"l2_data.{'snapshot' if whole else 'update'}",
            f"level2:{event.product_id}",
            event.product_id,
            known(row.timestamp),
            (event.updates,),
            whole,
        )


def _active(row: _AdvancedFrame) -> Iterator[str]:
    """Return all topics that are subscribed to by now."""
    for event in row.events:
        for channel, products in (event.subscriptions or {}).items():
            if isinstance(products, list):
                yield from (f"{channel}:{product}" for product in products)


def levels(event: Depth) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Decode bids and asks; size 0 takes a level away."""
    bids: list[tuple[float, float]] = []
    asks: list[tuple[float, float]] = []
    try:
        match event.levels:
            case (Raw() as updates,):
                for one in _LEVELS.decode(updates) or () if bytes(updates) else ():
                    (bids if one.side == "bid" else asks).append(
                        (one.price_level, one.new_quantity)
                    )
                return bids, asks
    except DOUBTFUL as error:
        raise unreadable("coinbase_advanced levels", error) from error
    raise ParseError("levels of another venue")


def subscribe(topics: Sequence[str], request: int) -> str:
    """Ask for one channel of some products; acks name all that is active."""
    return _request("subscribe", topics)


def unsubscribe(topics: Sequence[str], request: int) -> str:
    """Take one channel of some products off an open connection."""
    return _request("unsubscribe", topics)


def _request(kind: str, topics: Sequence[str]) -> str:
    products = [topic.partition(":")[2] for topic in topics]
    asked = {"type": kind, "product_ids": products, "channel": channel_of(topics[0])}
    return msgspec.json.encode(asked).decode()


def channel_of(topic: str) -> str:
    """Return the channel of a topic: one request is about one of them."""
    return topic.partition(":")[0]


# --- REST -------------------------------------------------------------------------------------


class _AdvancedTime(Struct):
    epochMillis: str  # noqa: N815 - the wire's spelling


class _AdvancedProduct(Struct):
    product_id: str
    base_currency_id: str = ""
    quote_currency_id: str = ""
    product_type: str = "SPOT"
    trading_disabled: bool = False


class _AdvancedProducts(Struct):
    products: list[_AdvancedProduct]


class _AdvancedLast(Struct):
    trade_id: str
    time: Moment | None = None


class _AdvancedBest(Struct):
    trades: list[_AdvancedLast]
    best_bid: Size
    best_ask: Size


def read_time(body: bytes) -> float:
    """Read the venue's time, in milliseconds."""
    with reading("coinbase_advanced time"):
        return seconds(msgspec.json.decode(body, type=_AdvancedTime).epochMillis, 1e3)


def read_markets(body: bytes) -> tuple[Market, ...]:
    """Read the spot markets that are traded."""
    with reading("coinbase_advanced markets"):
        return tuple(
            Market(row.product_id, f"{row.base_currency_id}-{row.quote_currency_id}")
            for row in msgspec.json.decode(body, type=_AdvancedProducts).products
            if row.product_type == "SPOT" and not row.trading_disabled and row.base_currency_id
        )


def read_last_trade(body: bytes) -> MarketState:
    """Read the last trade."""
    with reading("coinbase_advanced ticker"):
        row = msgspec.json.decode(body, type=_AdvancedBest, strict=False).trades[0]
        return MarketState(state=(row.trade_id,), time=known(row.time))


def read_best(body: bytes) -> MarketState:
    """Read the best bid and ask."""
    with reading("coinbase_advanced ticker"):
        row = msgspec.json.decode(body, type=_AdvancedBest, strict=False)
        return MarketState(state=(row.best_bid, row.best_ask))


class _AdvancedFault(Struct):
    error: str = ""


def fault(answer: Answer) -> Reason | None:
    """Say what an answer means: an error may come with any status."""
    if answer.status == 429:
        return Reason.RATE_LIMITED
    with suppress(*DOUBTFUL):
        found = msgspec.json.decode(answer.body, type=_AdvancedFault).error
        if found in _LIMITED:
            return Reason.RATE_LIMITED
        if found and answer.status < 400:
            return Reason.BODY_INVALID
    return None


_TICKER = "/api/v3/brokerage/market/products/{symbol}/ticker?limit=1"

VENUE = Venue(
    name="coinbase_advanced",
    title="Coinbase Advanced Trade",
    rest_url="https://api.coinbase.com",
    endpoints=(
        Endpoint(name="time", path="/api/v3/brokerage/time", clock=read_time),
        Endpoint(name="ticker", path=_TICKER, default=False),
    ),
    fault=fault,
    rest_limits=(RestLimit(name="public_1s", weight=10, window=1.0),),
    markets_path="/api/v3/brokerage/market/products",
    read_markets=read_markets,
    states=MarketStates(read=coinbase_advanced_states),
    volumes=VolumeLists(
        paths={Product.SPOT: "/api/v3/brokerage/market/products"}, read=read_advanced
    ),
    status_page="https://status.coinbase.com",
    stream_urls=("wss://advanced-trade-ws.coinbase.com",),
    connection_limit=RestLimit(name="connections_1s", weight=8, window=1.0),
    topics={
        Channel.TRADES: "market_trades:{symbol}",
        Channel.QUOTES: "ticker:{symbol}",
        Channel.BOOK: "level2:{symbol}",
    },
    subscribe=subscribe,
    unsubscribe=unsubscribe,
    parse=parse,
    begin=AdvancedReader,
    sequences=(
        SequenceRule(
            name="trade_id",
            labels=("market_trades",),
            continuity=Continuity.RISING,
            attribute="order",
        ),
    ),
    book=BookRules(levels=levels),
    cross_checks={
        Channel.TRADES: CrossCheck(path=_TICKER, read=read_last_trade),
        Channel.QUOTES: CrossCheck(path=_TICKER, read=read_last_trade),
        Channel.BOOK: CrossCheck(path=_TICKER, read=read_best),
    },
    # Without updates the connection is closed after a minute or so; this channel always has some.
    opening=(_HEARTBEATS,),
    answers_numbered=False,
    request_group=channel_of,
    topics_per_request=50,
    topics_per_connection=300,
    requests_per_second=4.0,  # of 8 that are allowed
    symbol=speller(spot=lambda one: f"{one.base}-{one.quote}"),
    hosts=("advanced-trade-ws.coinbase.com", "api.coinbase.com"),
    timestamps={
        Channel.TRADES: "time, when the trade was made (µs)",
        Channel.QUOTES: "timestamp of the frame (ns)",
        Channel.BOOK: "timestamp of the frame (ns)",
    },
    source="docs.cdp.coinbase.com/coinbase-app as ccxt and nautilus_trader show it, read 2026-11",
    facts=(
        VenueFact("frames on the wire", "captures among ccxt's tests", "2026-08"),
        VenueFact("channels, limits", "documents of nautilus_trader", "2026-10"),
        VenueFact("requests, products over REST", "ccxt's reader", "2026-11"),
    ),
    checked="documentation",
    unsure=(
        "whether a subscription to BTC-USDC is answered under BTC-USD",
        "form of errors over the stream, and whether they name the channel",
        "bodies over REST beside the time",
    ),
)
