"""OKX v5.

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

from exporter.contracts import (
    BookRules,
    CrossCheck,
    Endpoint,
    RestLimit,
    SequenceRule,
    Venue,
    VenueFact,
    VenueSite,
)
from exporter.decoding import (
    DOUBTFUL,
    Millis,
    ParseError,
    Price,
    Serial,
    Size,
    known_millis,
    reading,
    seconds,
    unreadable,
)
from exporter.doubt import Doubt, VenueLook
from exporter.instrument import Instrument, Product, speller
from exporter.listing import MarketStates, VolumeLists
from exporter.maintenance import EVERYTHING, Maintenance, WatchedMarkets
from exporter.model import (
    Ack,
    Answer,
    Channel,
    Continuity,
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
from exporter.venues.families import perpetuals, windows
from exporter.venues.families.states import okx_states
from exporter.venues.families.volumes import read_okx

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


# --- REST -------------------------------------------------------------------------------------


class _OkxTime(Struct):
    ts: str


class _Times(Struct):
    data: list[_OkxTime]


class _OkxWindow(windows.Window, kw_only=True):
    env: str | None = None
    serviceType: str | None = None  # noqa: N815
    maintType: str | None = None  # noqa: N815


class _OkxWindows(Struct):
    data: list[_OkxWindow]


class _OkxInstrument(Struct):
    instId: str  # noqa: N815
    instType: str  # noqa: N815
    state: str
    baseCcy: str = ""  # noqa: N815
    quoteCcy: str = ""  # noqa: N815
    ctType: str = ""  # noqa: N815 - of contracts: linear or inverse


class _OkxInstruments(Struct):
    data: list[_OkxInstrument]


class _OkxFault(Struct):
    code: str


def read_time(body: bytes) -> float:
    """Read the venue's clock."""
    with reading("okx time"):
        return seconds(msgspec.json.decode(body, type=_Times).data[0].ts, 1e3)


# 0 are the streams, 5 is trading, which has no prices without it, by accounts (8) or products (9).
# 1 to 4 were spot, futures, perpetuals and options in older answers. What is left out: block
# trading, bots, spreads, copy trading, and "others", such as a part of the instruments.
_SERVICES = frozenset({"", "0", "5", "8", "9"})
_KINDS = {"1": "SPOT", "2": "FUTURES", "3": "SWAP", "4": "OPTION"}


def _kind(symbol: str) -> str:
    match symbol.split("-")[2:]:
        case []:
            return "SPOT"
        case ["SWAP"]:
            return "SWAP"
        case [_]:
            return "FUTURES"
    return "OPTION"


def read_status(body: bytes, watched: WatchedMarkets = EVERYTHING) -> Maintenance:
    """Read what goes on and what is announced of the services that are watched."""
    with reading("okx status"):
        kinds = {_kind(symbol) for symbol in watched.symbols} or set(_KINDS.values())
        services = _SERVICES | {service for service, kind in _KINDS.items() if kind in kinds}
        return windows.summed_up(
            (row, row.maintType == "3")
            for row in msgspec.json.decode(body, type=_OkxWindows).data
            if row.env in (None, "", "1") and (row.serviceType or "") in services
        )


def read_markets(body: bytes) -> tuple[Market, ...]:
    """Read the tradable markets. Contracts are named as here, but that a perpetual is a SWAP."""
    with reading("okx markets"):
        rows = msgspec.json.decode(body, type=_OkxInstruments).data
        return tuple(_market(row) for row in rows if row.state == "live")


def _market(row: _OkxInstrument) -> Market:
    if row.instType == "SPOT":
        return Market(row.instId, f"{row.baseCcy}-{row.quoteCcy}")
    name = row.instId
    if row.instType == "SWAP":
        name = name.removesuffix("-SWAP") + "-PERP"
    product = {"linear": Product.LINEAR, "inverse": Product.INVERSE}.get(row.ctType)
    return Market(row.instId, name, Product.OPTION if row.instType == "OPTION" else product)


def _pair(instrument: Instrument) -> str:
    return f"{instrument.base}-{instrument.quote}".upper()


