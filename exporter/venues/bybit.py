"""Bybit v5, spot.

The same file reads linear and inverse contracts: give their address as the exchange's
``stream_url``.

Source: github.com/bybit-exchange/docs (docs/v5) at 072c197, read 2026-07-24; acks and quotes as
captured in August 2026 by other open-source clients.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

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
    level_pairs,
    reading,
    seconds,
    unreadable,
)
from exporter.doubt import Doubt, VenueLook
from exporter.instrument import Instrument, Product, speller
from exporter.listing import MarketStates, PerpetualList, VolumeLists
from exporter.maintenance import EVERYTHING, Maintenance, WatchedMarkets
from exporter.model import (
    MARKET_DATA,
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
    SizeUnit,
    Trade,
)
from exporter.venues.families import perpetuals, windows
from exporter.venues.families.states import bybit_states
from exporter.venues.families.volumes import read_bybit

_BUY, _SELL = Side.BUY, Side.SELL


class _BybitFill(Struct, gc=False):
    s: str
    v: Size
    p: Price
    S: str = ""
    seq: Serial | None = None
    BT: bool | None = None


class _BybitTrades(Struct, gc=False):
    topic: str
    ts: Millis
    data: list[_BybitFill]


class _BybitLevel(Struct, gc=False, array_like=True):
    price: Size
    size: Size


class _BybitTop(Struct, gc=False):
    s: str
    u: Serial
    b: list[_BybitLevel] | None = None
    a: list[_BybitLevel] | None = None


class _BybitTops(Struct, gc=False):
    topic: str
    ts: Millis
    data: _BybitTop


class _BybitLevels(Struct, gc=False):
    s: str
    u: Serial
    b: Raw = Raw(b"[]")
    a: Raw = Raw(b"[]")


class _BybitBook(Struct, gc=False):
    topic: str
    ts: int
    type: Literal["snapshot", "delta"]
    data: _BybitLevels


class _BybitCandle(Struct, gc=False):
    start: Millis
    close: Size  # zero before the first trade
    confirm: bool | None = None


class _BybitOption(Struct, gc=False):
    """The ticker of an option: whole each time, with other names than those of contracts."""

    symbol: str
    bidPrice: Size  # noqa: N815 - the wire's spelling
    askPrice: Size  # noqa: N815
    bidSize: Size = 0.0  # noqa: N815
    askSize: Size = 0.0  # noqa: N815


class _BybitOptions(Struct, gc=False):
    topic: str
    ts: Millis
    data: _BybitOption


class _Klines(Struct, gc=False):
    topic: str
    ts: Millis
    data: list[_BybitCandle]


class _Outcome(Struct, gc=False):
    failTopics: list[str] | None = None  # noqa: N815 - the wire's spelling
    successTopics: list[str] | None = None  # noqa: N815


class _BybitReply(Struct, gc=False):
    op: str | None = None
    type: str | None = None
    success: bool | None = None
    ret_msg: str | None = None
    req_id: str | int | None = None  # text as we send it; other clients send numbers
    data: _Outcome | None = None  # options alone
    retCode: int | None = None  # noqa: N815 - the envelope of REST, in which limits are told
    retMsg: str | None = None  # noqa: N815


class _Topic(Struct, gc=False):
    topic: str | None = None


# strict=False: numbers come as JSON strings, and become floats while they are validated.
_trades = msgspec.json.Decoder(_BybitTrades, strict=False).decode
_tops = msgspec.json.Decoder(_BybitTops, strict=False).decode
_book = msgspec.json.Decoder(_BybitBook, strict=False).decode
_options = msgspec.json.Decoder(_BybitOptions, strict=False).decode
_klines = msgspec.json.Decoder(_Klines, strict=False).decode
_reply = msgspec.json.Decoder(_BybitReply).decode
_topic = msgspec.json.Decoder(_Topic).decode


def parse(frame: bytes) -> tuple[Event, ...]:
    """Turn one frame into events. Raises ParseError if undocumented."""
    try:
        # Twelve bytes tell the two busiest topics where `topic` is the first key, as it is in all
        # that was seen; the order of keys is not promised, so anything else is read key by key.
        match frame[10:22]:
            case b"publicTrade.":
                return _read_trades(frame)
            case b"orderbook.1.":
                return (_read_quote(frame),)
        topic = _topic(frame).topic
        if topic is None:
            return _read_reply(frame)
        if topic.startswith("orderbook.1."):
            return (_read_quote(frame),)
        if topic.startswith("orderbook.") and topic[10:11].isdecimal():
            return (_read_depth(frame),)
        if topic.startswith("publicTrade."):
            return _read_trades(frame)
        if topic.startswith("kline."):
            return _read_klines(frame)
        if topic.startswith("tickers.") and b'"bidPrice"' in frame:
            return (_read_option(frame),)
        # What is left nothing here asks for, but anybody's recording may hold.
        if topic.startswith("system.status"):
            return (Control("system.status"),)
        kind = topic.partition(".")[0]
        return (Control(kind[:60] or "unknown", data=True, unknown=kind not in _UNUSED),)
    except DOUBTFUL as error:
        raise unreadable("bybit", error) from error


# `orderbook` are the books with RPI orders and of full depth, `lt` is of leveraged tokens.
_UNUSED = frozenset({
    "orderbook", "tickers", "liquidation", "allLiquidation", "insurance", "adlAlert", "priceLimit",
    "kline_lt", "tickers_lt", "lt", "spread", "rfq",
})  # fmt: skip


def _read_trades(frame: bytes) -> tuple[Event, ...]:
    message = _trades(frame)
    topic, time = message.topic, message.ts / 1e3
    rows = message.data
    if len(rows) == 1:  # nearly always; a generator costs 0.3 µs
        return (_trade(topic, time, rows[0]),)
    return tuple(_trade(topic, time, row) for row in rows)


def _trade(topic: str, time: float, row: _BybitFill) -> Trade | Message:
    if row.BT:  # a block trade is made between two parties, away from the market's prices
        return Message("publicTrade.block", topic, row.s, time, None, row.seq)
    side = _BUY if row.S == "Buy" else _SELL if row.S == "Sell" else None
    return Trade("publicTrade", topic, row.s, time, row.p, row.v, side, None, row.seq)


def _read_quote(frame: bytes) -> Event:
    message = _tops(frame)
    row = message.data
    # A side may be empty, and contracts sent deltas until 2025-03-20, in which size 0 takes a
    # level away: alive, but nothing to quote.
    best_bid = next((level for level in row.b or () if level.size and level.price), None)
    best_ask = next((level for level in row.a or () if level.size and level.price), None)
    if best_bid is None or best_ask is None:
        return Message("orderbook.1", message.topic, row.s, message.ts / 1e3, row.u)
    return Quote(
        "orderbook.1",
        message.topic,
        row.s,
        message.ts / 1e3,
        best_bid.price,
        best_ask.price,
        best_bid.size,
        best_ask.size,
        row.u,
    )


def _read_option(frame: bytes) -> Quote | Message:
    message = _options(frame)
    topic, row, time = message.topic, message.data, message.ts / 1e3
    if not (row.bidPrice and row.askPrice and row.bidSize and row.askSize):
        return Message("tickers", topic, row.symbol, time)
    sizes = row.bidSize, row.askSize
    return Quote("tickers", topic, row.symbol, time, row.bidPrice, row.askPrice, *sizes)


def _read_depth(frame: bytes) -> Depth:
    message = _book(frame)
    row = message.data
    # u == 1: the service was restarted and begins anew, whatever the type says.
    snapshot = message.type == "snapshot" or row.u == 1
    return Depth(
        "orderbook.snapshot" if snapshot else "orderbook.delta",
        message.topic,
        row.s,
        known_millis(message.ts),
        (row.b, row.a),
        snapshot,
        row.u,
        row.u,
    )


def _read_klines(frame: bytes) -> tuple[Event, ...]:
    message = _klines(frame)
    topic, time = message.topic, message.ts / 1e3
    symbol = topic.rpartition(".")[2]
    return tuple(
        Kline("kline", topic, symbol, time, row.start / 1e3, row.close, row.confirm)
        if row.close
        else Message("kline", topic, symbol, time)
        for row in message.data
    )


def _read_reply(frame: bytes) -> tuple[Ack | Control, ...]:
    reply = _reply(frame)
    # Spot and linear answer a ping with op "ping" and say "pong" in ret_msg; options say "pong".
    if reply.op in ("ping", "pong"):
        return (Control("pong"),)
    number = str(reply.req_id)
    request = int(number) if number.isdecimal() else None
    text, op = (reply.ret_msg or reply.retMsg or "")[:200], reply.op or ""
    success = reply.success is not False and not reply.retCode
    if reply.type == "COMMAND_RESP" and reply.data is not None:
        good, bad = (
            tuple(each or ()) for each in (reply.data.successTopics, reply.data.failTopics)
        )
        text = text or "among failTopics, without a reason"
        # Books are asked for with their depth, of options another than of all else.
        depths = {int(each.split(".")[1]) for each in good if each.startswith("orderbook.")}
        depth = depths.pop() if len(depths) == 1 else None
        agreed = (Ack("subscribe", True, request, good, depth=depth),) if good or not bad else ()
        return (*agreed, *((Ack("error", False, request, bad, text),) if bad else ()))
    if success:
        if not op:
            raise ParseError("bybit: a reply to nothing")
        known = op in ("subscribe", "unsubscribe")
        return (Ack(op, request=request) if known else Control(op[:60], unknown=op != "auth"),)
    # The whole request is refused; of its topics the text names one, in words that vary.
    return (Ack("error", False, request, reason=text or f"code {reply.retCode}"),)


def subscribe(topics: Sequence[str], request: int) -> str:
    """Ask for topics on an open connection."""
    return _request("subscribe", topics, request)


def unsubscribe(topics: Sequence[str], request: int) -> str:
    """Take topics off an open connection."""
    return _request("unsubscribe", topics, request)


def _request(op: str, topics: Sequence[str], request: int) -> str:
    return msgspec.json.encode({"req_id": str(request), "op": op, "args": list(topics)}).decode()


def ping(number: int) -> str:
    """Return the keepalive that must be sent at least every 20 seconds."""
    return f'{{"req_id":"{number}","op":"ping"}}'


def levels(event: Depth) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Decode the bids and asks of a book frame."""
    with reading("bybit levels"):
        match event.levels:
            case (Raw() as bids, Raw() as asks):
                return level_pairs(bids), level_pairs(asks)
    raise ParseError("levels of another venue")


