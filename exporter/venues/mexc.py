"""MEXC, spot: requests and answers in JSON, market data in protobuf.

Source: the schemas of github.com/mexcdevelop/websocket-proto, as clients show them, and its pull
request 264 for the rest, read 2026-11. Of a message only the fields that are needed are looked at;
the wire format is that of protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import msgspec
from msgspec import Struct

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
    ParseError,
    Price,
    Size,
    natural,
    positive,
    reading,
    seconds,
    unreadable,
)
from exporter.instrument import Product, speller
from exporter.listing import VolumeLists
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
from exporter.venues.families.volumes import read_binance

_SIDES = {1: Side.BUY, 2: Side.SELL}
_TOPIC = re.compile(r"spot@[\w.@]+")
# Numbers of the wrapper's fields.
_CHANNEL, _SYMBOL, _SENT, _KLINE, _DEPTHS, _DEALS, _BEST = 1, 3, 6, 308, 313, 314, 315
# Not asked for here, but recordings have them: each trade, each change of a book, its best levels.
_EACH_DEAL, _EACH_CHANGE, _LEVELS = 301, 302, 303
_LIMITED = (429, 510)  # codes of bodies: asked too often
_BEGINNING = b"\x0a"  # the tag of the channel
_LONGEST = 1 << 20  # bytes of a message
_PATTERN = "spot@public.{0}.v3.api.pb"


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ParseError("a number of more than 64 bits")


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of each field of a protobuf message. Raises what DOUBTFUL lists."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        match tag & 7:
            case 0:
                value, at = _varint(data, at)
                yield tag >> 3, value
                continue
            case 2:
                length, at = _varint(data, at)
            case 1:
                length = 8
            case 5:
                length = 4
            case other:
                raise ParseError(f"a field of kind {other}")
        if at + length > end:
            raise ParseError("a message that is cut off")
        yield tag >> 3, data[at : at + length]
        at += length


def _text(found: dict[int, int | bytes], number: int) -> str:
    value = found[number]
    if isinstance(value, int):
        raise ParseError(f"a number in field {number}")
    return value.decode()


def _number(found: dict[int, int | bytes], number: int) -> int:
    value = found[number]
    if isinstance(value, bytes):
        raise ParseError(f"a text in field {number}")
    return value


def _body(found: dict[int, int | bytes], number: int) -> bytes:
    value = found[number]
    if isinstance(value, int):
        raise ParseError(f"a number in field {number}")
    return value


def parse(frame: bytes) -> tuple[Event, ...]:
    """Turn one frame into events, in wire order. Raises ParseError."""
    try:
        if frame.startswith(b"{"):
            return (_reply(_REPLY.decode(frame)),)
        if not frame.startswith(_BEGINNING) or len(frame) > _LONGEST:
            raise ParseError(f"neither an answer nor a message: {frame[:20]!r}")
        found = dict(fields(frame))
        topic = _text(found, _CHANNEL)
        if not topic.startswith("spot@"):
            raise ParseError(f"the channel {topic[:60]!r}")
        if _SYMBOL not in found:  # of all markets at once
            return (Control(_label(topic), data=True, unknown=True),)
        symbol = _text(found, _SYMBOL)
        if not (symbol and symbol in topic):
            raise ParseError(f"the channel {topic[:60]!r} of {symbol[:30]!r}")
        for number, read in _READERS.items():
            if number in found:
                return read(topic, symbol, found)
        return (Control(_label(topic), data=True, unknown=True),)
    except DOUBTFUL as error:
        raise unreadable("mexc", error) from error


def _label(topic: str) -> str:
    """Return what a channel is called: public.aggre.deals of spot@public.aggre.deals.v3.api.pb."""
    return topic.partition("@")[2].partition(".v3")[0][:60] or "unknown"


def _sent(found: dict[int, int | bytes]) -> float | None:
    return seconds(_number(found, _SENT), 1e3) if _SENT in found else None


def _deals(topic: str, symbol: str, found: dict[int, int | bytes]) -> tuple[Event, ...]:
    label, made = _label(topic), []
    for number, value in fields(_body(found, _DEALS if _DEALS in found else _EACH_DEAL)):
        if number == 1 and isinstance(value, bytes):
            row = dict(fields(value))
            made.append(
                Trade(
                    label,
                    topic,
                    symbol,
                    seconds(_number(row, 4), 1e3),
                    positive(_text(row, 1)),
                    natural(_text(row, 2)),
                    _SIDES.get(_number(row, 3)),
                )
            )
    return tuple(made) or (Control(label, data=True),)


def _best(topic: str, symbol: str, found: dict[int, int | bytes]) -> tuple[Event, ...]:
    row = dict(fields(_body(found, _BEST)))
    bid, bid_size, ask, ask_size = (
        natural(_text(row, number) or "0") if number in row else 0.0 for number in (1, 2, 3, 4)
    )
    sent = _sent(found)
    if not (bid and ask and bid_size and ask_size):
        return (Message("public.aggre.bookTicker", topic, symbol, sent),)
    return (Quote("public.aggre.bookTicker", topic, symbol, sent, bid, ask, bid_size, ask_size),)


def _depths(topic: str, symbol: str, found: dict[int, int | bytes]) -> tuple[Event, ...]:
    body = _body(found, _DEPTHS)
    row = dict(fields(body))
    first, last = int(_text(row, 4)), int(_text(row, 5))
    if not 0 <= first < 2**63 or not 0 <= last < 2**63:
        raise ParseError("a version beyond 63 bits")
    sent = _sent(found)
    return (
        Depth("public.aggre.depth", topic, symbol, sent, (body,), first=first, last=last),
    )  # fmt: skip


def _versioned(topic: str, symbol: str, found: dict[int, int | bytes]) -> tuple[Event, ...]:
    """Read levels that have one version: all of them up to some depth, or those that changed."""
    whole = _LEVELS in found
    body = _body(found, _LEVELS if whole else _EACH_CHANGE)
    last = int(_text(dict(fields(body)), 4))
    if not 0 <= last < 2**63:
        raise ParseError("a version beyond 63 bits")
    return (Depth(_label(topic), topic, symbol, _sent(found), (body,), whole, last=last),)


def _candle(topic: str, symbol: str, found: dict[int, int | bytes]) -> tuple[Event, ...]:
    row = dict(fields(_body(found, _KLINE)))
    start, close = seconds(_number(row, 2), 1.0), positive(_text(row, 4))
    return (Kline("public.kline", topic, symbol, _sent(found), start, close),)


_READERS: dict[
    int, Callable[[str, str, dict[int, int | bytes]], tuple[Event, ...]]
] = {
    _DEALS: _deals, _BEST: _best, _DEPTHS: _depths, _KLINE: _candle, _EACH_DEAL: _deals,
    _EACH_CHANGE: _versioned, _LEVELS: _versioned,
}  # fmt: skip


class _MexcReply(Struct):
    method: str = ""
    code: int = 0
    msg: str | None = None


_REPLY = msgspec.json.Decoder(_MexcReply)


def _reply(row: _MexcReply) -> Ack | Control:
    """Read an answer: agreed topics by comma, or why not, under the same code 0."""
    if row.method == "PING":  # the server's own
        return Control("PING", reply='{"method":"PONG"}')
    if row.msg is None:
        raise ParseError("an answer that says nothing")
    if not row.msg:
        return Control("reply", unknown=True)
    if row.msg.upper() == "PONG":
        return Control("PONG")
    topics = tuple(_TOPIC.findall(row.msg))
    if row.code == 0 and topics and row.msg.startswith("spot@"):
        return Ack("ack", topics=topics)
    return Ack("refusal", ok=False, topics=topics, reason=row.msg[:200])


def subscribe(topics: Sequence[str], request: int) -> str:
    """Ask for topics; answers name them, so ``request`` goes unsaid."""
    return _request("SUBSCRIPTION", topics)


def unsubscribe(topics: Sequence[str], request: int) -> str:
    """Take topics off an open connection."""
    return _request("UNSUBSCRIPTION", topics)


def _request(method: str, topics: Sequence[str]) -> str:
    return msgspec.json.encode({"method": method, "params": list(topics)}).decode()


def ping(number: int) -> str:
    """Return the client's own keepalive."""
    return '{"method":"PING"}'


