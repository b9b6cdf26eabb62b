"""Bitstamp, spot.

Source: www.bitstamp.net/websocket/v2 and /api, as public clients and stored pages show them, read
2026-10; frames checked against traffic recorded in January 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

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
    Micros,
    ParseError,
    Price,
    Size,
    level_pairs,
    reading,
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
    Reason,
    Side,
    Trade,
)
from exporter.venues.families.states import bitstamp_states
from exporter.venues.families.volumes import read_bitstamp

_BUY, _SELL = Side.BUY, Side.SELL


class _BitstampTrade(Struct, gc=False):
    """What is documented in two spellings may come in one."""

    amount_str: Size | None = None
    price_str: Price | None = None
    amount: Size | None = None
    price: Price | None = None
    microtimestamp: Micros | None = None
    id: int | None = None
    type: int | None = None


class _BitstampBook(Struct, gc=False):
    microtimestamp: Micros | None = None
    bids: Raw = Raw(b"[]")
    asks: Raw = Raw(b"[]")


class _BitstampFailure(Struct, gc=False):
    message: str | None = None
    code: int | str | None = None


class _BitstampFrame(Struct, gc=False):
    event: str
    channel: str | None = None
    data: Raw = Raw(b"null")


# strict=False: numbers come as JSON strings, and become floats while they are validated.
_FRAME = msgspec.json.Decoder(_BitstampFrame)
_TRADE = msgspec.json.Decoder(_BitstampTrade, strict=False)
_BOOK = msgspec.json.Decoder(_BitstampBook, strict=False)
_FAILURE = msgspec.json.Decoder(_BitstampFailure | None)


def parse(frame: bytes) -> tuple[Event, ...]:
    """Turn one frame into events. Raises ParseError if undocumented."""
    try:
        # What `data` holds is told only after it: hence two steps.
        message = _FRAME.decode(frame)
        channel = message.channel or ""
        label, _, symbol = channel.rpartition("_")
        if message.event == "data" and label in _BOOKS:
            return (_book(label, channel, symbol, message.data),)
        if message.event == "data" and label == "detail_order_book":
            return (Control(label, data=True),)
        if message.event == "trade" and label == "live_trades":
            return (_trade(channel, symbol, message.data),)
        if message.event.startswith("bts:"):
            return (_reply(message),)
        if channel.startswith(_ASKED):
            raise ParseError(f"the event {message.event[:40]!r} on {channel[:60]!r}")
        # What single orders do, and whatever else nothing here asks for.
        known = channel.startswith(_UNUSED)
        return (Control(message.event[:60] or "unknown", data=True, unknown=not known),)
    except DOUBTFUL as error:
        raise unreadable("bitstamp", error) from error


_ASKED = ("diff_order_book_", "live_trades_", "order_book_")
_UNUSED = ("live_orders_", "detail_order_book_", "funding_rate_", "announcements")
_BOOKS = {"diff_order_book": False, "order_book": True}  # label → is every frame a snapshot?


def _book(label: str, channel: str, symbol: str, data: Raw) -> Depth:
    row = _BOOK.decode(data)
    time = row.microtimestamp
    sides = (row.bids, row.asks)
    when = None if time is None else time / 1e6
    return Depth(label, channel, symbol, when, sides, _BOOKS[label], order=time)


def _trade(channel: str, symbol: str, data: Raw) -> Trade:
    row = _TRADE.decode(data)
    price = row.price_str or row.price
    size = row.amount if row.amount_str is None else row.amount_str
    if price is None or size is None:
        raise ParseError("bitstamp: a trade without price or amount")
    return Trade(
        "live_trades",
        channel,
        symbol,
        None if row.microtimestamp is None else row.microtimestamp / 1e6,
        price,
        size,
        _BUY if row.type == 0 else _SELL if row.type == 1 else None,
        None,
        row.id,  # counts the trades of all pairs together
    )


def _reply(message: _BitstampFrame) -> Ack | Control:
    match message.event:
        case "bts:subscription_succeeded":
            return Ack(message.event, topics=(message.channel,) if message.channel else ())
        case "bts:unsubscription_succeeded":
            return Ack(message.event, topics=(message.channel,) if message.channel else ())
        case "bts:request_reconnect":
            return Control(message.event, reconnect=True)
        case "bts:error":
            topics = (message.channel,) if message.channel else ()
            return Ack(message.event, ok=False, topics=topics, reason=_words(message.data)[:200])
    return Control(message.event[:60], unknown=message.event != "bts:heartbeat")


def _words(data: Raw) -> str:
    """Return code and message of a failure; where it has another form, all of it."""
    try:
        failure = _FAILURE.decode(data) or _BitstampFailure()
    except msgspec.ValidationError:
        return bytes(data).decode("utf-8", "replace")
    return f"{failure.code or ''} {failure.message or ''}".strip()


def subscribe(topics: Sequence[str], request: int) -> str:
    """Ask for one channel of one symbol; acks name the channel, so ``request`` goes unsaid."""
    return _request("bts:subscribe", topics)


def unsubscribe(topics: Sequence[str], request: int) -> str:
    """Take one channel of one symbol off an open connection."""
    return _request("bts:unsubscribe", topics)


def _request(event: str, topics: Sequence[str]) -> str:
    (topic,) = topics
    return msgspec.json.encode({"event": event, "data": {"channel": topic}}).decode()


def ping(number: int) -> str:
    """Return the client's own keepalive."""
    return '{"event":"bts:heartbeat"}'