class _OkxRow(Struct):
    last: str
    lastSz: str  # noqa: N815
    bidPx: str  # noqa: N815
    bidSz: str  # noqa: N815
    askPx: str  # noqa: N815
    askSz: str  # noqa: N815


class _Rows(Struct):
    data: list[_OkxRow]


def read_last_trade(body: bytes) -> MarketState:
    """Read price and size of the last trade; ``ts`` is the ticker's own time."""
    with reading("okx ticker"):
        row = msgspec.json.decode(body, type=_Rows).data[0]
        return MarketState(state=(row.last, row.lastSz))


def read_best(body: bytes) -> MarketState:
    """Read the best bid and ask."""
    with reading("okx ticker"):
        row = msgspec.json.decode(body, type=_Rows).data[0]
        return MarketState(state=(row.bidPx, row.bidSz, row.askPx, row.askSz))


_TICKER = "/api/v5/market/ticker?instId={symbol}"


def fault(answer: Answer) -> Reason | None:
    """Say what an answer hides: every body carries a ``code``, "0" for success."""
    if answer.status == 429:
        return Reason.RATE_LIMITED
    try:
        code = msgspec.json.decode(answer.body, type=_OkxFault).code
    except DOUBTFUL:
        return Reason.BODY_INVALID if answer.status == 200 else None
    match code:
        case "0":
            return None
        case "50011" | "50061":
            return Reason.RATE_LIMITED
        case "50001" | "50004" | "50013" | "50026":
            return Reason.HTTP_5XX
        case _:
            return Reason.BODY_INVALID if answer.status == 200 else None


_CONTRACTS = (
    "/api/v5/public/instruments?instType=SWAP",
    "/api/v5/public/instruments?instType=FUTURES",
)