# --- books ------------------------------------------------------------------------------------


def levels(event: Depth) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Decode bids and asks; size 0 takes a level away."""
    try:
        match event.levels:
            case (bytes() as body,):
                sides: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
                for number, value in fields(body):
                    if number in sides and isinstance(value, bytes):
                        row = dict(fields(value))
                        sides[number].append((positive(_text(row, 1)), natural(_text(row, 2))))
                return sides[2], sides[1]
            case (list() as bids, list() as asks):
                return bids, asks
    except DOUBTFUL as error:
        raise unreadable("mexc levels", error) from error
    raise ParseError("levels of another venue")


class _MexcBook(Struct):
    lastUpdateId: int  # noqa: N815 - the wire's spelling
    bids: list[tuple[Price, Size]]
    asks: list[tuple[Price, Size]]


def read_snapshot(body: bytes, topic: str, symbol: str) -> Depth:
    """Read the book over REST."""
    with reading("mexc book"):
        row = msgspec.json.decode(body, type=_MexcBook, strict=False)
        last = row.lastUpdateId
        return Depth("depth", topic, symbol, None, (row.bids, row.asks), True, last, last)


# --- REST -------------------------------------------------------------------------------------


class _MexcTime(Struct):
    serverTime: int  # noqa: N815 - the wire's spelling


class _MexcMarket(Struct):
    symbol: str
    baseAsset: str  # noqa: N815 - the wire's spelling
    quoteAsset: str  # noqa: N815 - the wire's spelling
    status: str = "1"


class _MexcMarkets(Struct):
    symbols: list[_MexcMarket]


class _MexcTicker(Struct):
    lastPrice: Size | None = None  # noqa: N815 - the wire's spelling
    volume: str | None = None
    bidPrice: Size | None = None  # noqa: N815 - the wire's spelling
    askPrice: Size | None = None  # noqa: N815 - the wire's spelling


def read_time(body: bytes) -> float:
    """Read the venue's time, in milliseconds."""
    with reading("mexc time"):
        return seconds(msgspec.json.decode(body, type=_MexcTime).serverTime, 1e3)