# --- books ------------------------------------------------------------------------------------


def levels(event: Depth) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Decode bids and asks; size 0 takes a level away."""
    try:
        match event.levels:
            case (Raw() as bids, Raw() as asks):
                return level_pairs(bids), level_pairs(asks)
    except DOUBTFUL as error:
        raise unreadable("bitstamp levels", error) from error
    raise ParseError("levels of another venue")


def read_snapshot(body: bytes, topic: str, symbol: str) -> Depth:
    """Read the REST book; what came before its microtimestamp is already in it."""
    with reading("bitstamp book"):
        row = _BOOK.decode(body)
        time = row.microtimestamp
        if time is None:
            raise ParseError("a book that does not say of when it is")
        sides = (row.bids, row.asks)
        return Depth("order_book", topic, symbol, time / 1e6, sides, snapshot=True, order=time)


# --- REST -------------------------------------------------------------------------------------


class _BitstampMarket(Struct):
    trading: str
    name: str
    market_symbol: str = ""
    base_currency: str = ""
    counter_currency: str = ""
    market_type: str = "SPOT"
    url_symbol: str = ""  # as `/api/v2/trading-pairs-info/` called the symbol


def read_markets(body: bytes) -> tuple[Market, ...]:
    """Read the tradable spot markets.

    Source: changelog of February 2026, "Markets": fields as third-party clients show them, read
    2026-11-30.
    """
    with reading("bitstamp markets"):
        return tuple(
            Market(
                row.market_symbol or row.url_symbol,
                f"{row.base_currency}-{row.counter_currency}".upper()
                if row.base_currency and row.counter_currency
                else row.name.replace("/", "-"),
                alias=row.name,
            )
            for row in msgspec.json.decode(body, type=list[_BitstampMarket])
            if row.trading == "Enabled" and row.market_type.upper() == "SPOT"
            if row.market_symbol or row.url_symbol
        )


class _BitstampTicker(Struct):
    last: Size
    bid: Size
    ask: Size


def read_last_price(body: bytes) -> MarketState:
    """Read the price of the last trade: another trade at the same price goes unseen.

    The volume is of the last 24 hours and changes by itself; ``timestamp`` is the answer's.
    """
    with reading("bitstamp ticker"):
        return MarketState(
            state=(msgspec.json.decode(body, type=_BitstampTicker, strict=False).last,)
        )


def read_best(body: bytes) -> MarketState:
    """Read the best bid and ask."""
    with reading("bitstamp ticker"):
        ticker = msgspec.json.decode(body, type=_BitstampTicker, strict=False)
        return MarketState(state=(ticker.bid, ticker.ask))


class _BitstampFault(Struct):
    code: str = ""


def fault(answer: Answer) -> Reason | None:
    """Say what an answer means: too many requests are an HTTP 400 with a code of their own.

    Source: public reports as of 2026-11-30 (tests/cases/rest.jsonl), code 400.002.
    """
    if answer.status == 429:
        return Reason.RATE_LIMITED
    with suppress(*DOUBTFUL):
        if msgspec.json.decode(answer.body, type=_BitstampFault).code == "400.002":
            return Reason.RATE_LIMITED
    return None


VENUE = Venue(
    name="bitstamp",
    title="Bitstamp",
    rest_url="https://www.bitstamp.net",
    endpoints=(
        # No endpoint tells the time: the ticker's is in whole seconds, no clock to measure by.
        Endpoint(name="ticker", path="/api/v2/ticker/btcusd/"),
        Endpoint(name="book", path="/api/v2/order_book/{symbol}/", default=False),
        Endpoint(name="pairs", path="/api/v2/markets/", interval=60.0, default=False),
    ),
    fault=fault,
    rest_limits=(
        RestLimit(name="requests_1s", weight=400, window=1.0),
        RestLimit(name="requests_10m", weight=10_000, window=600.0),
    ),
    markets_path="/api/v2/markets/",
    read_markets=read_markets,
    states=MarketStates(read=bitstamp_states),
    volumes=VolumeLists(paths={Product.SPOT: "/api/v2/ticker/"}, read=read_bitstamp),
    status_page="https://status.bitstamp.net",
    stream_urls=("wss://ws.bitstamp.net",),
    topics={
        Channel.TRADES: "live_trades_{lower}",
        Channel.BOOK: "diff_order_book_{lower}",
    },
    subscribe=subscribe,
    unsubscribe=unsubscribe,
    parse=parse,
    sequences=(
        SequenceRule(
            name="diff_order_book.microtimestamp",
            labels=("diff_order_book",),
            continuity=Continuity.RISING,
            attribute="order",
        ),
    ),
    book=BookRules(
        levels=levels,
        snapshot_path="/api/v2/order_book/{symbol}/",
        read_snapshot=read_snapshot,
    ),
    cross_checks={
        Channel.TRADES: CrossCheck(path="/api/v2/ticker/{lower}/", read=read_last_price),
        Channel.BOOK: CrossCheck(path="/api/v2/ticker/{lower}/", read=read_best),
    },
    ping=ping,
    ping_every=30.0,
    topics_per_request=1,
    requests_per_second=10.0,
    symbol=speller(spot=lambda one: f"{one.base}{one.quote}".lower()),
    hosts=("ws.bitstamp.net", "www.bitstamp.net"),
    request_length=512,
    timestamps={
        Channel.TRADES: "microtimestamp of the trade, in steps of 1 ms",
        Channel.BOOK: "microtimestamp of the update (µs)",
    },
    source="bitstamp.net/websocket/v2 as public clients show it, read 2026-10",
    facts=(
        VenueFact(
            "frames, channel by channel (tests/venues/documented/bitstamp.yml)",
            "www.bitstamp.net/websocket/v2 and captures of 2026-09-15, both by "
            "docs/profiles/bitstamp/websocket.md of github.com/nemanull/arbitrage-observatory",
            "2026-11-30",
        ),
        VenueFact(
            "channels and frames", "bitstamp.net/websocket/v2 as public clients show it", "2026-10"
        ),
        VenueFact("markets", "changelog of 2026-02, as public reports give it", "2026-11"),
        VenueFact("limits", "third-party sheet", "2026-11"),
        VenueFact("frames on the wire", "recorded traffic", "2022-01"),
        VenueFact(
            "1,024 channels and at most 90 days a connection, 512 bytes a frame sent; a market "
            "that is not listed is acknowledged and stays silent, a name of another form refused",
            "www.bitstamp.net/websocket/v2 and captures of 2026-09-15, both by "
            "github.com/nemanull/arbitrage-observatory, docs/profiles/bitstamp/websocket.md",
            "2026-11-30",
        ),
    ),
    checked="recording",
    unsure=(
        "how fast channels may be asked for",
        "codes of errors over REST",
        "whether 429 or 403 answers too many requests, beside 400 with code 400.002",
    ),
)