# --- REST -------------------------------------------------------------------------------------


class _Clock(Struct):
    timeNano: int  # noqa: N815 - the wire's spelling


class _TimeBody(Struct):
    result: _Clock


class _BybitWindow(windows.Window, kw_only=True):
    env: int = 1
    product: list[int] | None = None  # none: all
    serviceTypes: list[int] | None = None  # noqa: N815
    maintainType: int = 1  # noqa: N815


class _BybitWindows(Struct):
    rows: list[_BybitWindow] = msgspec.field(name="list")


class _StatusBody(Struct):
    result: _BybitWindows


class _BybitInstrument(Struct):
    symbol: str
    status: str
    baseCoin: str  # noqa: N815
    quoteCoin: str  # noqa: N815
    contractType: str = ""  # noqa: N815 - absent on spot and options
    optionsType: str = ""  # noqa: N815
    deliveryTime: str = ""  # noqa: N815 - ms; "0": never


class _BybitInstruments(Struct):
    rows: list[_BybitInstrument] = msgspec.field(name="list")
    category: str = "spot"


class _MarketsBody(Struct):
    result: _BybitInstruments


class _BybitFault(Struct):
    retCode: int  # noqa: N815


def read_time(body: bytes) -> float:
    """Read the venue's clock, which it gives in nanoseconds."""
    with reading("bybit time"):
        clock = msgspec.json.decode(body, type=_TimeBody, strict=False).result
        return seconds(clock.timeNano, 1e9)