def read_markets(body: bytes) -> tuple[Market, ...]:
    """Read the markets that are traded: status 1, in former times ENABLED."""
    with reading("mexc markets"):
        return tuple(
            Market(row.symbol, f"{row.baseAsset}-{row.quoteAsset}")
            for row in msgspec.json.decode(body, type=_MexcMarkets, strict=False).symbols
            if row.status in ("1", "ENABLED")
        )


def read_last_trade(body: bytes) -> MarketState:
    """Read the price of the last trade."""
    with reading("mexc ticker"):
        row = msgspec.json.decode(body, type=_MexcTicker, strict=False)
        return MarketState(state=(row.lastPrice,))


def read_best(body: bytes) -> MarketState:
    """Read the best bid and ask."""
    with reading("mexc ticker"):
        row = msgspec.json.decode(body, type=_MexcTicker, strict=False)
        return MarketState(state=(row.bidPrice, row.askPrice))


class _MexcFault(Struct):
    code: int = 200


def fault(answer: Answer) -> Reason | None:
    """Say what an answer means: an error has a code of its own."""
    if answer.status == 429:
        return Reason.RATE_LIMITED
    with suppress(*DOUBTFUL):
        code = msgspec.json.decode(answer.body, type=_MexcFault).code
        if code in _LIMITED:
            return Reason.RATE_LIMITED
        if code not in (0, 200) and answer.status < 400:
            return Reason.BODY_INVALID
    return None