VENUE = Venue(
    name="okx",
    title="OKX",
    rest_url="https://www.okx.com",
    endpoints=(
        Endpoint(name="time", path="/api/v5/public/time", clock=read_time),
        Endpoint(
            name="status",
            path="/api/v5/system/status",  # without a state: all but what is over
            interval=30.0,
            pace=5.0,
            status=read_status,
        ),
        Endpoint(name="ticker", path=_TICKER, default=False),
    ),
    fault=fault,
    rest_limits=(RestLimit(name="requests_2s", weight=10, window=2.0),),
    markets_path="/api/v5/public/instruments?instType=SPOT",
    # Source: ccxt 4.5.90 asks the same; options by the family, of which these two are the largest.
    more_markets={
        Product.LINEAR: _CONTRACTS,
        Product.INVERSE: _CONTRACTS,
        Product.OPTION: (
            "/api/v5/public/instruments?instType=OPTION&uly=BTC-USD",
            "/api/v5/public/instruments?instType=OPTION&uly=ETH-USD",
        ),
    },
    read_markets=read_markets,
    states=MarketStates(read=okx_states),
    perpetuals={
        Product.LINEAR: perpetuals.okx("USDT"),
        Product.INVERSE: perpetuals.okx("USD"),
    },
    volumes=VolumeLists(
        paths={
            Product.SPOT: "/api/v5/market/tickers?instType=SPOT",
            Product.LINEAR: "/api/v5/market/tickers?instType=SWAP",
            Product.INVERSE: "/api/v5/market/tickers?instType=SWAP",
        },
        read=read_okx,
    ),
    status_page=None,  # www.okx.com/status is for people
    # Source of the second REST address and of both regions: a client's table of "Regional API
    # routing" (github.com/tiagosiebler/okx-api, README, read 2026-11-30). That port 443 serves
    # the regions as it does the global site: clients' own reports, the venue's page was not read.
    other_rest_urls=("https://openapi.okx.com",),
    regions={
        "eea": VenueSite(
            rest_urls=("https://eea.okx.com",), stream_urls=("wss://wseea.okx.com/ws/v5",)
        ),
        "us": VenueSite(
            rest_urls=("https://us.okx.com",), stream_urls=("wss://wsus.okx.com/ws/v5",)
        ),
    },
    stream_urls=("wss://ws.okx.com/ws/v5",),
    connection_limit=RestLimit(name="connections_1s", weight=3, window=1.0),
    routes={
        Channel.TRADES: "/public",
        Channel.QUOTES: "/public",
        Channel.BOOK: "/public",
        Channel.KLINES: "/business",
    },
    topics={
        Channel.TRADES: "trades:{symbol}",
        # Every 10 ms on change, with a sequence; `tickers` comes every 100 ms and carries none.
        Channel.QUOTES: "bbo-tbt:{symbol}",
        Channel.BOOK: "books:{symbol}",
        Channel.KLINES: "candle1m:{symbol}",
    },
    subscribe=subscribe,
    unsubscribe=unsubscribe,
    parse=parse,
    sequences=(
        SequenceRule(
            name="bbo-tbt",
            labels=("bbo-tbt",),
            continuity=Continuity.RISING,
            attribute="sequence",
        ),
        SequenceRule(
            name="books",
            labels=("books.snapshot", "books.update"),
            continuity=Continuity.LINKED,
            attribute="span",
        ),
    ),
    book=BookRules(levels=levels, checksum=checksum, depth=400),
    cross_checks={
        Channel.TRADES: CrossCheck(path=_TICKER, read=read_last_trade),
        Channel.KLINES: CrossCheck(path=_TICKER, read=read_last_trade),
        Channel.QUOTES: CrossCheck(path=_TICKER, read=read_best),
        Channel.BOOK: CrossCheck(path=_TICKER, read=read_best),
    },
    ping=ping,
    ping_every=20.0,
    topics_per_request=50,
    topics_per_connection=200,
    request_length=60_000,  # of 64 KiB
    requests_per_second=2.0,  # 480 requests an hour at most
    symbol=speller(
        spot=_pair,
        perpetual=lambda one: f"{_pair(one)}-SWAP",
        dated=lambda one: f"{_pair(one)}-{one.expiry}",
        option=lambda one: f"{_pair(one)}-{one.expiry}-{one.strike}-{one.right}",
    ),
    hosts=(
        "ws.okx.com",
        "wseea.okx.com",
        "wsus.okx.com",
        "wsaws.okx.com",
        "ws.okex.com",
        "www.okx.com",
        "openapi.okx.com",
        "eea.okx.com",
        "us.okx.com",
        "www.okex.com",
    ),
    cadences={Channel.QUOTES: 0.01, Channel.BOOK: 0.1},
    timestamps={
        Channel.TRADES: "ts, when the trade was matched (ms)",
        Channel.QUOTES: "ts, when the frame was generated (ms)",
        Channel.BOOK: "ts, when the frame was generated (ms)",
        Channel.KLINES: "none is sent",
    },
    source="OKX API documentation v5, announcement of 2026-05-21; recorded traffic of May 2022",
    facts=(
        VenueFact(
            "cadence of bbo-tbt: 10 ms, of books: 100 ms",
            "OKX API v5, order book channel, as fact sheets give it",
            "2026-10",
        ),
        VenueFact(
            "frames, channel by channel (tests/venues/documented/okx.yml)",
            "docs/profiles/okx/websocket.md of github.com/nemanull/arbitrage-observatory "
            "(2026-07-26), which names the sections; notice of 2026-06-01; log_zh of 2026-05-21; "
            "test data of nautilus_trader",
            "2026-11-30",
        ),
        VenueFact("book checksums", "announcement of 2026-05-21", "2026-05-21"),
        VenueFact("addresses", "changelog of 2026-09-30, as public reports give it", "2026-11"),
        VenueFact("system status", "docs.rs/rust-okx 0.6.4 and public clients", "2026-11-30"),
        VenueFact("newer fields on the wire", "captures of other open-source clients", "2026-08"),
        VenueFact("frames on the wire", "recorded traffic", "2022-05"),
    ),
    checked="recording",
    unsure=(
        Doubt("body of /api/v5/public/time", VenueLook.ENDPOINT, "time"),
        "the REST limit",
        "book frames whose seqId equals prevSeqId, taken as keepalives",
        Doubt(
            "addresses of the regions eea and us: other clients name them",
            VenueLook.REGIONS,
            "eea",
            "us",
        ),
        "that openapi.okx.com serves all: other clients name it",
    ),
)