_FUTURES, _SPOT, _OPTIONS = 1, 2, 3  # 4 are spreads
_BY_ROUTE = {"spot": _SPOT, "linear": _FUTURES, "inverse": _FUTURES, "option": _OPTIONS}
_SERVICES = frozenset(
    {1, 5}
)  # trading as a whole and market data; others take orders, or are private
_PRODUCTION, _INCIDENT = 1, 3


def _products(watched: WatchedMarkets) -> frozenset[int]:
    """Return the numbers of the products that are watched."""
    route = _BY_ROUTE.get(watched.stream_url.rstrip("/").rpartition("/")[2], _SPOT)
    found = {_product(each, route) for each in watched.instruments}
    return frozenset(found or {_SPOT, _FUTURES})


def _product(instrument: str, route: int) -> int:
    match instrument.split("-")[2:]:  # after base and quote
        case []:
            return route
        case [*_, "C" | "P"]:
            return _OPTIONS
    return _FUTURES


def read_status(body: bytes, watched: WatchedMarkets = EVERYTHING) -> Maintenance:
    """Read what goes on and what is announced of the products that are watched."""
    with reading("bybit status"):
        rows = msgspec.json.decode(body, type=_StatusBody, strict=False).result.rows
        products = _products(watched)
        return windows.summed_up(
            (row, row.maintainType == _INCIDENT)
            for row in rows
            if row.env == _PRODUCTION
            and not products.isdisjoint(row.product or products)
            and not _SERVICES.isdisjoint(row.serviceTypes or _SERVICES)
        )


