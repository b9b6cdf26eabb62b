"""Values that the packages exchange: market data, probes, streams. No I/O, no clock, no state.

Times are seconds since the Unix epoch as ``float`` (``time``, ``received``) or seconds of a
monotonic clock (``now``), never one minus the other. Prices and sizes are in the instrument's
own units (quote and base currency).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Final, Literal, TypeAlias

import msgspec

from exporter.instrument import Product
from exporter.listing import ListedMarket
from exporter.maintenance import Maintenance

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
    """One execution. ``sequence`` obeys the venue's continuity rule; ``order`` never falls."""

    label: str  # the venue's own name of this type of message, a constant
    topic: str  # the subscription it belongs to, as `Venue.topic` spells it
    symbol: str
    time: float | None
    price: float
    size: float
    side: Side | None = None
    sequence: int | None = None
    order: int | None = None
    snapshot: bool = False  # history that is repeated on subscribing


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
    """A book snapshot or delta. ``levels`` stays undecoded: only an order book needs them.

    ``first`` and ``last`` are the first and last update numbers inside, ``previous`` is the
    ``last`` of the frame before. None where the venue does not send it.
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
    """A side of an order book; the label ``side``. A buyer takes from the asks."""

    BID = "bid"
    ASK = "ask"


class SizeUnit(StrEnum):
    """The unit of the sizes in a book."""

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
    """A message of one subscription that shows that it is alive and carries nothing to count.

    For example a quote with an empty side, a trade that the venue documents as outside of the
    market (which may still have a sequence number), a frame whose content is not known.
    """

    label: str
    topic: str
    symbol: str
    time: float | None = None
    sequence: int | None = None
    order: int | None = None


class Ack(msgspec.Struct, frozen=True, gc=False):
    """The answer to a subscribe request: names the ``request``, the ``topics``, or both.

    ``topics`` may be all that are active now (Coinbase) rather than the ones of this request.
    """

    label: str
    ok: bool = True
    request: int | None = None
    topics: tuple[str, ...] = ()
    reason: str = ""  # for the log only, cut to 200 characters
    depth: int | None = None  # levels a side of a book, where the venue confirms them


class Control(msgspec.Struct, frozen=True, gc=False):
    """A heartbeat, pong, welcome or status frame: the connection is alive; it carries no data.

    ``reply`` is a frame to send back at once. ``ready``: the venue's welcome, without which
    nothing may be sent. ``reconnect``: the server announces that it will close soon. ``data``:
    market data that gives no event (levels of an unknown market, a channel that is not subscribed
    to). ``missed`` counts missing messages, by sequence numbers of the whole connection.
    ``unknown``: ``label`` is the venue's name of a message type that the parser does not know.
    ``markets``: what may be done in some markets now, on a venue's `StateStream` alone.
    ``time`` is the event's, in epoch seconds, and used only in summaries of recordings.
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
    markets: tuple[ListedMarket, ...] = ()


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

    ``product`` None: the product that BASE-QUOTE means at the venue, or what the name says.
    ``alias`` is its symbol in other REST answers, where they use another one.
    """

    symbol: str
    instrument: str
    product: Product | None = None
    alias: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One channel of one instrument of one exchange."""

    exchange: str
    channel: Channel
    instrument: str
    symbol: str
    topic: str
    product: Product = Product.SPOT


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketState:
    """The state of a market over REST at one moment, as one channel would publish it.

    ``state`` changes whenever the channel has news; ``time`` is that of the last news, in epoch
    seconds of the venue's clock, None where the answer does not have it.
    """

    state: tuple[object, ...]
    time: float | None = None


class Need(StrEnum):
    """A condition that a gate can require; the label ``reason`` where it keeps the gate closed."""

    PROBE = "probe"  # every endpoint answers
    FEED = "feed"  # every subscription of the symbols receives data
    BOOK = "book"  # every order book of the symbols can be trusted
    CLOCK = "clock"  # the venue's clock is near ours
    MODE = "mode"  # no maintenance, and trading is not restricted
    LIQUIDITY = "liquidity"  # the order books of the symbols are about as deep as usual


# --- probes -----------------------------------------------------------------------------------


class Reason(StrEnum):
    """Why a probe failed; a closed set, because it becomes a label."""

    DNS = "dns"
    CONNECT_REFUSED = "connect_refused"
    CONNECT_TIMEOUT = "connect_timeout"
    UNREACHABLE = "unreachable"  # no route to its network, by a router or our own system
    TLS = "tls"
    CERT_EXPIRED = "cert_expired"
    READ_TIMEOUT = "read_timeout"
    RESET = "reset"  # by the server or by something in between
    CLOSED = "closed"  # the server closed the connection without an answer
    REDIRECT = "redirect"  # 301, 302, 303, 307 or 308
    HTTP_4XX = "http_4xx"
    RATE_LIMITED = "rate_limited"
    BANNED = "banned"
    REGION_REFUSED = "region_refused"
    HTTP_5XX = "http_5xx"
    BODY_INVALID = "body_invalid"
    BARE_LINE_FEED = "bare_line_feed"  # lines of its head end in LF where CR LF belongs
    LOCAL_RESOURCE = "local_resource"  # our own host is out of descriptors, buffers or ports
    OTHER = "other"


