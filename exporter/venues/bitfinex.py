"""Bitfinex, spot and perpetuals: numbered channels, numbered frames.

Source: docs.bitfinex.com as public clients and stored pages show it, read 2026-11. A frame names
its channel by a number that the answer to the subscription gave, so each connection has a reader
of its own; with the flag SEQ_ALL the frames of a connection are numbered one after the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from zlib import crc32

import msgspec
from msgspec import Raw, Struct

from exporter.continuity import ConnectionNumbers
from exporter.contracts import (
    BookRules,
    CrossCheck,
    Endpoint,
    RestLimit,
    Venue,
    VenueFact,
)
from exporter.decoding import DOUBTFUL, Millis, ParseError, Price, Size, positive, reading
from exporter.decoding import unreadable as unread
from exporter.instrument import Instrument, Product, speller
from exporter.listing import VolumeLists
from exporter.maintenance import EVERYTHING, Maintenance, WatchedMarkets
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
from exporter.venues.families.volumes import read_bitfinex

_FLAGS = 65_536 | 131_072  # SEQ_ALL: numbered frames; OB_CHECKSUM: sums of books
_DECIMALS = 8  # DEC_S: numbers as texts; not asked for here
_BULK = 536_870_912  # BULK_UPDATES: several changes of a book in a frame; not asked for here
_TIMES = 10**12  # numbers from here on are times in ms, as the flag TIMESTAMP adds them
_NAMES = {"USDT": "UST"}  # where the venue calls a currency otherwise
_OURS = {theirs: ours for ours, theirs in _NAMES.items()}
_DUPLICATE = 10_301  # already subscribed


class _ArrayFrame(Struct, array_like=True, gc=False):
    channel: int
    body: Raw
    third: Raw = msgspec.field(default_factory=Raw)
    fourth: Raw = msgspec.field(default_factory=Raw)


class _BitfinexPlatform(Struct, gc=False):
    status: int = 1


class _BitfinexEvent(Struct, gc=False):
    event: str
    channel: str = ""
    chanId: int = -1  # noqa: N815 - the wire's spelling
    symbol: str = ""
    key: str = ""
    prec: str = ""
    status: str | None = ""
    flags: Any = None
    code: int = 0
    msg: str = ""
    platform: _BitfinexPlatform | None = None


class _BitfinexTrade(Struct, array_like=True, gc=False):
    id: int
    time: Millis
    amount: float
    price: Price


class _BitfinexTicker(Struct, array_like=True, gc=False):
    bid: Size | None
    bid_size: Size | None
    ask: Size | None
    ask_size: Size | None


class _BitfinexCandle(Struct, array_like=True, gc=False):
    start: Millis
    open: float
    close: Price


class _BitfinexLevel(Struct, array_like=True, gc=False):
    price: Raw
    count: int
    amount: Raw


_FRAME = msgspec.json.Decoder(_ArrayFrame)
_EVENT = msgspec.json.Decoder(_BitfinexEvent)
_TRADE = msgspec.json.Decoder(_BitfinexTrade)
_TRADES = msgspec.json.Decoder(list[_BitfinexTrade])
_TICKER = msgspec.json.Decoder(_BitfinexTicker)
_CANDLE = msgspec.json.Decoder(_BitfinexCandle)
_CANDLES = msgspec.json.Decoder(list[_BitfinexCandle])
_LEVEL = msgspec.json.Decoder(_BitfinexLevel)
_LEVELS = msgspec.json.Decoder(list[_BitfinexLevel])
_NUMBER = msgspec.json.Decoder(int)
_IN_QUOTES = re.compile(rb'"(-?[0-9][0-9.eE+-]*)"')


class BitfinexReader:
    """Reads the frames of one connection: knows its channels, and counts its frames."""

    def __init__(self) -> None:
        self.numbers = ConnectionNumbers()
        self._channels: dict[int, tuple[str, str, str]] = {}  # kind, topic, symbol
        self._renewed: dict[int, str] = {}  # channels that are left to be joined again
        self._missed = 0  # frames of which nobody was told yet
        self._quoted = False  # numbers are texts
        self._bulk = False  # changes of a book may come several in a frame
        self._begun: set[int] = set()  # channels of which all has come once

    def __call__(self, frame: bytes) -> tuple[Event, ...]:
        """Turn one frame into events. Raises ParseError."""
        try:
            if not frame.startswith(b"["):
                return (self._event(_EVENT.decode(frame)),)
            if self._quoted:
                frame = _IN_QUOTES.sub(rb"\1", frame)
            row = _FRAME.decode(frame)
            return self._data(row, bytes(row.body))
        except DOUBTFUL as error:
            raise unread("bitfinex", error) from error

    def _data(self, row: _ArrayFrame, body: bytes) -> tuple[Event, ...]:
        words = body.startswith(b'"')
        paired = words and body != b'"hb"'
        self._count(row.fourth if paired else row.third)
        events = self._said(row, body) if words else self._told(row.channel, body)
        missed, self._missed = self._missed, 0
        return (Control("gap", missed=missed), *events) if missed else events

    def _count(self, number: Raw) -> None:
        """Follow the numbers, of frames too that nobody can read: they are not missing."""
        last = _NUMBER.decode(number) if number else _TIMES
        if last < _TIMES:
            self._missed += self.numbers.follow(last)

    def _said(self, row: _ArrayFrame, body: bytes) -> tuple[Event, ...]:
        """Read a frame that says in a word what it holds."""
        word = body.strip(b'"').decode()
        if word == "hb":
            return (Control("hb"),)
        kind, topic, symbol = self._channel(row.channel)
        label = f"{topic.partition(':')[0]}.{word}"
        if word in ("te", "fte") and kind == "trades":
            return (_trade(label, topic, symbol, _TRADE.decode(row.third), snapshot=False),)
        if word == "cs" and kind == "book":
            total = _NUMBER.decode(row.third)
            return (Depth(label, topic, symbol, None, (), checksum=total),)
        if word in ("tu", "ftu") and kind == "trades":  # the same trade once more
            return (Control(label, data=True, time=_TRADE.decode(row.third).time / 1e3),)
        if word == "cs":  # sums of raw books
            return (Control(label, data=True),)
        return (Control(label[:60], data=True, unknown=True),)

    def _told(self, channel: int, body: bytes) -> tuple[Event, ...]:
        """Read a frame that holds a row, or all of them."""
        kind, topic, symbol = self._channel(channel)
        many = body.startswith(b"[[")
        if kind == "book":
            whole = (many or body == b"[]") and not (self._bulk and channel in self._begun)
            self._begun.add(channel)
            label = "book.snapshot" if whole else "book.update"
            return (Depth(label, topic, symbol, None, (body,), whole),)
        if body == b"[]":
            return (Control(kind, data=True),)
        if kind == "trades" and many:
            rows = reversed(_TRADES.decode(body))
            made = (_trade("trades.snapshot", topic, symbol, row, snapshot=True) for row in rows)
            return tuple(made)
        if kind == "ticker":
            quote = _TICKER.decode(body)
            if not (quote.bid and quote.ask) or 0.0 in (quote.bid_size, quote.ask_size):
                return (Message("ticker", topic, symbol),)
            sizes = quote.bid_size, quote.ask_size
            return (Quote("ticker", topic, symbol, None, quote.bid, quote.ask, *sizes),)
        if kind == "candles":
            candles = reversed(_CANDLES.decode(body)) if many else (_CANDLE.decode(body),)
            return tuple(
                Kline("candles", topic, symbol, None, row.start / 1e3, row.close) for row in candles
            )
        if kind == "trades":
            raise ParseError(f"a row on {topic}")
        name = topic.partition(":")[0][:50]  # raw books, loans, and what nobody here asks for
        shown = f"{name}.{'snapshot' if many else 'update'}" if name in ("book", "trades") else name
        return (Control(shown, data=True),)

    def _channel(self, number: int) -> tuple[str, str, str]:
        try:
            return self._channels[number]
        except KeyError:
            raise ParseError(f"the channel {number}, to which nobody has subscribed") from None

    def _event(self, row: _BitfinexEvent) -> Ack | Control:
        match row.event:
            case "subscribed":
                kind, topic, symbol = _named(row)
                self._channels[row.chanId] = kind, topic, symbol
                self._begun.discard(row.chanId)
                return Ack("subscribed", topics=(topic,))
            case "unsubscribed":
                self._channels.pop(row.chanId, None)
                again = self._renewed.pop(row.chanId, None)
                return Control("unsubscribed", reply=again and subscribe((again,), 0))
            case "error":
                return self._refused(row)
            case "info":
                return _info(row)
            case "conf":
                flags = row.flags if isinstance(row.flags, int) else 0
                self._bulk = row.status == "OK" and bool(flags & _BULK)
                self._quoted = row.status == "OK" and bool(flags & _DECIMALS)
                return Control("conf")
            case "pong" | "auth":
                return Control(row.event)
        return Control(row.event[:60] or "?", unknown=True)

    def _refused(self, row: _BitfinexEvent) -> Ack | Control:
        """Read a refusal. What is there already is left, for its snapshot comes on joining only."""
        topic = _named(row)[1] if row.channel and (row.symbol or row.key) else ""
        known = (number for number, (_, other, _) in self._channels.items() if other == topic)
        number = next(known, None)
        if row.code == _DUPLICATE and number is not None:
            self._renewed[number] = topic
            leave = msgspec.json.encode({"event": "unsubscribe", "chanId": number}).decode()
            return Control("error", reply=leave)
        topics = (topic,) if topic else ()
        return Ack("error", ok=False, topics=topics, reason=f"{row.code} {row.msg}"[:200])


def parse(frame: bytes) -> tuple[Event, ...]:
    """Read a frame as the first of its connection. Raises ParseError."""
    return BitfinexReader()(frame)


def _named(row: _BitfinexEvent) -> tuple[str, str, str]:
    """Return kind, topic and symbol of what a subscription is for."""
    symbol = row.symbol or row.key.split(":", 2)[-1]  # trade:1m:tDOGE:USD
    if not (row.channel and symbol):
        raise ParseError(f"{row.event} names no channel and symbol")
    kind, topic = row.channel, f"{row.channel}:{symbol}"
    if symbol.startswith("f") and kind != "trades":
        kind = "funding"
    elif kind == "book" and row.prec not in ("", "P0"):  # beside the one that is asked for here
        kind, topic = ("raw" if row.prec == "R0" else kind), f"{topic}:{row.prec[:8]}"
    elif kind == "candles" and not row.key.startswith("trade:1m:"):
        kind = "longer"
    return kind, topic, symbol


def _info(row: _BitfinexEvent) -> Control:
    match row.code:
        case 20_051:
            return Control("info", reconnect=True)
        case 20_060:
            return Control("info", maintenance=Maintenance(active=True))
        case 20_061:
            return Control("info", reconnect=True, maintenance=Maintenance(active=False))
    if row.platform is None:
        return Control("info")
    return Control("info", maintenance=Maintenance(active=row.platform.status == 0))


def _trade(label: str, topic: str, symbol: str, row: _BitfinexTrade, *, snapshot: bool) -> Trade:
    side = Side.BUY if row.amount > 0 else Side.SELL
    size = abs(row.amount)
    return Trade(
        label, topic, symbol, row.time / 1e3, row.price, size, side, None, row.id, snapshot
    )


def subscribe(topics: Sequence[str], request: int) -> str:
    """Ask for one channel of one symbol; answers name the channel, so ``request`` goes unsaid."""
    (topic,) = topics
    channel, _, symbol = topic.partition(":")
    asked = {"event": "subscribe", "channel": channel}
    match channel:
        case "book":
            asked |= {"symbol": symbol, "prec": "P0", "freq": "F0", "len": "100"}
        case "candles":
            asked |= {"key": f"trade:1m:{symbol}"}
        case _:
            asked |= {"symbol": symbol}
    return msgspec.json.encode(asked).decode()


def unsubscribe(topics: Sequence[str], request: int) -> str:
    """Say nothing: only the connection knows the number by which a channel is left.

    Asking for the channel again is refused, and the reader then leaves and joins it.
    """
    return ""


def ping(number: int) -> str:
    """Return the client's own keepalive."""
    return f'{{"event":"ping","cid":{number}}}'


