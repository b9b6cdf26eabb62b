"""The nouns: the values that rooms hand to one another. No I/O, no clock, no state.

Times are seconds since the Unix epoch as ``float`` (``time``, ``received``) or seconds of a
monotonic clock (``now``), never one minus the other. Prices and sizes are in the instrument's
own units (quote and base currency).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Literal, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from exporter.instrument import Product

# --- what an exchange publishes ---------------------------------------------------------------


class Channel(StrEnum):
    """The kinds of market data that a stream can carry; the label ``channel``."""

    TRADES = "trades"
    QUOTES = "quotes"
    BOOK = "book"
    KLINES = "klines"
    MESSAGES = "messages"  # of a stream of which nothing is known but its address


MARKET_DATA = (Channel.TRADES, Channel.QUOTES, Channel.BOOK, Channel.KLINES)


class Side(Enum):
    """Which side the taker was on."""

    BUY = 1
    SELL = -1


# Events are made once per message on the hottest path: a msgspec struct costs 0.10 µs to make
# where a frozen dataclass costs 1.35 µs (8 fields, CPython 3.11). They hold no reference cycles.


class Trade(msgspec.Struct, frozen=True, gc=False):
    """One execution. ``sequence`` obeys the venue's continuity rule; ``order`` only rises."""

    label: str  # the venue's own name of this type of message, a constant
    topic: str  # the subscription it belongs to, as `Venue.topic` spells it
    symbol: str
    time: float | None
    price: float
    size: float
    side: Side | None = None
    sequence: int | None = None
    order: int | None = None
    snapshot: bool = False  # repeated history sent on subscribing, not news


class Quote(msgspec.Struct, frozen=True, gc=False):
    """Best bid and ask."""

    label: str
    topic: str
    symbol: str
    time: float | None
    bid: float
    ask: float
    bid_size: float | None = None
    ask_size: float | None = None
    sequence: int | None = None


class Depth(msgspec.Struct, frozen=True, gc=False):
    """A book snapshot or delta. ``levels`` stays undecoded: only who builds books pays for it.

    ``first`` and ``last`` bound the updates inside; ``previous`` names the ``last`` of the frame
    before. What a venue does not send is None.
    """

    label: str
    topic: str
    symbol: str
    time: float | None
    levels: object  # for `Venue.levels` alone
    snapshot: bool = False
    first: int | None = None
    last: int | None = None
    previous: int | None = None
    order: int | None = None
    checksum: int | None = None


class BookSide(StrEnum):
    """A side of an order book; the label ``side``. Who buys takes from the asks."""

    BID = "bid"
    ASK = "ask"


class SizeUnit(StrEnum):
    """What the sizes of a book count."""

    BASE = "base"  # so that price times size is an amount of the quote currency
    QUOTE = "quote"  # contracts of one unit of the quote currency


class Kline(msgspec.Struct, frozen=True, gc=False):
    """A candle, still open or closed."""

    label: str
    topic: str
    symbol: str
    time: float | None
    start: float
    close: float
    closed: bool | None = None


class Message(msgspec.Struct, frozen=True, gc=False):
    """A sign of life of one subscription that tells nothing to count.

    A quote with an empty side, a trade that the venue documents as none of the market (it may
    take a number all the same), a frame of which nothing is known but that it came.
    """

    label: str
    topic: str
    symbol: str
    time: float | None = None
    sequence: int | None = None
    order: int | None = None


class Ack(msgspec.Struct, frozen=True, gc=False):
    """The answer to a subscribe request: names the ``request``, the ``topics``, or both.

    ``topics`` may be all that is active by now (Coinbase) rather than what was asked last.
    """

    label: str
    ok: bool = True
    request: int | None = None
    topics: tuple[str, ...] = ()
    reason: str = ""  # for the log only, cut to 200 characters
    depth: int | None = None  # levels a side of a book, where the venue names what it agreed to