def read_markets(body: bytes) -> tuple[Market, ...]:
    """Read the tradable markets of one class; a contract without a delivery is a perpetual."""
    with reading("bybit markets"):
        found = msgspec.json.decode(body, type=_MarketsBody).result
        product = _CLASSES[found.category]
        return tuple(
            Market(row.symbol, _instrument(row, product), product)
            for row in found.rows
            if row.status == "Trading"
        )


def _instrument(row: _BybitInstrument, product: Product) -> str:
    pair = f"{row.baseCoin}-{row.quoteCoin}"
    if product is Product.SPOT:
        return pair
    if row.deliveryTime in ("", "0"):
        return f"{pair}-PERP"
    expiry = datetime.fromtimestamp(seconds(row.deliveryTime, 1e3), UTC).strftime("%y%m%d")
    if product is not Product.OPTION:
        return f"{pair}-{expiry}"
    strike = row.symbol.split("-")[2]
    return f"{pair}-{expiry}-{strike}-{row.optionsType[:1]}"


_CLASSES = {each.value: each for each in Product}  # the venue's names of them are ours
_MONTHS = "FGHJKMNQUVXZ"  # the letters of futures' months


def _delivery(expiry: str) -> str:
    """Format YYMMDD as the venue does: ``26DEC25``, the day without a zero."""
    moment = datetime.strptime(expiry, "%y%m%d").replace(tzinfo=UTC)
    return f"{moment.day}{moment.strftime('%b%y').upper()}"


def _perpetual(one: Instrument) -> str:
    """Format a perpetual: that in USDC has a word of its own (``BTCPERP``)."""
    return f"{one.base}{'PERP' if one.quote == 'USDC' else one.quote}"


def _dated(one: Instrument) -> str:
    if one.product is Product.INVERSE:  # BTCUSDZ25: a letter for the month
        return f"{one.base}{one.quote}{_MONTHS[int(one.expiry[2:4]) - 1]}{one.expiry[:2]}"
    base = one.base if one.quote == "USDC" else f"{one.base}{one.quote}"
    return f"{base}-{_delivery(one.expiry)}"


def _option(one: Instrument) -> str:
    end = "" if one.quote in ("USD", "USDC") else f"-{one.quote}"
    return f"{one.base}-{_delivery(one.expiry)}-{one.strike}-{one.right}{end}"


class _BybitTicker(Struct):
    lastPrice: str  # noqa: N815
    bid1Price: str = ""  # noqa: N815
    bid1Size: str = ""  # noqa: N815
    ask1Price: str = ""  # noqa: N815
    ask1Size: str = ""  # noqa: N815


class _BybitTickers(Struct):
    rows: list[_BybitTicker] = msgspec.field(name="list")


class _TickerBody(Struct):
    result: _BybitTickers


def _ticker(body: bytes) -> _BybitTicker:
    return msgspec.json.decode(body, type=_TickerBody).result.rows[0]


def read_last_price(body: bytes) -> MarketState:
    """Read the price of the last trade: another trade at the same price goes unseen."""
    with reading("bybit ticker"):
        return MarketState(state=(_ticker(body).lastPrice,))