# --- books ------------------------------------------------------------------------------------


def levels(event: Depth) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Decode bids and asks in the wire's digits; size 0 takes a level away."""
    bids: list[tuple[str, str]] = []
    asks: list[tuple[str, str]] = []
    try:
        match event.levels:
            case ():
                return bids, asks
            case (bytes() as body,):
                many = event.snapshot or body.startswith(b"[[")
                for row in _LEVELS.decode(body) if many else (_LEVEL.decode(body),):
                    price, amount = bytes(row.price).decode(), bytes(row.amount).decode()
                    positive(price)
                    positive(amount.lstrip("-"))
                    size = amount.lstrip("-") if row.count else "0"
                    (asks if amount.startswith("-") else bids).append((price, size))
                return bids, asks
    except DOUBTFUL as error:
        raise unread("bitfinex levels", error) from error
    raise ParseError("levels of another venue")


def checksum(bids: Sequence[tuple[str, str]], asks: Sequence[tuple[str, str]]) -> int:
    """Return the signed CRC-32 of the best 25 levels, a bid and an ask in turn.

    Source: docs.bitfinex.com, "WebSocket checksum": sizes of asks are negative.
    """
    words: list[str] = []
    for place in range(25):
        if place < len(bids):
            words += bids[place]
        if place < len(asks):
            words += (asks[place][0], f"-{asks[place][1]}")
    found = crc32(":".join(words).encode())
    return found - (1 << 32) if found >= 1 << 31 else found