class Control(msgspec.Struct, frozen=True, gc=False):
    """A heartbeat, pong, welcome or status frame: proof of life of the connection, not of data.

    ``reply`` is a frame to send back at once; ``ready`` opens a connection that must be welcomed
    first; ``reconnect`` announces that the server will soon close; ``data`` tells market data that
    gives no event: levels of an unknown market, a channel that is not subscribed to. ``missed``
    counts messages that did not come, by numbers that run over the whole connection. ``unknown``:
    ``label`` is the wire's word for a kind that the reader has no name for; people are shown it.
    ``time`` is the event's, in epoch seconds, for summaries of recordings alone.
    """

    label: str
    reply: str | None = None
    ready: bool = False
    reconnect: bool = False
    maintenance: Maintenance | None = None
    data: bool = False
    missed: int = 0
    time: float | None = None
    unknown: bool = False


Data: TypeAlias = Trade | Quote | Depth | Kline | Message
Event: TypeAlias = Data | Ack | Control


class Continuity(Enum):
    """How the numbers of two consecutive messages of one topic must relate."""

    NONE = "none"
    CONTIGUOUS = "contiguous"  # first == previous last + 1
    LINKED = "linked"  # its `previous` == previous last
    OVERLAPPING = "overlapping"  # first <= previous last + 1 and last > previous last
    RISING = "rising"  # must not go down; skips are no gap