_TICKER = "/api/v3/ticker/24hr?symbol={symbol}"
_CLOCK = "sendTime, when the frame was sent (ms)"

VENUE = Venue(
    name="mexc",
    title="MEXC",
    rest_url="https://api.mexc.com",
    endpoints=(
        Endpoint(name="ping", path="/api/v3/ping"),
        Endpoint(name="time", path="/api/v3/time", clock=read_time),
        Endpoint(name="ticker", path=_TICKER, default=False),
    ),
    fault=fault,
    rest_limits=(RestLimit(name="weight_10s", weight=500, window=10.0),),
    markets_path="/api/v3/exchangeInfo",
    read_markets=read_markets,
    # Its rows are Binance's. Weight: 25 in ccxt 4.5.90, 40 as others know it; the higher is taken.
    volumes=VolumeLists(paths={Product.SPOT: "/api/v3/ticker/24hr"}, read=read_binance, weight=40),
    stream_urls=("wss://wbs-api.mexc.com/ws",),
    topics={
        Channel.TRADES: f"{_PATTERN.format('aggre.deals')}@100ms@{{symbol}}",
        Channel.QUOTES: f"{_PATTERN.format('aggre.bookTicker')}@100ms@{{symbol}}",
        Channel.BOOK: f"{_PATTERN.format('aggre.depth')}@100ms@{{symbol}}",
        Channel.KLINES: f"{_PATTERN.format('kline')}@{{symbol}}@Min1",
    },
    subscribe=subscribe,
    unsubscribe=unsubscribe,
    parse=parse,
    sequences=(
        SequenceRule(
            name="aggre.depth",
            labels=("public.aggre.depth",),
            continuity=Continuity.CONTIGUOUS,
            attribute="span",
        ),
    ),
    book=BookRules(
        levels=levels,
        snapshot_path="/api/v3/depth?symbol={symbol}&limit=1000",
        read_snapshot=read_snapshot,
    ),
    cross_checks={
        Channel.TRADES: CrossCheck(path=_TICKER, read=read_last_trade),
        Channel.QUOTES: CrossCheck(path=_TICKER, read=read_best),
        Channel.BOOK: CrossCheck(path=_TICKER, read=read_best),
        Channel.KLINES: CrossCheck(path=_TICKER, read=read_last_trade),
    },
    answers_numbered=False,
    ping=ping,
    ping_every=20.0,
    lifetime=24 * 3600.0,
    topics_per_request=10,
    topics_per_connection=30,
    requests_per_second=4.0,
    symbol=speller(spot=lambda one: f"{one.base}{one.quote}"),
    hosts=("wbs-api.mexc.com", "api.mexc.com"),
    cadences=dict.fromkeys((Channel.TRADES, Channel.QUOTES, Channel.BOOK), 0.1),
    timestamps={
        Channel.TRADES: "time of the trade (ms)",
        Channel.QUOTES: _CLOCK,
        Channel.BOOK: _CLOCK,
        Channel.KLINES: _CLOCK,
    },
    source="mexcdevelop/websocket-proto and its pull request 264, as clients show them, 2026-11",
    facts=(
        VenueFact(
            "cadence of aggregated streams: 100 ms",
            "the names of the streams",
            "2026-11",
        ),
        VenueFact("fields of the messages", "schemas as several clients have them", "2026-11"),
        VenueFact("requests, limits of a connection", "the vendor's pull request 264", "2026-10"),
        VenueFact("REST", "clients that follow Binance's form", "2026-10"),
    ),
    checked="documentation",
    unsure=(
        "bodies over REST, and their limits",
        "wording of refusals: under code 0, with the topic in the text",
        "whether the list of levels ever repeats a version",
    ),
)