# --- REST -------------------------------------------------------------------------------------


def read_status(body: bytes, watched: WatchedMarkets = EVERYTHING) -> Maintenance:
    """Read the platform's state: 1 works, 0 is under maintenance."""
    with reading("bitfinex status"):
        (state,) = msgspec.json.decode(body, type=tuple[int])
        if state not in (0, 1):
            raise ParseError(f"the state {state}")
        return Maintenance(active=state == 0)


def read_markets(body: bytes) -> tuple[Market, ...]:
    """Read the list of pairs."""
    with reading("bitfinex markets"):
        (pairs,) = msgspec.json.decode(body, type=tuple[list[str]])
        return tuple(Market(f"t{pair}", _ours(pair)) for pair in pairs)


def _ours(pair: str) -> str:
    base, colon, quote = pair.partition(":")
    if not colon:
        base, quote = pair[:-3], pair[-3:]
    return f"{_OURS.get(base, base)}-{_OURS.get(quote, quote)}"


def _glance(places: tuple[int, ...]) -> Callable[[bytes], MarketState]:
    def read(body: bytes) -> MarketState:
        with reading("bitfinex ticker"):
            row = msgspec.json.decode(body, type=list[float | None])
            return MarketState(state=tuple(row[place] for place in places))

    return read


def fault(answer: Answer) -> Reason | None:
    """Say what an answer means: errors are lists that begin with the word."""
    if answer.status == 429:
        return Reason.RATE_LIMITED
    if b'"error"' not in answer.body[:20]:  # an error begins so
        return None
    with suppress(*DOUBTFUL):
        found = msgspec.json.decode(answer.body)
        code = found[1] if isinstance(found, list) and found[:1] == ["error"] else None
        if code == 11_010 or found == {"error": "ERR_RATE_LIMIT"}:
            return Reason.RATE_LIMITED
        if code is not None and answer.status < 400:
            return Reason.BODY_INVALID
    return None


