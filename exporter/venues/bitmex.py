"""BitMEX: perpetuals, futures and spot.

Source: www.bitmex.com/app/wsAPI as cryptofeed and ccxt show it, and the venue's announcements of
2022 to 2023 (times of the book since 2022-02-14, prices in all its rows since 2023-04), read
2026-11. A row of the book names its level by price; ids are arbitrary since 2023-06.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import Raw, Struct

from exporter.contracts import (
    BookRules,
    CrossCheck,
    Endpoint,
    RestLimit,
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
    reading,
    seconds,
    unreadable,
)
from exporter.instrument import Instrument, Product, speller
from exporter.listing import MarketStates, PerpetualList, VolumeLists
from exporter.model import (
    Ack,
    Answer,
    Channel,
    Control,
    Depth,
    Event,
    Kline,
    Market,
    MarketState,
    Message,
    Quote,
    Reason,
    Side,
    Trade,
)
from exporter.venues.families import perpetuals
from exporter.venues.families.states import bitmex_states
from exporter.venues.families.volumes import read_bitmex

_OPERATIONS = frozenset({"subscribe", "unsubscribe"})
_ACTIONS = frozenset({"partial", "insert", "update", "delete"})
_SIDES = {"Buy": Side.BUY, "Sell": Side.SELL}
_NAMES = {"BTC": "XBT"}
_BOOK = "orderBookL2"
_MINUTE = 60.0
_LIMITED = "Rate limit exceeded"
_DOLLARS, _COINS = "FFWCSX", "IFXXXP"  # the types of perpetuals and of spot


class _BitmexRequest(Struct, gc=False):
    op: str | None = None
    args: Any = None


class _BitmexFilter(Struct, gc=False):
    symbol: str = ""


class _BitmexFrame(Struct, gc=False):
    table: str = ""
    action: str = ""
    data: Raw = msgspec.field(default_factory=Raw)
    success: bool | None = None
    subscribe: str = ""
    unsubscribe: str = ""
    error: str = ""
    info: str = ""
    request: _BitmexRequest | None = None
    filter: _BitmexFilter | None = None


class _BitmexTrade(Struct, gc=False):
    symbol: str
    price: Price
    size: Size | None = None
    side: str | None = ""
    timestamp: Moment | None = None
    trdType: str | None = "Regular"  # noqa: N815 - the wire's spelling


class _BitmexQuote(Struct, gc=False):
    symbol: str
    bidPrice: Size | None = None  # noqa: N815 - the wire's spelling
    askPrice: Size | None = None  # noqa: N815 - the wire's spelling
    bidSize: Size | None = None  # noqa: N815 - the wire's spelling
    askSize: Size | None = None  # noqa: N815 - the wire's spelling
    timestamp: Moment | None = None


class _BitmexCandle(Struct, gc=False):
    symbol: str
    timestamp: Moment | None
    close: Price | None = None


class _BitmexRow(Struct, gc=False):
    symbol: str
    timestamp: Moment | None = None


class _BitmexTop(Struct, gc=False):
    symbol: str
    bids: list[tuple[Price, Size]]
    asks: list[tuple[Price, Size]]
    timestamp: Moment | None = None


class _BitmexLevel(Struct, gc=False):
    side: str
    price: Price
    size: Size = 0.0  # where the level is gone


_FRAME = msgspec.json.Decoder(_BitmexFrame)
_TRADES = msgspec.json.Decoder(list[_BitmexTrade], strict=False)
_QUOTES = msgspec.json.Decoder(list[_BitmexQuote], strict=False)
_CANDLES = msgspec.json.Decoder(list[_BitmexCandle], strict=False)
_ROWS = msgspec.json.Decoder(list[_BitmexRow])
_TOPS = msgspec.json.Decoder(list[_BitmexTop], strict=False)
_LEVELS = msgspec.json.Decoder(list[_BitmexLevel], strict=False)


def parse(frame: bytes) -> tuple[Event, ...]:
    """Turn one frame into events, in wire order. Raises ParseError."""
    if frame == b"pong":
        return (Control("pong"),)
    try:
        row = _FRAME.decode(frame)
        return _data(row) if row.table else (_reply(row),)
    except DOUBTFUL as error:
        raise unreadable("bitmex", error) from error


def _data(row: _BitmexFrame) -> tuple[Event, ...]:
    whole, label = row.action == "partial", f"{row.table}.{row.action}"[:60]
    if row.action not in _ACTIONS:
        if row.table == _BOOK:
            raise ParseError(f"the action {row.action[:20]!r}")
        return (Control(label, data=True, unknown=True),)
    found: list[Event] = []
    match row.table:
        case "trade":
            found += (_trade(label, one, snapshot=whole) for one in _TRADES.decode(row.data))
        case "quote":
            found += (_quote(label, one) for one in _QUOTES.decode(row.data))
        case "orderBookL2" | "orderBookL2_25":
            rows = _ROWS.decode(row.data)
            symbol = rows[0].symbol if rows else row.filter.symbol if whole and row.filter else ""
            if symbol:
                time, topic = known(rows[-1].timestamp) if rows else None, f"{row.table}:{symbol}"
                found.append(Depth(label, topic, symbol, time, (row.data,), whole))
        case "orderBook10":
            found += (_top(label, one) for one in _TOPS.decode(row.data))
        case "tradeBin1m":
            found += (_candle(label, one) for one in _CANDLES.decode(row.data))
    return tuple(found) or (Control(label, data=True),)


def _top(label: str, row: _BitmexTop) -> Depth:
    """Return the ten best levels of each side, which are sent whole each time."""
    topic, time = f"orderBook10:{row.symbol}", known(row.timestamp)
    return Depth(label, topic, row.symbol, time, (row.bids, row.asks), snapshot=True)


def _trade(label: str, row: _BitmexTrade, *, snapshot: bool) -> Trade | Message:
    topic, time = f"trade:{row.symbol}", known(row.timestamp)
    if not row.size or row.trdType == "Referential":  # a price of an index: nobody has traded
        return Message(label, topic, row.symbol, time)
    side = _SIDES.get(row.side or "")
    return Trade(label, topic, row.symbol, time, row.price, row.size, side, snapshot=snapshot)


def _quote(label: str, row: _BitmexQuote) -> Event:
    bid, ask = row.bidPrice, row.askPrice
    if not (bid and ask) or 0.0 in (row.bidSize, row.askSize):
        return Message(label, f"quote:{row.symbol}", row.symbol, known(row.timestamp))
    sizes = row.bidSize, row.askSize
    return Quote(label, f"quote:{row.symbol}", row.symbol, known(row.timestamp), bid, ask, *sizes)


def _candle(label: str, row: _BitmexCandle) -> Event:
    end = known(row.timestamp)
    topic = f"tradeBin1m:{row.symbol}"
    if end is None or row.close is None:
        return Message(label, topic, row.symbol)
    return Kline(label, topic, row.symbol, None, end - _MINUTE, row.close, closed=True)


def _reply(row: _BitmexFrame) -> Ack | Control:
    if row.success and (row.subscribe or row.unsubscribe):
        label = "subscribe" if row.subscribe else "unsubscribe"
        return Ack(label, topics=(row.subscribe or row.unsubscribe,))
    if row.error:
        request = row.request
        asked = request.args if request is not None and request.op in _OPERATIONS else None
        topics = asked if isinstance(asked, list) else [asked]
        # All that was asked for is repeated, for one that is wrong.
        named = tuple(topics) if len(topics) == 1 and isinstance(topics[0], str) else ()
        return Ack("error", ok=False, topics=named, reason=row.error[:200])
    if row.info:
        return Control("info")
    if row.success and row.request is not None:  # of an account, not of a topic
        return Control((row.request.op or "success")[:60])
    raise ParseError("a frame of no table, which answers nothing")


def levels(event: Depth) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Decode bids and asks; a level that is gone has no size."""
    bids: list[tuple[float, float]] = []
    asks: list[tuple[float, float]] = []
    try:
        match event.levels:
            case (Raw() as rows,):
                gone = event.label.endswith(".delete")
                for row in _LEVELS.decode(rows):
                    level = row.price, 0.0 if gone else row.size
                    (bids if row.side == "Buy" else asks).append(level)
                return bids, asks
            case (list() as best_bids, list() as best_asks):
                return best_bids, best_asks
    except DOUBTFUL as error:
        raise unreadable("bitmex levels", error) from error
    raise ParseError("levels of another venue")


