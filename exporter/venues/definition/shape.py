# ruff: noqa: RUF009 - `key` gives a dataclass field, it is not evaluated later
"""The keys of a venue's definition: what a person writes who writes no Python.

Reading, complaints, the JSON Schema and the docs follow from these lines, as for the config.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from exporter.config.endpoint import PATH
from exporter.config.kinds import (
    JsonKind,
    Mistake,
    Reading,
    boolean,
    choice,
    duration,
    integer,
    member,
    number,
    text,
)
from exporter.config.kinds import url as address
from exporter.config.section import REQUIRED, ListKind, Section, TableKind, key
from exporter.instrument import Product
from exporter.model import MARKET_DATA, Continuity, SizeUnit
from exporter.venues.definition import checks
from exporter.venues.definition.field_shape import (
    ChecksumShape,
    LevelShape,
    SideField,
    SymbolField,
    TimeField,
)
from exporter.venues.definition.kinds import (
    CURRENCY,
    FIELD,
    FORM,
    LABEL,
    LINE,
    NAME,
    ROUTE,
    ROWS,
    TOPIC,
    ShortKind,
    WhenKind,
)
from exporter.venues.definition.rest_shape import PreludeShape, RestShape, SnapshotShape


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameShape:
    """One kind of frame: how it is told from others, and where in it what stands.

    A path begins in the row, `$.` in the frame. Which keys fit is a matter of the channel.
    """

    when: Mapping[str, Any] = key(
        WhenKind(), REQUIRED, "What tells it from others: path to value, list, or text with a *."
    )
    label: str | None = key(LABEL, None, "What summaries call it; else the channel's name.")
    also: bool = key(boolean(), False, "It holds more, which a kind after this one reads.")
    row: str | None = key(FIELD, None, "Where the object with the fields stands; else the frame.")
    rows: str | None = key(ROWS, None, "Where a list or object of them stands; $: the frame.")
    newest_first: bool = key(boolean(), False, "The rows run from new to old.")
    symbol: SymbolField | None = key(
        ShortKind(SymbolField, "path"), None, "Where the symbol stands; none if the route names it."
    )
    time: TimeField | None = key(ShortKind(TimeField, "path"), None, "The time of the event.")
    topic: str | None = key(
        TOPIC, None, "What its events are told apart by, where recordings have it beside our own."
    )
    snapshot: bool = key(boolean(), False, "It tells all of a book, or repeats old trades.")
    snapshot_when: Mapping[str, Any] = key(
        WhenKind(),
        {},
        "Which rows of a book tell all of it: one path in the row, with its values, or absent.",
    )
    snapshot_label: str | None = key(LABEL, None, "What summaries call those; else as the others.")
    apart: Mapping[str, Any] = key(
        WhenKind(),
        {},
        "Trades made elsewhere, none of the market: one path in the row, with its values.",
    )
    price: str | None = key(FIELD, None, "A trade's price.")
    size: str | None = key(FIELD, None, "A trade's size.")
    side: SideField | None = key(Section(SideField), None, "Which side a trade's taker was on.")
    id: str | None = key(FIELD, None, "A trade's own number or name, which must be there.")
    sequence: str | None = key(FIELD, None, "A trade's or quote's number, as continuity rules.")
    bid: str | None = key(FIELD, None, "The best bid.")
    ask: str | None = key(FIELD, None, "The best ask.")
    bid_size: str | None = key(FIELD, None, "The size of the best bid.")
    ask_size: str | None = key(FIELD, None, "The size of the best ask.")
    bids: str | None = key(FIELD, None, "A book's list of bids.")
    asks: str | None = key(FIELD, None, "A book's list of asks.")
    changes: str | None = key(FIELD, None, "One list of both; level.side tells them apart.")
    pairs: str | None = key(FIELD, None, "A list of levels that hold a bid and an ask each.")
    level: LevelShape | None = key(
        Section(LevelShape), None, "How a level is written; else [price, size]."
    )
    first: str | None = key(FIELD, None, "Number of the first change inside.")
    last: str | None = key(FIELD, None, "Number of the last change inside, or the only one.")
    previous: str | None = key(FIELD, None, "Number of the last change of the frame before.")
    checksum: ChecksumShape | None = key(Section(ChecksumShape), None, "A checksum of the book.")
    start: TimeField | None = key(ShortKind(TimeField, "path"), None, "A candle's beginning.")
    close: str | None = key(FIELD, None, "A candle's last price.")
    closed: str | None = key(FIELD, None, "Whether a candle is over (true or false).")

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Complain of fields in two places, and of levels whose side or numbers nobody tells."""
        if len(self.snapshot_when) > 1 or {"exists": True} in self.snapshot_when.values():
            wrong = "expected one path with a value, a list of values, or exists: false"
            yield Mistake(("snapshot_when",), wrong)
        if len(self.apart) > 1 or {"exists": False} in self.apart.values():
            yield Mistake(("apart",), "expected one path with a value, a list, or exists: true")
        if self.row is not None and self.rows is not None:
            yield Mistake(("rows",), "found beside row, expected one of the two")
        level = self.level
        if (self.bids is None) != (self.asks is None):
            missing = "asks" if self.asks is None else "bids"
            yield Mistake((missing,), "found no such key, expected bids and asks, or neither")
        if level is None:
            if self.changes is not None or self.pairs is not None:
                yield Mistake(("level",), "found no such key, expected how a level is written")
        elif self.pairs is not None:
            if not (level.bid and level.bid_size and level.ask and level.ask_size):
                wrong = "expected bid, bid_size, ask and ask_size, as a pair has them"
                yield Mistake(("level",), wrong)
        elif not (level.price and level.size):
            yield Mistake(("level",), "expected price and size")
        elif self.bids is None and level.side is None:
            yield Mistake(("level", "side"), "found no such key, expected what tells the sides")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelShape:
    """One channel of market data: how it is asked for, and how it comes."""

    topic: str = key(TOPIC, REQUIRED, "What its events are told apart by: trades.{symbol}.")
    name: str | None = key(
        LINE, None, "The venue's name of it, for $channel and its numbers; else ours."
    )
    argument: Any = key(JsonKind(), None, "What stands for a topic in $topics; else its text.")
    route: str | None = key(
        ROUTE, None, "Appended to the address, where channels or {symbol} ({lower}) tell it apart."
    )
    continuity: str = key(
        choice(*(each.value for each in Continuity)),
        "none",
        "How numbers follow each other: contiguous, linked, overlapping, rising, or none.",
    )
    cadence: float | None = key(
        duration("1ms", "1h"),
        None,
        "Documented time between two messages while the market moves; facts say where it was read.",
    )
    price_decimals: int = key(
        integer(0, 18), 0, "Prices are integers with this many decimals: 4 if 15000 means 1.5."
    )
    size_decimals: int = key(integer(0, 18), 0, "Sizes likewise.")
    frames: tuple[FrameShape, ...] = key(
        ListKind(Section(FrameShape), most=10, least=1, unique=None), REQUIRED, "How it comes."
    )
    snapshot: SnapshotShape | None = key(
        Section(SnapshotShape), None, "Where a book begins over REST, if not on the stream."
    )

    @property
    def own(self) -> tuple[FrameShape, ...]:
        """The frames of what is asked for here, without those that only recordings have."""
        return tuple(frame for frame in self.frames if frame.topic is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelsShape:
    """The venue's market data."""

    trades: ChannelShape | None = key(Section(ChannelShape), None, "Executions.")
    quotes: ChannelShape | None = key(Section(ChannelShape), None, "Best bid and ask.")
    book: ChannelShape | None = key(Section(ChannelShape), None, "The order book.")
    klines: ChannelShape | None = key(Section(ChannelShape), None, "Candles of a minute.")

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Complain of fields that a channel does not have, or needs."""
        for name, channel in self.given.items():
            yield from checks.channel(name, channel)

    @property
    def given(self) -> Mapping[str, ChannelShape]:
        """The channels that there are, by name."""
        named = {str(each): getattr(self, each) for each in MARKET_DATA}
        return {name: channel for name, channel in named.items() if channel is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolsShape:
    """How the venue spells BTC-USDT."""

    form: str | None = key(
        FORM, None, "Spot: {base}_{quote}; {base}{quote} where no form of anything is given."
    )
    perpetual: str | None = key(FORM, None, "BTC-USDT-PERP: {base}_{quote}-PERP.")
    inverse: str | None = key(FORM, None, "BTC-USD-PERP, where that is spelled otherwise.")
    plain: Product = key(member(Product), "spot", "What BTC-USDT is, where there is no spot.")
    sizes: Mapping[Product, SizeUnit] = key(
        TableKind(choice(*Product), member(SizeUnit), most=len(Product)),
        {},
        "What sizes of books count beside spot, where that is no contract: {linear: base}.",
    )
    quotes: tuple[str, ...] = key(
        ListKind(CURRENCY, most=50), [], "What all is paid with, where that is little: [USDC]."
    )
    lower: bool = key(boolean(), False, "In lower case.")
    rename: Mapping[str, str] = key(
        TableKind(CURRENCY, CURRENCY, most=200), {}, "Currencies it calls otherwise: {BTC: XBT}."
    )

    @property
    def perpetuals(self) -> tuple[str | None, str | None]:
        """The forms of linear and of inverse perpetuals."""
        return self.perpetual, self.inverse or self.perpetual

    @property
    def spot(self) -> str | None:
        """The form of spot markets, None where it has none."""
        return self.form or (None if self.perpetuals[1] else "{base}{quote}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerShape:
    """An answer to a request: agreed or refused."""

    when: Mapping[str, Any] = key(WhenKind(), REQUIRED, "What tells it from other frames.")
    request: str | None = key(PATH, None, "Where the number of the request ($id) stands.")
    topics: str | None = key(PATH, None, "Where the topic, or a list of them, stands.")
    topic: str | None = key(
        LINE, None, "The topic, put together: {arg.channel}.{arg.id}; {ids.*}: one for each of ids."
    )
    reason: str | None = key(PATH, None, "Where a refusal says why.")
    label: str | None = key(LABEL, None, "What summaries call it; else ack or refusal.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlShape:
    """A frame that is neither market data nor an answer: a heartbeat, a welcome, a notice."""

    when: Mapping[str, Any] = key(WhenKind(), {}, "What tells it from other frames.")
    text: str | None = key(LINE, None, "Or all of a frame that is no JSON: pong.")
    label: str | None = key(LABEL, None, "What summaries call it; else control.")
    kind: str | None = key(
        PATH, None, "Where the wire says what it is, of kinds not known: counted, and shown."
    )
    reply: Any = key(JsonKind(), None, "What to answer at once; $path stands for a value of it.")
    ready: bool = key(boolean(), False, "It opens a connection that must be welcomed first.")
    reconnect: bool = key(boolean(), False, "It announces that the venue will soon close.")
    data: bool = key(boolean(), False, "It is market data that nobody here asks for.")
    time: TimeField | None = key(
        ShortKind(TimeField, "path"), None, "Its time, for the latency in summaries."
    )

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Complain unless it can be told from others in one way."""
        if bool(self.when) == (self.text is not None):
            yield Mistake((), "expected either when or text")


@dataclass(frozen=True, slots=True, kw_only=True)
class PingShape:
    """The client's own keepalive."""

    send: Any = key(JsonKind(), REQUIRED, "The frame: JSON with $id, or a text.")
    every: float = key(duration("1s", "1h"), "20s", "Time between two of them.")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamShape:
    """The venue's WebSocket API."""

    urls: tuple[str, ...] = key(
        ListKind(address("ws", "wss"), most=10, least=1, or_one=True),
        REQUIRED,
        "Addresses; the first is preferred, the others are for failover.",
    )
    prelude: PreludeShape | None = key(
        Section(PreludeShape), None, "Asked before each connection, which it gives the address of."
    )
    numbers: str | None = key(
        PATH, None, "Path of a counter over all frames of a connection; it rises by one."
    )
    compression: str = key(
        choice("none", "gzip", "deflate"), "none", "The venue's own, of each message."
    )
    opening: Any = key(JsonKind(), None, "Frames to send first, once on each connection: a list.")
    subscribe: Any = key(
        JsonKind(), None, "The request: $topics (a list), $topic, $channel, $symbols, $id, or none."
    )
    unsubscribe: Any = key(JsonKind(), None, "Its opposite; topics are never left without.")
    acks: tuple[AnswerShape, ...] = key(
        ListKind(Section(AnswerShape), most=10, unique=None),
        [],
        "Answers that agree; without any, data alone says that a request took.",
    )
    refusals: tuple[AnswerShape, ...] = key(
        ListKind(Section(AnswerShape), most=10, unique=None), [], "Answers that refuse."
    )
    controls: tuple[ControlShape, ...] = key(
        ListKind(Section(ControlShape), most=50, unique=None), [], "All other frames."
    )
    ping: PingShape | None = key(Section(PingShape), None, "The client's own keepalive.")
    welcomed: bool = key(boolean(), False, "Wait for a control that is ready, then ask.")
    lifetime: float | None = key(
        duration("10m", "30d"), None, "After so long the venue ends a connection by rule."
    )
    topics_per_request: int = key(integer(1, 1000), 50, "Topics that one request may hold.")
    topics_per_connection: int = key(integer(1, 10_000), 200, "Topics that a connection may hold.")
    request_length: int | None = key(
        integer(100, 1_000_000), None, "Characters that a request may have."
    )
    requests_per_second: float = key(number(0.01, 100.0), 4, "Requests that may be sent.")

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Complain of places that nothing fills, and of a welcome that never comes."""
        yield from checks.stream(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class FactShape:
    """Something that the definition relies on."""

    what: str = key(LINE, REQUIRED, "What it is about.")
    source: str = key(LINE, REQUIRED, "Where it was read.")
    read: str = key(
        text("a month or day such as 2026-11", r"20\d\d-(0[1-9]|1[0-2])(-[0-3]\d)?"),
        REQUIRED,
        "When it was read, or recorded.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueShape:
    """A venue's public protocol, told in YAML."""

    name: str = key(NAME, REQUIRED, "What the config calls it.")
    title: str | None = key(LINE, None, "What people call it.")
    source: str = key(LINE, REQUIRED, "Where its facts come from, and when they were read.")
    checked: str = key(
        choice("recording", "documentation", "unsure"), "documentation", "Against what."
    )
    unsure: tuple[str, ...] = key(ListKind(LINE, most=50), [], "What is not certain.")
    facts: tuple[FactShape, ...] = key(
        ListKind(Section(FactShape), most=50, unique=None), [], "What was read where, and when."
    )
    hosts: tuple[str, ...] = key(
        ListKind(text("a host, perhaps with a path", r"[a-z0-9.-]+(:\d+)?(/[!-~]*)?"), most=20),
        [],
        "Further addresses that recordings name, such as retired ones.",
    )
    rest: RestShape = key(Section(RestShape), REQUIRED, "The REST API.")
    symbols: SymbolsShape = key(Section(SymbolsShape), {}, "How it spells BTC-USDT.")
    stream: StreamShape | None = key(Section(StreamShape), None, "The WebSocket API, if any.")
    channels: ChannelsShape = key(Section(ChannelsShape), {}, "Market data, if any.")

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Complain of what no section sees by itself."""
        yield from checks.mistakes(self)