@dataclass(frozen=True, slots=True)
class Market:
    """One tradable market: the venue's ``symbol`` and our ``instrument`` (``BTC-USDT``).

    ``product`` None: the class that BASE-QUOTE stands for at the venue, or what the name says.
    ``alias`` is what other REST answers call it, where that is something else.
    """

    symbol: str
    instrument: str
    product: Product | None = None
    alias: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One channel of one instrument, as asked from one exchange."""

    exchange: str
    channel: Channel
    instrument: str
    symbol: str
    topic: str
    product: Product = Product.SPOT


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketState:
    """What a market looks like over REST at one moment, as far as one channel tells of it.

    ``state`` becomes another whenever the channel had something to say; ``time`` is when it last
    had, in epoch seconds of the venue's clock, None where the answer does not name it.
    """

    state: tuple[object, ...]
    time: float | None = None


class TradingMode(StrEnum):
    """What customers may do, from all to least; a restriction is no maintenance.

    Of a whole venue, or of one market. A word that we do not know is no reason to trade.
    """

    TRADING = "trading"
    AUCTION = "auction"  # orders are taken, and matched at the end
    LIMIT_ONLY = "limit_only"
    POST_ONLY = "post_only"
    REDUCE_ONLY = "reduce_only"
    UNKNOWN = "unknown"  # the venue uses a word that is not known here
    CANCEL_ONLY = "cancel_only"
    HALTED = "halted"
    ABSENT = "absent"  # of one market: it is not listed


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedMarkets:
    """What an exchange watches of its venue, so that notices can be matched with it."""

    instruments: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()  # the same in the venue's spelling
    stream_url: str = ""  # which names the product at some venues
    products: frozenset[Product] = frozenset()


EVERYTHING = WatchedMarkets()


class Need(StrEnum):
    """What a gate asks of an exchange; the label ``reason`` of what keeps it closed."""

    PROBE = "probe"  # every endpoint answers
    FEED = "feed"  # every subscription of the symbols has news
    BOOK = "book"  # every order book of the symbols can be trusted
    CLOCK = "clock"  # the venue's clock is near ours
    MODE = "mode"  # no maintenance, and trading is not restricted
    LIQUIDITY = "liquidity"  # the order books of the symbols hold about what is usual


class NoticeKind(StrEnum):
    """What a notice tells of."""

    MAINTENANCE = "maintenance"  # planned
    INCIDENT = "incident"  # a fault that the venue admits


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A maintenance that is announced or a fault that is admitted; times in epoch seconds.

    None where the venue does not say: ``declared`` is when it made this public.
    """

    kind: NoticeKind
    title: str
    start: float | None = None
    end: float | None = None
    declared: float | None = None
    id: str = ""  # the venue's, empty where it has none
    url: str = ""  # for people

    @property
    def key(self) -> str:
        """What tells it from other notices of the same source, while it stands."""
        return self.id or f"{self.kind}/{self.title}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """What a venue says of itself; times in epoch seconds, None when it does not say."""

    active: bool
    end: float | None = None
    title: str = ""
    mode: TradingMode | None = None  # the most restricted of what is watched
    start: float | None = None  # of the next one that is announced
    incident: str = ""  # faults that the venue admits: no maintenance, whatever it calls them
    notices: tuple[Notice, ...] = ()  # one by one, where the venue lists them


# --- probes -----------------------------------------------------------------------------------


class Reason(StrEnum):
    """Why a probe failed; a closed set, because it becomes a label."""

    DNS = "dns"
    CONNECT_REFUSED = "connect_refused"
    CONNECT_TIMEOUT = "connect_timeout"
    UNREACHABLE = "unreachable"  # no way to its network, as a router or our own system says
    TLS = "tls"
    CERT_EXPIRED = "cert_expired"
    READ_TIMEOUT = "read_timeout"
    RESET = "reset"  # it, or somebody on the way, broke the connection off
    CLOSED = "closed"  # it closed the connection without an answer
    REDIRECT = "redirect"  # 301, 302, 303, 307 or 308: it is elsewhere
    HTTP_4XX = "http_4xx"
    RATE_LIMITED = "rate_limited"
    BANNED = "banned"
    REGION_REFUSED = "region_refused"
    HTTP_5XX = "http_5xx"
    BODY_INVALID = "body_invalid"
    BARE_LINE_FEED = "bare_line_feed"  # lines of its head end in LF where CR LF belongs
    LOCAL_RESOURCE = "local_resource"  # descriptors, buffers or ports of our own ran out
    OTHER = "other"


class Skip(StrEnum):
    """Why a probe that was due was not sent: "not probed" is not "up"."""

    BREAKER_OPEN = "breaker_open"
    RATE_BUDGET = "rate_budget"  # no room in the limits until its next turn
    BANNED = "banned"  # the exchange told us to stay away
    QUEUE_FULL = "queue_full"  # no slot of ours (probes.concurrency) came free until its next turn
    LOCAL_NETWORK = "local_network"
    MAINTENANCE = "maintenance"


class Phase(StrEnum):
    """The parts of one request, in order."""

    RESOLVE = "resolve"
    CONNECT = "connect"
    TLS = "tls"
    PROCESSING = "processing"
    TRANSFER = "transfer"


class Circuit(StrEnum):
    """The states of a circuit breaker."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What an answer must satisfy: one test of its body, of what stands at a path or in a header.

    ``path`` is dotted, list positions as numbers (``result.list.0.symbol``). ``within`` (seconds)
    is how old or far ahead a time may be.
    """

    path: str | None = None
    header: str | None = None  # in lower case
    equals: object = None
    exists: bool | None = None
    less_than: float | None = None
    within: float | None = None
    contains: str | None = None
    matches: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSource:
    """Where an answer tells the time: at a path of its JSON, else in its Date header."""

    path: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceRule:
    """What an answer says while there is maintenance; ``title`` and ``end`` are paths."""

    when: Expectation
    title: str | None = None
    end: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One endpoint of one exchange, ready to be probed. Durations in seconds, sizes in bytes."""

    exchange: str
    endpoint: str
    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    interval: float = 10.0
    timeout: float = 5.0
    statuses: frozenset[int] = frozenset({200})
    expect: tuple[Expectation, ...] = ()
    body: bytes | None = None
    sent: tuple[str, ...] = ()  # what else of the request may be secret
    body_limit: int = 1 << 20
    weight: int = 1
    listed: bool = False  # one of the venue's own, by its name
    apart: bool = False  # at an address of its own: judged by `expect` alone, charged to no limit
    clock: ClockSource | None = None
    maintenance: MaintenanceRule | None = None

    @property
    def hidden(self) -> tuple[str, ...]:
        """What no text about an answer may repeat."""
        return (*self.headers.values(), *self.sent)