class Skip(StrEnum):
    """Why a probe that was due was not sent: "not probed" is not "up"."""

    BREAKER_OPEN = "breaker_open"
    RATE_BUDGET = "rate_budget"  # no budget in the rate limits until the next probe is due
    BANNED = "banned"  # the exchange banned us for some time
    QUEUE_FULL = "queue_full"  # no free slot (probes.concurrency) until the next probe is due
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
    """One condition that an answer must meet: of its body, the value at a path, or a header.

    ``path`` is dotted, with list positions as numbers (``result.list.0.symbol``). ``within``
    (seconds) is how far in the past or future a time may be.
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
    """Where an answer has the venue's time: at a path of its JSON, else in its Date header."""

    path: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceRule:
    """The condition that an answer meets during maintenance; ``title`` and ``end`` are paths."""

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
    sent: tuple[str, ...] = ()  # other parts of the request that may be secret
    body_limit: int = 1 << 20
    weight: int = 1
    listed: bool = False  # one of the venue's own endpoints, configured by its name
    apart: bool = False  # at another address: checked by `expect` only, counts against no limit
    clock: ClockSource | None = None
    maintenance: MaintenanceRule | None = None

    @property
    def hidden(self) -> tuple[str, ...]:
        """Return the secrets that no text about an answer may contain."""
        return (*self.headers.values(), *self.sent)


@dataclass(frozen=True, slots=True)
class ConnectAttempt:
    """One attempt to connect to one address, which ended after ``duration`` seconds.

    ``outcome`` is "connected", "slower" (than the one in use), "no answer", or an error's text.
    """

    address: str
    duration: float
    outcome: str


# Seconds for which we may be late with what was measured: with more, it is not published.
TAINTED: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP response. ``body`` is cut at the caller's limit."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    new_connection: bool
    phases: Mapping[Phase, float]  # seconds; the connection's own phases only when it is new
    addresses: tuple[str, ...] = ()  # that the name resolved to; empty on a reused connection
    certificate_end: float | None = None  # epoch seconds; None without TLS
    chain_end: float | None = None  # of the certificate in its chain that ends first
    attempts: tuple[ConnectAttempt, ...] = ()  # to connect; none on a reused connection
    unread: float = 0.0  # seconds that its end waited in the kernel's buffer until it was read
    held: float = 0.0  # seconds before the request for which we waited for a place, or were late
    late: float = 0.0  # seconds for which what had arrived waited for us, all in all


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """The outcome of one probe. ``duration`` and ``late`` in seconds, ``time`` epoch seconds."""

    exchange: str
    endpoint: str
    time: float  # wall clock when the request was started
    duration: float
    late: float = 0.0  # start minus due time, so that coordinated omission shows
    reason: Reason | None = None  # None: it succeeded
    answer: Answer | None = None
    retry_after: float | None = None  # seconds from `time` + `duration`
    clock: float | None = None  # the venue's own time in its answer, epoch seconds
    maintenance: Maintenance | None = None
    certificate_end: float | None = None  # epoch seconds, also of failed handshakes
    chain_end: float | None = None
    attempts: tuple[ConnectAttempt, ...] = ()  # to connect, address by address
    detail: str = ""  # for logs and evidence, never a label

    @property
    def ok(self) -> bool:
        """Return whether the endpoint answered as expected."""
        return self.reason is None

    @property
    def tainted(self) -> bool:
        """Return whether we were too late ourselves for the duration to be the exchange's."""
        return self.answer is not None and self.answer.late > TAINTED


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
    LOCAL_RESOURCE = "local_resource"  # our own host is out of descriptors, buffers or ports
    PLANNED = "planned"
    SHUTDOWN = "shutdown"


LATE = 1.0  # seconds under way, from which market data is late


class SubscriptionState(StrEnum):
    """The state of one subscription; the label ``state``."""

    REQUESTED = "requested"  # the request is sent, or waits to be sent
    ACKED = "acked"  # confirmed by the venue, no data yet
    LIVE = "live"
    STALE = "stale"  # silent for longer than is normal for it
    REJECTED = "rejected"


class SilenceVerdict(StrEnum):
    """The result of checking a silent subscription over REST; the label ``verdict``."""

    MOVED = "moved"  # the market has news that the stream did not deliver
    QUIET = "quiet"  # the market has no news either
    UNKNOWN = "unknown"  # no answer, or one that could not be parsed


class Resync(StrEnum):
    """Why a local order book had to be rebuilt from a snapshot."""

    START = "start"
    GAP = "gap"
    CHECKSUM = "checksum"
    CROSSED = "crossed"
    AUDIT = "audit"


class QueuePolicy(StrEnum):
    """What a full queue does with one more item."""

    BLOCK = "block"
    DROP_OLDEST = "drop_oldest"
    DROP_NEWEST = "drop_newest"
    COALESCE = "coalesce"
    SPILL = "spill"  # to disk; when the disk's share is full, the newest is dropped


# --- metrics ----------------------------------------------------------------------------------


Fold: TypeAlias = Literal["min", "max", "farthest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A metric family: its name, its HELP text, its labels and, for histograms, its buckets.

    ``fold`` is how the symbols of a gauge are aggregated where they have no series of their own;
    "farthest" is the one that is farthest from zero.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram", "info"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    fold: Fold | None = None