def subscribe(topics: Sequence[str], request: int) -> str:
    """Ask for topics; answers name them, so ``request`` goes unsaid."""
    return _request("subscribe", topics)


def unsubscribe(topics: Sequence[str], request: int) -> str:
    """Take topics off an open connection."""
    return _request("unsubscribe", topics)


def _request(op: str, topics: Sequence[str]) -> str:
    return msgspec.json.encode({"op": op, "args": list(topics)}).decode()


def ping(number: int) -> str:
    """Return the client's own keepalive."""
    return "ping"


# --- REST -------------------------------------------------------------------------------------


class _BitmexTime(Struct):
    timestamp: int


class _BitmexMarket(Struct):
    symbol: str
    typ: str = ""
    state: str = "Open"
    rootSymbol: str = ""  # noqa: N815 - the wire's spelling
    underlying: str = ""
    quoteCurrency: str = ""  # noqa: N815 - the wire's spelling
    lastPrice: float | None = None  # noqa: N815 - the wire's spelling
    volume: float | None = None
    bidPrice: float | None = None  # noqa: N815 - the wire's spelling
    askPrice: float | None = None  # noqa: N815 - the wire's spelling


_MARKETS = msgspec.json.Decoder(list[_BitmexMarket])


def read_time(body: bytes) -> float:
    """Read the venue's time, in milliseconds."""
    with reading("bitmex time"):
        return seconds(msgspec.json.decode(body, type=_BitmexTime).timestamp, 1e3)