def read_best(body: bytes) -> MarketState:
    """Read the best bid and ask."""
    with reading("bybit ticker"):
        row = _ticker(body)
        return MarketState(state=(row.bid1Price, row.bid1Size, row.ask1Price, row.ask1Size))


_TICKER = "/v5/market/tickers?category={category}&symbol={symbol}"


def fault(answer: Answer) -> Reason | None:
    """Say what an answer hides: errors come as HTTP 200 with a ``retCode`` in the body.

    403 is either the limit of the whole host, which bans an address for ten minutes ("access too
    frequent"), or a refused region. A body that says "too many" counts at any status.
    """
    if answer.status == 429:
        return Reason.RATE_LIMITED
    if answer.status == 403 and b"too frequent" in answer.body:
        return Reason.BANNED
    if answer.status == 403 and b"from your country" in answer.body:
        return Reason.REGION_REFUSED
    try:
        code = msgspec.json.decode(answer.body, type=_BybitFault).retCode
    except DOUBTFUL:
        return Reason.BODY_INVALID if answer.status == 200 else None
    match code:
        case 0:
            return None
        case 10006 | 10018:
            return Reason.RATE_LIMITED
        case 10009:
            return Reason.REGION_REFUSED
        case 10000 | 10016:
            return Reason.HTTP_5XX
        case _:
            return Reason.BODY_INVALID if answer.status == 200 else None


def _site(rest: str, stream: str = "stream.bybit.com") -> VenueSite:
    return VenueSite(
        rest_urls=(f"https://{rest}",), stream_urls=(f"wss://{stream}/v5/public/spot",)
    )


# Source: bybit-exchange/docs, wss-authentication.mdx at 1760380 (streams), and the page
# "Integration Guidance" of bybit-exchange.github.io (REST), read 2026-11-30. Sites without a stream
# of their own take the global one.
_REGIONS = {
    "ae": _site("api.bybit.ae"),
    "eu": _site("api.bybit.eu"),
    "ge": _site("api.bybitgeorgia.ge", "stream.bybitgeorgia.ge"),
    "id": _site("api.bybit.id", "stream.bybit.id"),
    "kz": _site("api.bybit.kz", "stream.bybit.kz"),
    "nl": _site("api.bybit.nl"),
    "tr": _site("api.bybit-tr.com", "stream.bybit.tr"),
}