@dataclass(frozen=True, slots=True)
class ConnectAttempt:
    """What came of trying to connect to one address, after ``duration`` seconds.

    ``outcome`` is "connected", "slower" (than the one that won), "no answer", or an error's words.
    """

    address: str
    duration: float
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back over HTTP. ``body`` is cut at the caller's limit."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    new_connection: bool
    phases: Mapping[Phase, float]  # seconds; the connection's own phases only when it is new
    addresses: tuple[str, ...] = ()  # all that the name resolved to; empty when not resolved anew
    certificate_end: float | None = None  # epoch seconds; None without TLS
    chain_end: float | None = None  # of the certificate in its chain that ends first
    attempts: tuple[ConnectAttempt, ...] = ()  # to connect; none where a connection was kept
    unread: float = 0.0  # seconds that its end lay in the kernel before we came to read it


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """The outcome of one probe. ``duration`` and ``late`` in seconds, ``time`` epoch seconds."""

    exchange: str
    endpoint: str
    time: float  # wall clock when the request was started
    duration: float
    late: float = 0.0  # start minus due time: coordinated omission is counted, not hidden
    reason: Reason | None = None  # None: it succeeded
    answer: Answer | None = None
    retry_after: float | None = None  # seconds from `time` + `duration`
    clock: float | None = None  # the venue's own time in its answer, epoch seconds
    maintenance: Maintenance | None = None
    certificate_end: float | None = None  # kept from failed handshakes too
    chain_end: float | None = None
    attempts: tuple[ConnectAttempt, ...] = ()  # to connect, address by address
    detail: str = ""  # for logs and evidence, never a label

    @property
    def ok(self) -> bool:
        """Return whether the endpoint did what was expected of it."""
        return self.reason is None


# --- streams ----------------------------------------------------------------------------------


class Lost(StrEnum):
    """Why a stream's connection ended."""

    SERVER_CLOSE = "server_close"
    PING_TIMEOUT = "ping_timeout"
    IDLE = "idle"
    STALE_SUBSCRIPTION = "stale_subscription"
    SEQUENCE_GAP = "sequence_gap"
    PROTOCOL_ERROR = "protocol_error"
    NETWORK = "network"
    LOCAL_RESOURCE = "local_resource"  # descriptors, buffers or ports of our own ran out
    PLANNED = "planned"
    SHUTDOWN = "shutdown"


class SubscriptionState(StrEnum):
    """How far one subscription has come; the label ``state``."""

    REQUESTED = "requested"  # wanted of the venue: asked for, or waiting for its turn to be
    ACKED = "acked"  # the venue agreed, and sent nothing yet
    LIVE = "live"
    STALE = "stale"  # silent for longer than is normal for it
    REJECTED = "rejected"


class SilenceVerdict(StrEnum):
    """What REST says of a subscription that is silent; the label ``verdict``."""

    MOVED = "moved"  # the market had news that the stream did not bring
    QUIET = "quiet"  # there was none
    UNKNOWN = "unknown"  # no answer, or none that could be read


class Resync(StrEnum):
    """Why a local order book had to be built anew."""

    START = "start"
    GAP = "gap"
    CHECKSUM = "checksum"
    CROSSED = "crossed"
    AUDIT = "audit"


class QueuePolicy(StrEnum):
    """What a full queue does with one item more."""

    BLOCK = "block"
    DROP_OLDEST = "drop_oldest"
    DROP_NEWEST = "drop_newest"
    COALESCE = "coalesce"
    SPILL = "spill"  # to disk, and the newest is dropped when there is no room there either


# --- metrics ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A metric family: its public name, what it means, its labels and, for histograms, buckets.

    ``fold`` makes one value of a gauge's many symbols where they have no series of their own.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram", "info"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    fold: Literal["min", "max"] | None = None


# --- judgement --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Series:
    """One row of a tick: a signal of an exchange."""

    exchange: str
    signal: str