def _spell(one: Instrument) -> str:
    end = "F0" if one.perpetual else ""
    base, quote = (f"{_NAMES.get(name, name)}{end}" for name in (one.base, one.quote))
    return f"t{base}{':' if len(base) > 3 or len(quote) > 3 else ''}{quote}"


_TICKER_PATH = "/ticker/{symbol}"
_TRADED, _QUOTED = _glance((6, 7)), _glance((0, 2))

VENUE = Venue(
    name="bitfinex",
    title="Bitfinex",
    rest_url="https://api-pub.bitfinex.com/v2",
    endpoints=(
        Endpoint(name="status", path="/platform/status", interval=60.0, status=read_status),
        Endpoint(name="ticker", path="/ticker/tBTCUSD", interval=20.0),
    ),
    fault=fault,
    rest_limits=(RestLimit(name="address", weight=90, window=60.0),),
    markets_path="/conf/pub:list:pair:exchange",
    read_markets=read_markets,
    volumes=VolumeLists(paths={Product.SPOT: "/tickers?symbols=ALL"}, read=read_bitfinex),
    status_page="https://bitfinex.statuspage.io",
    stream_urls=("wss://api-pub.bitfinex.com/ws/2",),
    connection_limit=RestLimit(name="connections_1m", weight=20, window=60.0),
    topics={
        Channel.TRADES: "trades:{symbol}",
        Channel.QUOTES: "ticker:{symbol}",
        Channel.BOOK: "book:{symbol}",
        Channel.KLINES: "candles:{symbol}",
    },
    subscribe=subscribe,
    unsubscribe=unsubscribe,
    parse=parse,
    begin=BitfinexReader,
    book=BookRules(levels=levels, checksum=checksum),
    cross_checks={
        Channel.TRADES: CrossCheck(path=_TICKER_PATH, read=_TRADED),
        Channel.QUOTES: CrossCheck(path=_TICKER_PATH, read=_QUOTED),
        Channel.BOOK: CrossCheck(path=_TICKER_PATH, read=_QUOTED),
        Channel.KLINES: CrossCheck(path=_TICKER_PATH, read=_TRADED),
    },
    opening=(f'{{"event":"conf","flags":{_FLAGS}}}',),
    answers_numbered=False,
    ping=ping,
    ping_every=15.0,
    topics_per_request=1,
    topics_per_connection=25,
    requests_per_second=4.0,
    symbol=speller(spot=_spell, perpetual=_spell),
    hosts=("api-pub.bitfinex.com", "api.bitfinex.com"),
    timestamps={
        Channel.TRADES: "when the trade was made (ms)",
        Channel.QUOTES: "none is sent",
        Channel.BOOK: "none is sent",
        Channel.KLINES: "none is sent",
    },
    source="docs.bitfinex.com as public clients and stored pages show it, read 2026-11",
    facts=(
        VenueFact("channels, frames, numbers", "cryptofeed's reader", "2026-11"),
        VenueFact("limits and checksums", "docs.bitfinex.com, stored pages", "2026-10"),
        VenueFact("announcements: 20051, 20060, 20061", "bitfinex-rb's documentation", "2026-11"),
        VenueFact("codes of errors, 10300 to 10401", "bitfinex-api-go's docs/ws_v2.md", "2026-11"),
        VenueFact(
            "a checksum is of the digits on the wire, 5.6e-7 too",
            "bitfinex-api-node, issue 511; bfx-api-node-models, issue 70 and tests",
            "2026-11",
        ),
    ),
    checked="documentation",
    unsure=(
        "wording of errors over the stream",
        "limits over REST: from 10 to 90 requests a minute, as endpoints differ; 90 are taken",
    ),
)