VENUE = Venue(
    name="bybit",
    title="Bybit",
    rest_url="https://api.bybit.com",
    endpoints=(
        Endpoint(name="time", path="/v5/market/time", clock=read_time),
        Endpoint(name="status", path="/v5/system/status", interval=30.0, status=read_status),
        Endpoint(name="ticker", path=_TICKER, default=False),
    ),
    fault=fault,
    rest_limits=(RestLimit(name="requests_5s", weight=600, window=5.0),),
    # Spot comes in one page, the others of up to 1000 markets (there are some 700 linear ones).
    markets_path="/v5/market/instruments-info?category=spot",
    more_markets={
        Product.LINEAR: ("/v5/market/instruments-info?category=linear&limit=1000",),
        Product.INVERSE: ("/v5/market/instruments-info?category=inverse&limit=1000",),
        Product.OPTION: tuple(
            f"/v5/market/instruments-info?category=option&baseCoin={base}&limit=1000"
            for base in ("BTC", "ETH")
        ),
    },
    read_markets=read_markets,
    states=MarketStates(read=bybit_states),
    perpetuals={
        product: (
            PerpetualList(
                path=f"/v5/market/tickers?category={product}", read=perpetuals.read_bybit_tickers
            ),
        )
        for product in (Product.LINEAR, Product.INVERSE)
    },
    volumes=VolumeLists(
        paths={
            product: f"/v5/market/tickers?category={product}"
            for product in (Product.SPOT, Product.LINEAR, Product.INVERSE)
        },
        read=read_bybit,
    ),
    other_rest_urls=("https://api.bytick.com",),
    regions=_REGIONS,
    stream_urls=("wss://stream.bybit.com/v5/public/spot",),
    connection_limit=RestLimit(name="connections_5m", weight=500, window=300.0),
    topics={
        Channel.TRADES: "publicTrade.{symbol}",
        # Every 10 ms on change and every 3 s without: quicker than `tickers`, which on spot has no
        # bid and ask at all, and a heartbeat of the data itself.
        Channel.QUOTES: "orderbook.1.{symbol}",
        Channel.BOOK: "orderbook.50.{symbol}",
        Channel.KLINES: "kline.1.{symbol}",
    },
    # Source: docs/v5/websocket/public/orderbook.mdx (options: 25 and 100 levels), ticker.mdx and
    # trade.mdx, read 2026-11-30: trades of options come by their coin, all in one topic, and there
    # are no candles.
    product_topics={
        Product.OPTION: {
            Channel.QUOTES: "tickers.{symbol}",
            Channel.BOOK: "orderbook.25.{symbol}",
        },
    },
    subscribe=subscribe,
    unsubscribe=unsubscribe,
    parse=parse,
    sequences=(
        SequenceRule(
            name="orderbook.1",
            labels=("orderbook.1",),
            continuity=Continuity.RISING,
            attribute="sequence",
        ),
        SequenceRule(
            name="orderbook",
            labels=("orderbook.snapshot", "orderbook.delta"),
            continuity=Continuity.CONTIGUOUS,
            attribute="span",
        ),
    ),
    book=BookRules(
        levels=levels,
        depth=50,
        units={
            **dict.fromkeys((Product.SPOT, Product.LINEAR, Product.OPTION), SizeUnit.BASE),
            Product.INVERSE: SizeUnit.QUOTE,  # contracts of 1 USD
        },
    ),
    cross_checks={
        Channel.TRADES: CrossCheck(path=_TICKER, read=read_last_price),
        Channel.KLINES: CrossCheck(path=_TICKER, read=read_last_price),
        Channel.QUOTES: CrossCheck(path=_TICKER, read=read_best),
        Channel.BOOK: CrossCheck(path=_TICKER, read=read_best),
    },
    ping=ping,
    ping_every=20.0,
    topics_per_request=10,
    topics_per_connection=500,  # all topics of a connection may have 21,000 characters together
    request_length=21_000,
    categories={each: each.value for each in Product},
    symbol=speller(
        spot=lambda one: f"{one.base}{one.quote}",
        perpetual=_perpetual,
        dated=_dated,
        option=_option,
    ),
    # The retired v2 protocol had other paths on the same hosts.
    hosts=(
        "stream.bybit.com/v5",
        "api.bybit.com/v5",
        "api.bytick.com/v5",
        *(
            url.partition("://")[2].removesuffix("/public/spot")
            for site in _REGIONS.values()
            for url in (*site.rest_urls, *site.stream_urls)
        ),
    ),
    cadences={Channel.QUOTES: 0.01, Channel.BOOK: 0.02},
    timestamps=dict.fromkeys(MARKET_DATA, "ts, when the frame was generated (ms)"),
    source="bybit-exchange/docs v5 at 072c197, read 2026-07-24",
    facts=(
        VenueFact(
            "cadence of books of 1 level: 10 ms, of 50: 20 ms",
            "bybit-exchange.github.io, docs/v5/websocket/public/orderbook",
            "2026-11-30",
        ),
        VenueFact(
            "frames, channel by channel (tests/venues/documented/bybit.yml)",
            "bybit-exchange/docs, docs/v5/websocket/public: orderbook, orderbook-rpi, full-ob, "
            "trade, ticker, kline, order-price-limit",
            "2026-11-30",
        ),
        VenueFact(
            "an inverse contract is 1 USD, a linear one 1 coin",
            "crypto-contract-value 1.7.25 on docs.rs, exchanges/bybit.rs",
            "2026-11-30",
        ),
        VenueFact(
            "channels, frames, limits, errors",
            "github.com/bybit-exchange/docs at 072c197",
            "2026-07-24",
        ),
        VenueFact(
            "system status", "bybit-exchange.github.io/docs, Get System Status", "2026-11-30"
        ),
        VenueFact(
            "acks and quotes on the wire", "captures of other open-source clients", "2026-08"
        ),
    ),
    checked="documentation",
    unsure=(
        Doubt(
            "how dated futures and options are spelled, beside the examples of the documentation",
            VenueLook.SPELLING,
            "linear",
            "inverse",
            "option",
        ),
        "that the regions ae, eu and nl take the global streams",
    ),
)
