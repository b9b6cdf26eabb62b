"""Coinbase Exchange (not Advanced Trade, whose protocol differs).

Source: docs.cdp.coinbase.com/exchange (websocket-feed overview, channels, rate limits; REST rate
limits), read 2026-10; frames checked against traffic recorded in April 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

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
    Size,
    known,
    level_pairs,
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
    Message,
    Quote,
    Side,
    Trade,
)
from exporter.venues.families import state_streams
from exporter.venues.families.coinbase_rest import (
    fault,
    read_best,
    read_last_trade,
    read_markets,
    read_status,
    read_time,
)
from exporter.venues.families.states import coinbase_states
from exporter.venues.families.volumes import read_coinbase


class _CoinbaseMatch(Struct, gc=False, tag_field="type", tag="match"):
    trade_id: int
    size: Size
    price: Price
    product_id: str
    side: str = ""
    sequence: int | None = None
    time: Moment | None = None


class _LastMatch(_CoinbaseMatch, gc=False, tag_field="type", tag="last_match"):
    """The trade before the subscription began: maybe minutes old."""


class _CoinbaseTicker(Struct, gc=False, tag_field="type", tag="ticker"):
    product_id: str
    sequence: int | None = None
    best_bid: Size | Literal[""] | None = None
    best_ask: Size | Literal[""] | None = None
    time: Moment | None = None
    best_bid_size: Size | Literal[""] | None = None
    best_ask_size: Size | Literal[""] | None = None


class _CoinbaseUpdate(Struct, gc=False, tag_field="type", tag="l2update"):
    product_id: str
    changes: Raw
    time: Moment | None = None


class _CoinbaseSnapshot(Struct, gc=False, tag_field="type", tag="snapshot"):
    product_id: str
    asks: Raw
    bids: Raw
    time: Moment | None = None


class _CoinbaseChannel(Struct, gc=False):
    name: str
    product_ids: list[str | None] | None = None  # absent or null for channels without products


class _Subscriptions(Struct, gc=False, tag_field="type", tag="subscriptions"):
    channels: list[_CoinbaseChannel | str] | None = None  # names alone share `product_ids`
    product_ids: list[str | None] | None = None


class _CoinbaseHeartbeat(Struct, gc=False, tag_field="type", tag="heartbeat"):
    pass


class _CoinbaseStatus(Struct, gc=False, tag_field="type", tag="status"):
    pass


class _CoinbaseError(Struct, gc=False, tag_field="type", tag="error"):
    """Texts, as a rule; objects are told as they are."""

    message: Any = None
    reason: Any = None


_Frame = (
    _CoinbaseMatch
    | _LastMatch
    | _CoinbaseTicker
    | _CoinbaseUpdate
    | _CoinbaseSnapshot
    | _Subscriptions
    | _CoinbaseHeartbeat
    | _CoinbaseStatus
    | _CoinbaseError
)


class _CoinbaseKind(Struct, gc=False):
    type: str


# Other types, as of single orders and auctions, belong to channels that nothing here asks for.
_ASKED = frozenset({
    "match", "last_match", "ticker", "l2update", "snapshot", "subscriptions", "error",
})  # fmt: skip


# A trade that was asked for by request for quote is made away from the market, hence its own type.
_UNUSED = frozenset({
    "received", "open", "done", "change", "activate", "auction", "rfq_match", "balance", "level3",
    "noop",
})  # fmt: skip

# strict=False: numbers come as JSON strings, and become floats while they are validated.
_FRAME: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_Frame, strict=False)
_UPDATES = b'{"type":"l2update"'
_read_update = msgspec.json.Decoder(_CoinbaseUpdate).decode
_KIND = msgspec.json.Decoder(_CoinbaseKind)


def parse(frame: bytes) -> tuple[Event, ...]:
    """Turn one frame into events. Raises ParseError if undocumented."""
    try:
        # The busiest type by far; told by its first bytes as long as `type` is the first key.
        if frame.startswith(_UPDATES):
            return (_update(_read_update(frame)),)
        row = _FRAME.decode(frame)
        return (_EVENTS[type(row)](row),)
    except msgspec.ValidationError as error:
        with suppress(*DOUBTFUL):
            kind = _KIND.decode(frame).type
            if kind not in _ASKED:
                known = kind in _UNUSED
                return (Control(kind[:60] or "unknown", data=True, unknown=not known),)
        raise unreadable("coinbase", error) from error
    except DOUBTFUL as error:
        raise unreadable("coinbase", error) from error


def _match(row: _CoinbaseMatch) -> Trade:
    product = row.product_id
    # `side` is the maker's: the taker took the other one.
    side = Side.BUY if row.side == "sell" else Side.SELL if row.side == "buy" else None
    return Trade(
        "match",
        "matches:" + product,
        product,
        known(row.time),
        row.price,
        row.size,
        side,
        row.trade_id,
        row.sequence,
    )


def _last_match(row: _LastMatch) -> Trade:
    return msgspec.structs.replace(_match(row), label="last_match", snapshot=True)


def _ticker(row: _CoinbaseTicker) -> Quote | Message:
    product = row.product_id
    if not (row.best_bid and row.best_ask) or 0.0 in (row.best_bid_size, row.best_ask_size):
        # One side of the book is empty: there is no quote.
        return Message("ticker", "ticker:" + product, product, known(row.time), row.sequence)
    return Quote(
        "ticker",
        "ticker:" + product,
        product,
        known(row.time),
        row.best_bid,
        row.best_ask,
        row.best_bid_size or None,
        row.best_ask_size or None,
        row.sequence,
    )


def _update(row: _CoinbaseUpdate) -> Depth:
    product = row.product_id
    return Depth("l2update", "level2_batch:" + product, product, known(row.time), row.changes)


def _snapshot(row: _CoinbaseSnapshot) -> Depth:
    product = row.product_id
    time = known(row.time)
    sides = (row.bids, row.asks)
    return Depth("snapshot", "level2_batch:" + product, product, time, sides, snapshot=True)


# The names under which channels are acknowledged, where they are not those that were asked for:
# level2_batch shares the feed of level2, and was acknowledged as level2_50 on 2026-08-25.
_ACKNOWLEDGED = {"level2": "level2_batch", "level2_50": "level2_batch"}


def _subscriptions(row: _Subscriptions) -> Ack:
    # All that is active by now, not only what was asked last.
    named = (
        (each, row.product_ids) if isinstance(each, str) else (each.name, each.product_ids)
        for each in row.channels or ()
    )
    topics = (
        f"{_ACKNOWLEDGED.get(name, name)}:{product}"
        for name, products in named
        for product in products or ()
        if product
    )
    return Ack("subscriptions", topics=tuple(topics))


def _error(row: _CoinbaseError) -> Ack:
    parts = [each for each in (row.message, row.reason) if each]
    text = ": ".join(
        each if isinstance(each, str) else msgspec.json.encode(each).decode() for each in parts
    )
    return Ack("error", ok=False, reason=text[:200])


_EVENTS: dict[type, Callable[[Any], Event]] = {
    _CoinbaseMatch: _match,
    _LastMatch: _last_match,
    _CoinbaseTicker: _ticker,
    _CoinbaseUpdate: _update,
    _CoinbaseSnapshot: _snapshot,
    _Subscriptions: _subscriptions,
    _CoinbaseHeartbeat: lambda row: Control("heartbeat"),
    _CoinbaseStatus: lambda row: Control("status"),
    _CoinbaseError: _error,
}


def subscribe(topics: Sequence[str], request: int) -> str:
    """Ask for channels on an open connection; acks carry no id, so ``request`` goes unsaid.

    One product's heartbeat (one frame a second) comes along: without it a connection of quiet
    products cannot be told from a dead one.
    """
    channels = _channels(topics)
    if topics:
        channels.append({"name": "heartbeat", "product_ids": [topics[0].partition(":")[2]]})
    return msgspec.json.encode({"type": "subscribe", "channels": channels}).decode()


def unsubscribe(topics: Sequence[str], request: int) -> str:
    """Take channels off an open connection."""
    channels = _channels(topics)
    return msgspec.json.encode({"type": "unsubscribe", "channels": channels}).decode()


def _channels(topics: Iterable[str]) -> list[dict[str, object]]:
    products: dict[str, list[str]] = {}
    for topic in topics:
        channel, _, product = topic.partition(":")
        products.setdefault(channel, []).append(product)
    return [{"name": name, "product_ids": ids} for name, ids in products.items()]


# --- books ------------------------------------------------------------------------------------

_changes = msgspec.json.Decoder(
    list[tuple[Literal["buy", "sell"], Price, Size]], strict=False
).decode


def levels(event: Depth) -> tuple[Sequence[tuple[float, float]], Sequence[tuple[float, float]]]:
    """Decode the bids and asks of a snapshot or an update; size 0 takes a level away."""
    found = event.levels
    try:
        if type(found) is Raw:
            changes = _changes(found)
            if len(changes) == 1:  # nearly always
                side, price, size = changes[0]
                level = ((price, size),)
                return (level, ()) if side == "buy" else ((), level)
            return (
                [(price, size) for side, price, size in changes if side == "buy"],
                [(price, size) for side, price, size in changes if side == "sell"],
            )
        match found:
            case (Raw() as bid_rows, Raw() as ask_rows):
                return level_pairs(bid_rows), level_pairs(ask_rows)
    except DOUBTFUL as error:
        raise unreadable("coinbase levels", error) from error
    raise ParseError("levels of another venue")


_TICKER = "/products/{symbol}/ticker"

VENUE = Venue(
    name="coinbase",
    title="Coinbase Exchange",
    rest_url="https://api.exchange.coinbase.com",
    endpoints=(
        Endpoint(name="time", path="/time", clock=read_time),
        Endpoint(name="status", path="/products", interval=60.0, status=read_status),
        Endpoint(name="ticker", path=_TICKER, default=False),
    ),
    fault=fault,
    rest_limits=(RestLimit(name="public_1s", weight=10, window=1.0),),
    markets_path="/products",
    read_markets=read_markets,
    states=MarketStates(read=coinbase_states),
    volumes=VolumeLists(paths={Product.SPOT: "/products/stats"}, read=read_coinbase),
    state_stream=state_streams.coinbase(parse),
    status_page="https://status.exchange.coinbase.com",
    stream_urls=("wss://ws-feed.exchange.coinbase.com",),
    connection_limit=RestLimit(name="connections_1s", weight=8, window=1.0),
    topics={
        Channel.TRADES: "matches:{symbol}",
        Channel.QUOTES: "ticker:{symbol}",
        Channel.BOOK: "level2_batch:{symbol}",
    },
    subscribe=subscribe,
    unsubscribe=unsubscribe,
    parse=parse,
    sequences=(
        # `sequence` counts every message of the full channel, so on these two it skips.
        SequenceRule(
            name="match.sequence",
            labels=("match", "last_match"),
            continuity=Continuity.RISING,
            attribute="order",
        ),
        SequenceRule(
            name="trade_id",
            labels=("match", "last_match"),
            continuity=Continuity.CONTIGUOUS,
            attribute="sequence",
        ),
        SequenceRule(
            name="ticker.sequence",
            labels=("ticker",),
            continuity=Continuity.RISING,
            attribute="sequence",
        ),
    ),
    book=BookRules(levels=levels),
    cross_checks={
        Channel.TRADES: CrossCheck(path=_TICKER, read=read_last_trade),
        # Its stream of tickers speaks when somebody trades, whatever the book does.
        Channel.QUOTES: CrossCheck(path=_TICKER, read=read_last_trade),
        Channel.BOOK: CrossCheck(path=_TICKER, read=read_best),
    },
    # Nothing is asked of the client; a subscribe must come within 5 s of connecting.
    answers_numbered=False,
    topics_per_request=100,
    topics_per_connection=300,
    requests_per_second=5.0,  # the stricter of two documented limits is 10 a second
    symbol=speller(spot=lambda one: f"{one.base}-{one.quote}".upper()),
    hosts=(
        "ws-feed.exchange.coinbase.com",
        "ws-feed.pro.coinbase.com",
        "ws-direct.exchange.coinbase.com",
        "api.exchange.coinbase.com",
        "api.pro.coinbase.com",
    ),
    cadences={Channel.BOOK: 0.05},
    timestamps={
        Channel.TRADES: "time, when the trade was made (µs)",
        Channel.QUOTES: "time of the last trade (µs): old when nobody trades",
        Channel.BOOK: "time, when the book changed (µs)",
    },
    source="docs.cdp.coinbase.com/exchange, read 2026-10",
    facts=(
        VenueFact(
            "states of products: the channel status",
            "docs.cdp.coinbase.com, Exchange WebSocket Channels, Status Channel",
            "2026-11-30",
        ),
        VenueFact(
            "cadence of level2_batch: 50 ms",
            "the vendor's asyncapi description, as tardis-node follows it",
            "2026-08",
        ),
        VenueFact(
            "frames, channel by channel (tests/venues/documented/coinbase.yml)",
            "docs.cdp.coinbase.com/exchange/websocket-feed and /channels, in parts; "
            "docs/profiles/coinbase/websocket.md of github.com/nemanull/arbitrage-observatory "
            "(2026-07-26)",
            "2026-11-30",
        ),
        VenueFact("channels, frames, limits", "docs.cdp.coinbase.com/exchange", "2026-10"),
        VenueFact(
            "names of acks, refusals, 8 connections a second",
            "captures and documentation, as public reports give them",
            "2026-11",
        ),
        VenueFact("frames and products on the wire", "recorded traffic", "2021-04"),
    ),
    checked="recording",
    unsure=(
        Doubt("body of /time", VenueLook.ENDPOINT, "time"),
        Doubt("body of a product's ticker", VenueLook.ANSWER, "trades"),
        "bodies of errors",
        "a User-Agent header may be required over REST",
        Doubt(
            "best_bid_size, best_ask_size and the snapshot's time are newer than the recording",
            VenueLook.CHANNELS,
            "quotes",
            "book",
        ),
        "how many products one connection may carry",
        "/products/stats, by which the largest markets are found: clients have it, no page does",
    ),
)