Floats: TypeAlias = npt.NDArray[np.float64]
# What a detector remembers: named arrays whose first axis is the series, so that anyone can cut
# them into chunks (views), carry rows over a reload, or write them to disk.
Memory: TypeAlias = dict[str, Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What all detectors say of all series in one tick; rows of ``score`` are detectors.

    ``score`` has shape (d, n), finite, 1.0 is the threshold, 0.0 where nothing can be said.
    ``ready`` (d, n): enough was learnt to judge. ``measured`` (n,): there was a value to judge;
    where it is False the score is no news, and a gauge of it should be taken away.
    """

    score: Floats
    ready: npt.NDArray[np.bool_]
    measured: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One measured quantity of an exchange, in the closed list of signals; the label ``signal``.

    ``effect`` is the smallest departure worth a page, in ``unit``, and ``share`` the same as a
    share of the usual value; both must be reached. ``resolution`` is the smallest step that means
    anything: a series that only wiggles within it counts as flat.
    """

    name: str
    title: str  # as it stands in a sentence: "probe latency"
    unit: str  # "s", "ratio", "1/s"
    effect: float
    resolution: float
    share: float = 0.0
    low: bool = False  # whether a departure downward is bad
    high: bool = True  # whether a departure upward is bad
    age: bool = False  # whether it grows by itself until something happens
    sensitivity: float = 1.0  # what its scores are multiplied by
    relative: bool = False  # whether it varies by factors: never negative, judged by its logarithm


class Severity(StrEnum):
    """How soon a person must act: critical now, warning within a day; the label ``severity``."""

    WARNING = "warning"
    CRITICAL = "critical"


class Change(StrEnum):
    """What a verdict says of an incident."""

    OPENED = "opened"
    WORSENED = "worsened"  # it became critical
    CLOSED = "closed"
    LOST = "lost"  # closed because the series is no longer measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Why a verdict was reached. Numbers in the signal's unit; bounds are where the score is 1.0.

    ``detectors`` gives the score of each detector that is at or over its threshold. ``aspect`` is
    what is furthest from usual, and ``apart`` by how much; ``once`` is the time in seconds in
    which so rare a value is expected once.
    """

    value: float
    center: float
    lower: float
    upper: float
    score: float
    detectors: Mapping[str, float]
    aspect: str = ""
    apart: float | None = None
    once: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Aspect:
    """What of a series is furthest from usual, by how much in its unit, and how rare that is."""

    name: str
    apart: float
    once: float  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One decision about one series. Times are epoch seconds; ``since`` is the first breach."""

    series: Series
    change: Change
    severity: Severity
    time: float
    since: float
    evidence: Evidence
    sentence: str  # for people, with units


# --- what people are told ---------------------------------------------------------------------


class Level(StrEnum):
    """How urgent an alert is, from its label ``severity``; orders from most to least."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class Occasion(StrEnum):
    """Why people are told something of an incident."""

    FIRING = "firing"
    UPDATE = "update"  # more alerts joined, or it became worse
    REMINDER = "reminder"
    RESOLVED = "resolved"
    LOST = "lost"  # it stopped firing because there is no data any more
    FLAPPING = "flapping"  # comes and goes: nothing more is told until it stays as it is
    SETTLED = "settled"  # flapping is over
    DIGEST = "digest"  # what was held back, added up
    TRIAGE = "triage"
    TEST = "test"


class Alert(msgspec.Struct, frozen=True, omit_defaults=True):
    """One alert of an incident, every text of it clean and bounded. Times in epoch seconds."""

    fingerprint: str
    firing: bool
    start: float
    end: float | None = None
    name: str = ""
    exchange: str = ""
    level: Level = Level.WARNING
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


class Notification(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one request tells one receiver: rendered, split to fit, safe to show.

    ``incident`` is the same for all notes of one incident. ``title`` and ``fields`` repeat in
    parts what ``texts`` say; ``alerts`` and ``body`` are for receivers that are programs.
    """

    occasion: Occasion
    level: Level
    incident: str
    title: str
    texts: tuple[str, ...]
    time: float  # epoch seconds
    resolved: bool = False
    fields: tuple[tuple[str, str], ...] = ()
    link: str = ""
    triage: str = ""
    alerts: tuple[Alert, ...] = ()
    body: str | None = None  # rendered from the receiver's own template of the whole body


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """An HTTP request, ready to send."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The provider has it. ``id`` is the provider's; ``pause`` are seconds it wants quiet now."""

    id: str = ""
    pause: float = 0.0


@dataclass(frozen=True, slots=True)
class Retry:
    """Not delivered yet, worth another try. ``after`` (seconds): the provider said when.

    ``unsure``: it may have been taken all the same.
    """

    reason: str
    after: float | None = None
    unsure: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Never deliverable as it is. ``gone``: the account or address itself is not accepted."""

    reason: str
    gone: bool = False


Outcome: TypeAlias = Delivered | Retry | Refused
