# ruff: noqa: RUF009 - `key` gives a dataclass field, it is not evaluated later
"""The keys of a venue's definition: what a person writes who writes no Python.

Reading, complaints, the JSON Schema and the docs follow from these lines, as for the config.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from exporter.config.endpoint import HEADER_NAME, PATH, ExpectConfig
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
    statuses,
    text,
)
from exporter.config.kinds import url as address
from exporter.config.section import REQUIRED, ListKind, Section, TableKind, key
from exporter.model import MARKET_DATA, Continuity, Reason
from exporter.venues.definition import checks
from exporter.venues.definition.kinds import ShortKind, WhenKind

NAME = text("a name of lower-case letters, digits and underscores", r"[a-z][a-z0-9_]{0,30}")
LINE = text("a line of 1 to 300 characters", r"[^\n]{1,300}")
REST_PATH = text("a path that begins with /, without spaces", r"/[^\s#]{0,500}")
FIELD = text(
    "a dotted path such as result.0.symbol, or $.result.symbol from the frame's beginning",
    r"(\$\.)?[^\s.${}]+(\.[^\s.${}]+)*",
)
TOPIC = text("a text with {symbol} or {lower} in it, once", r"[!-z|~]*\{(symbol|lower)\}[!-z|~]*")
UNITS = ("s", "ms", "us", "ns", "iso")
UNIT = choice(*UNITS)
ZONE = text("a zone such as +09:00", r"[+-]\d\d:\d\d")
LABEL = text("a name without spaces", r"[!-~]{1,60}")
CURRENCY = text("a currency such as BTC", r"[A-Z0-9.]{1,20}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeField:
    """Where a time stands in a frame, and in which unit."""

    path: str = key(FIELD, REQUIRED, "Where it stands.")
    unit: str = key(UNIT, "ms", "Epoch in s, ms, us or ns, or iso (ISO 8601).")
    zone: str | None = key(ZONE, None, "The zone of an ISO time that names none; else UTC.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolField:
    """Where a symbol stands in a frame."""

    path: str = key(FIELD, REQUIRED, "Where it stands, alone or within another text.")
    within: str | None = key(
        text("a text with {symbol} in it", r"[!-~]*\{symbol\}[!-~]*"),
        None,
        "The text in which it stands: trades.{symbol}.raw.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SideField:
    """Which side the taker of a trade was on, or a level of a book stands on."""

    path: str = key(FIELD, REQUIRED, "Where it stands.")
    buy: Any = key(JsonKind(), None, "Its values (one or a list) for a buyer, or a bid.")
    sell: Any = key(JsonKind(), None, "Its values (one or a list) for a seller, or an ask.")
    sign: bool = key(boolean(), False, "It is a number: below zero for a seller.")

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Complain unless both sides can be told."""
        if self.sign != (self.buy is None) or self.sign != (self.sell is None):
            yield Mistake((), "expected buy and sell, or sign: true alone")


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelShape:
    """How one level of a book is written."""

    price: str | None = key(FIELD, None, "Where in the level the price stands.")
    size: str | None = key(FIELD, None, "Where the size stands; 0 takes the level away.")
    side: SideField | None = key(
        Section(SideField), None, "Which side it is on, where both stand in one list (changes)."
    )
    bid: str | None = key(FIELD, None, "The bid's price, where a level is a pair (pairs).")
    bid_size: str | None = key(FIELD, None, "The bid's size.")
    ask: str | None = key(FIELD, None, "The ask's price.")
    ask_size: str | None = key(FIELD, None, "The ask's size.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecksumShape:
    """A CRC-32 of the best levels, bid and ask in turn, in the digits of the wire."""

    path: str = key(FIELD, REQUIRED, "Where it stands; 0 stands for none.")
    levels: int = key(integer(1, 25), 25, "How many levels of each side it covers.")
    separator: str = key(text("a text of at most 3 characters", r".{0,3}"), ":", "Between numbers.")
    signed: bool = key(boolean(), True, "It is sent as a signed number.")


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameShape:
    """One kind of frame: how it is told from others, and where in it what stands.

    A path begins in the row, `$.` in the frame. Which keys fit is a matter of the channel.
    """

    when: Mapping[str, Any] = key(
        WhenKind(), REQUIRED, "What tells it from others: path to value, list, or text with a *."
    )
    label: str | None = key(LABEL, None, "What summaries call it; else the channel's name.")
    row: str | None = key(FIELD, None, "Where the object with the fields stands; else the frame.")
    rows: str | None = key(FIELD, None, "Where a list of such objects, or of lists, stands.")
    newest_first: bool = key(boolean(), False, "The rows run from new to old.")
    symbol: SymbolField = key(ShortKind(SymbolField, "path"), REQUIRED, "Where the symbol stands.")
    time: TimeField | None = key(ShortKind(TimeField, "path"), None, "The time of the event.")
    snapshot: bool = key(boolean(), False, "It tells all of a book, or repeats old trades.")
    snapshot_when: Mapping[str, Any] = key(
        WhenKind(), {}, "Which rows of a book tell all of it: one path in the row, and its values."
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
        if len(self.snapshot_when) > 1 or any(
            isinstance(e, dict) for e in self.snapshot_when.values()
        ):
            yield Mistake(("snapshot_when",), "expected one path with a value or a list of values")
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
    name: str | None = key(LINE, None, "The venue's name of it, for $channel; else ours.")
    argument: Any = key(JsonKind(), None, "What stands for a topic in $topics; else its text.")
    route: str | None = key(REST_PATH, None, "Appended to the address, where channels differ.")
    continuity: str = key(
        choice(*(each.value for each in Continuity)),
        "none",
        "How numbers follow each other: contiguous, linked, overlapping, rising, or none.",
    )
    frames: tuple[FrameShape, ...] = key(
        ListKind(Section(FrameShape), most=10, least=1, unique=None), REQUIRED, "How it comes."
    )


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
class StatusShape:
    """What an answer says of the venue as a whole."""

    path: str = key(PATH, REQUIRED, "Where the word stands that says it.")
    maintenance: Any = key(JsonKind(), None, "Its values (one or a list) during maintenance.")
    post_only: Any = key(JsonKind(), None, "Its values while only resting orders are taken.")
    limit_only: Any = key(JsonKind(), None, "Its values while only limit orders are taken.")
    cancel_only: Any = key(JsonKind(), None, "Its values while orders can only be cancelled.")
    trading: Any = key(JsonKind(), None, "Its values while all is well.")
    title: str | None = key(PATH, None, "Where it says why.")
    end: str | None = key(PATH, None, "Where it says until when, in any form.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RestEndpoint:
    """A REST endpoint for health checks."""

    name: str = key(NAME, REQUIRED, "A name for the label endpoint.")
    path: str = key(REST_PATH, REQUIRED, "Below rest.url; {symbol} is the first of the config's.")
    method: str | None = key(choice("GET", "POST"), None, "POST with a body, else GET.")
    json: Any = key(JsonKind(), None, "Body to send as JSON.")
    weight: int = key(integer(1, 10_000), 1, "Cost against the limits.")
    interval: float = key(duration("1s", "10m"), "10s", "Usual time between two probes.")
    pace: float = key(duration("0s", "10m"), "0s", "Least time between two of its requests.")
    clock: str | None = key(PATH, None, "Where the answer tells the time, in any form.")
    status: StatusShape | None = key(Section(StatusShape), None, "What it says of the venue.")
    default: bool = key(boolean(), True, "Probed where the config names no endpoints.")


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultShape:
    """An error that an answer may hide. The first that fits is the reason."""

    reason: Reason = key(member(Reason), REQUIRED, "What to call it.")
    statuses: tuple[int | str, ...] = key(
        ListKind(statuses(), most=50, least=1, or_one=True), ["2xx"], "Only with these statuses."
    )
    when: ExpectConfig | None = key(Section(ExpectConfig), None, "Only if this holds.")
    unless: ExpectConfig | None = key(Section(ExpectConfig), None, "Not if this holds.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitShape:
    """A documented limit of REST requests per address."""

    name: str = key(NAME, REQUIRED, "A name for the label limit.")
    weight: int = key(integer(1, 10_000_000), REQUIRED, "Weight allowed in the window.")
    window: float = key(duration("1s", "1d"), REQUIRED, "Its length.")
    used_header: str | None = key(HEADER_NAME, None, "Header that names what is used.")
    remaining_header: str | None = key(HEADER_NAME, None, "Header that names what is left.")


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketsShape:
    """Where the venue lists its markets."""

    path: str = key(REST_PATH, REQUIRED, "Below rest.url.")
    rows: str | None = key(PATH, None, "Where the list, or a mapping of them, stands.")
    symbol: str = key(PATH, REQUIRED, "The venue's spelling, within a market.")
    base: str | None = key(PATH, None, "What is traded.")
    quote: str | None = key(PATH, None, "What it is paid with.")
    pair: str | None = key(PATH, None, "Both in one text, which symbols.form takes apart.")
    only: Mapping[str, Any] = key(WhenKind(), {}, "What a market must be like to count.")

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Complain unless base and quote can be told."""
        if (self.base is None) != (self.quote is None) or (self.base is None) == (
            self.pair is None
        ):
            yield Mistake((), "expected either base and quote, or pair")


@dataclass(frozen=True, slots=True, kw_only=True)
class RestShape:
    """The venue's REST API."""

    url: str = key(address("http", "https"), REQUIRED, "Base URL.")
    endpoints: tuple[RestEndpoint, ...] = key(
        ListKind(Section(RestEndpoint), most=50, unique="name"), [], "What can be probed."
    )
    faults: tuple[FaultShape, ...] = key(
        ListKind(Section(FaultShape), most=50, unique=None), [], "Errors that an answer may hide."
    )
    limits: tuple[LimitShape, ...] = key(
        ListKind(Section(LimitShape), most=10, unique="name"), [], "Documented limits."
    )
    markets: MarketsShape | None = key(Section(MarketsShape), None, "Where markets are listed.")
    status_page: str | None = key(
        address("http", "https"), None, "Base URL of a statuspage.io site."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolsShape:
    """How the venue spells BTC-USDT."""

    form: str = key(
        text(
            "a text with {base} and perhaps {quote} in it",
            r"[!-~]*\{base\}[!-~]*|[!-~]*\{quote\}[!-~]*\{base\}[!-~]*",
        ),
        "{base}{quote}",
        "The spelling: {base}_{quote}.",
    )
    lower: bool = key(boolean(), False, "In lower case.")
    rename: Mapping[str, str] = key(
        TableKind(CURRENCY, CURRENCY, most=200), {}, "Currencies it calls otherwise: {BTC: XBT}."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerShape:
    """An answer to a request: agreed or refused."""

    when: Mapping[str, Any] = key(WhenKind(), REQUIRED, "What tells it from other frames.")
    request: str | None = key(PATH, None, "Where the number of the request ($id) stands.")
    topics: str | None = key(PATH, None, "Where the topic, or a list of them, stands.")
    topic: str | None = key(LINE, None, "The topic, put together: {arg.channel}.{arg.id}.")
    reason: str | None = key(PATH, None, "Where a refusal says why.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlShape:
    """A frame that is neither market data nor an answer: a heartbeat, a welcome, a notice."""

    when: Mapping[str, Any] = key(WhenKind(), {}, "What tells it from other frames.")
    text: str | None = key(LINE, None, "Or all of a frame that is no JSON: pong.")
    label: str | None = key(LABEL, None, "What summaries call it; else control.")
    reply: Any = key(JsonKind(), None, "What to answer at once; $path stands for a value of it.")
    ready: bool = key(boolean(), False, "It opens a connection that must be welcomed first.")
    reconnect: bool = key(boolean(), False, "It announces that the venue will soon close.")
    data: bool = key(boolean(), False, "It is market data that nobody here asks for.")

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
    compression: str = key(
        choice("none", "gzip", "deflate"), "none", "The venue's own, of each message."
    )
    opening: Any = key(JsonKind(), None, "Frames to send first, once on each connection: a list.")
    subscribe: Any = key(
        JsonKind(), REQUIRED, "The request: $topics (a list), $topic, $channel, $symbols, $id."
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
class VenueShape:
    """A venue's public protocol, told in YAML."""

    name: str = key(NAME, REQUIRED, "What the config calls it.")
    title: str | None = key(LINE, None, "What people call it.")
    source: str = key(LINE, REQUIRED, "Where its facts come from, and when they were read.")
    checked: str = key(
        choice("recording", "documentation", "unsure"), "documentation", "Against what."
    )
    unsure: tuple[str, ...] = key(ListKind(LINE, most=50), [], "What is not certain.")
    rest: RestShape = key(Section(RestShape), REQUIRED, "The REST API.")
    symbols: SymbolsShape = key(Section(SymbolsShape), {}, "How it spells BTC-USDT.")
    stream: StreamShape | None = key(Section(StreamShape), None, "The WebSocket API, if any.")
    channels: ChannelsShape = key(Section(ChannelsShape), {}, "Market data, if any.")

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Complain of what no section sees by itself."""
        yield from checks.mistakes(self)