def read_markets(body: bytes) -> tuple[Market, ...]:
    """Read the perpetuals and spot markets that are traded."""
    ours = {theirs: name for name, theirs in _NAMES.items()}
    with reading("bitmex markets"):
        return tuple(
            Market(row.symbol, f"{ours.get(base, base)}-{row.quoteCurrency}{kind}")
            for row in _MARKETS.decode(body)
            if row.state == "Open" and row.typ in (_DOLLARS, _COINS)
            for base in (row.underlying or row.rootSymbol,)
            for kind in ("-PERP" if row.typ == _DOLLARS else "",)
            if base and row.quoteCurrency
        )


def read_last_trade(body: bytes) -> MarketState:
    """Read what has been traded."""
    with reading("bitmex instrument"):
        row = _MARKETS.decode(body)[0]
        return MarketState(state=(row.lastPrice, row.volume))


def read_best(body: bytes) -> MarketState:
    """Read the best bid and ask."""
    with reading("bitmex instrument"):
        row = _MARKETS.decode(body)[0]
        return MarketState(state=(row.bidPrice, row.askPrice))


class _BitmexError(Struct):
    message: str = ""
    name: str = ""


class _BitmexFault(Struct):
    error: _BitmexError | None = None


def fault(answer: Answer) -> Reason | None:
    """Say what an answer means: an error has a message of its own."""
    if answer.status == 429:
        return Reason.RATE_LIMITED
    with suppress(*DOUBTFUL):
        error = msgspec.json.decode(answer.body, type=_BitmexFault).error
        if error is not None and (error.name == "RateLimitError" or _LIMITED in error.message):
            return Reason.RATE_LIMITED
        if error is not None and answer.status < 400:
            return Reason.BODY_INVALID
    return None


def _spot(one: Instrument) -> str:
    return f"{_NAMES.get(one.base, one.base)}_{_NAMES.get(one.quote, one.quote)}"


def _perpetual(one: Instrument) -> str:
    return f"{_NAMES.get(one.base, one.base)}{_NAMES.get(one.quote, one.quote)}"


_INSTRUMENT = "/instrument?symbol={symbol}&columns=lastPrice,volume,bidPrice,askPrice"

VENUE = Venue(
    name="bitmex",
    title="BitMEX",
    rest_url="https://www.bitmex.com/api/v1",
    endpoints=(
        Endpoint(name="time", path="/", interval=60.0, clock=read_time),
        Endpoint(name="instrument", path=_INSTRUMENT, default=False),
    ),
    fault=fault,
    rest_limits=(
        RestLimit(name="address", weight=30, window=60.0, remaining_header="x-ratelimit-remaining"),
    ),
    markets_path="/instrument/active",
    read_markets=read_markets,
    states=MarketStates(read=bitmex_states),
    perpetuals=dict.fromkeys(
        (Product.LINEAR, Product.INVERSE),
        (PerpetualList(path="/instrument/active", read=perpetuals.read_bitmex_instruments),),
    ),
    volumes=VolumeLists(paths=dict.fromkeys(Product, "/instrument/active"), read=read_bitmex),
    stream_urls=("wss://ws.bitmex.com/realtime", "wss://www.bitmex.com/realtime"),
    topics={
        Channel.TRADES: "trade:{symbol}",
        Channel.QUOTES: "quote:{symbol}",
        Channel.BOOK: "orderBookL2:{symbol}",
        Channel.KLINES: "tradeBin1m:{symbol}",
    },
    subscribe=subscribe,
    unsubscribe=unsubscribe,
    parse=parse,
    book=BookRules(levels=levels, units={}),
    cross_checks={
        Channel.TRADES: CrossCheck(path=_INSTRUMENT, read=read_last_trade),
        Channel.QUOTES: CrossCheck(path=_INSTRUMENT, read=read_best),
        Channel.BOOK: CrossCheck(path=_INSTRUMENT, read=read_best),
        Channel.KLINES: CrossCheck(path=_INSTRUMENT, read=read_last_trade),
    },
    answers_numbered=False,
    ping=ping,
    ping_every=5.0,
    topics_per_request=20,
    topics_per_connection=200,
    requests_per_second=1.0,
    symbol=speller(spot=_spot, perpetual=_perpetual),
    hosts=("ws.bitmex.com", "www.bitmex.com", "ws.testnet.bitmex.com", "testnet.bitmex.com"),
    timestamps={
        Channel.TRADES: "timestamp of the trade (ms)",
        Channel.QUOTES: "timestamp of the quote (ms)",
        Channel.BOOK: "timestamp of the newest row (ms), sent since 2022",
        Channel.KLINES: "none is sent beside the candle's end",
    },
    source="bitmex.com/app/wsAPI as clients show it, and its announcements, read 2026-11",
    facts=(
        VenueFact("channels, frames, answers", "readers of cryptofeed and ccxt", "2026-11"),
        VenueFact("times and prices of the book's rows", "blog.bitmex.com", "2026-11"),
        VenueFact("limits over REST", "ccxt, as its rateLimit has it", "2026-11"),
    ),
    checked="documentation",
    unsure=(
        "body of the root of the API, which is asked for the time",
        "how many topics a connection carries",
        "rows of before April 2023 lack prices: their books are counted, and cannot be followed",
    ),
)
