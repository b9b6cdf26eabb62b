"""The verbs: what each room promises to the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Final, Literal, Protocol, TypeAlias, runtime_checkable
from urllib.parse import quote

from exporter.instrument import Product
from exporter.listing import MarketStates, PerpetualList, VolumeLists
from exporter.maintenance import Maintenance, WatchedMarkets
from exporter.model import (
    Answer,
    Channel,
    ConnectAttempt,
    Continuity,
    Depth,
    Event,
    Lost,
    Market,
    MarketState,
    Reason,
    SizeUnit,
)
from exporter.notification import HttpRequest, Notification, Outcome
from exporter.signals import Aspect, Floats, Memory

# --- venues -----------------------------------------------------------------------------------


class ReadStatus(Protocol):
    """Reads what a venue says of itself, as far as it concerns what is watched."""

    def __call__(self, body: bytes, watched: WatchedMarkets = ...) -> Maintenance: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A REST endpoint that a venue offers for health checks. Durations in seconds."""

    name: str
    path: str  # joined to the base URL; `{symbol}` stands for the first configured symbol
    method: str = "GET"
    json: object = None  # body to send as JSON
    weight: int = 1
    interval: float = 10.0
    pace: float = 0.0  # between two requests at least, where the venue limits this one by itself
    clock: Callable[[bytes], float] | None = None  # body → the venue's time, epoch seconds
    status: ReadStatus | None = None
    default: bool = True  # probed when the config names no endpoints


@dataclass(frozen=True, slots=True, kw_only=True)
class RestLimit:
    """A documented limit of REST requests per client address, in weight per window."""

    name: str
    weight: int
    window: float  # seconds
    used_header: str | None = None  # answers name the weight used so far in this header
    untrusted: tuple[str, ...] = ()  # paths whose answers name a wrong one
    remaining_header: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prelude:
    """A REST request that must be answered before the socket is opened (a token, say)."""

    path: str
    method: str
    read: Callable[[bytes], str]  # body → URL to connect to
    weight: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceRule:
    """One row of a venue's table of numbers that must follow each other, topic by topic.

    ``attribute`` names what the event carries the number in; ``span`` stands for a Depth's
    ``first``, ``last`` and ``previous``.
    """

    name: str  # as summaries and documents call it
    labels: tuple[str, ...]  # the messages that carry the number
    continuity: Continuity
    attribute: Literal["sequence", "order", "span"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BookRules:
    """How a venue's book is kept in step.

    ``levels`` decodes `Depth.levels` into (bids, asks) of (price, size): floats, or the wire's
    text where there is a ``checksum``. ``depth`` is how many levels a side the venue sends and
    forgets beyond, unless its `Ack` says otherwise; None: all of them. ``weight`` is that of one
    snapshot by REST. ``whole``: every message tells all of the book, and is news. ``units``: what
    sizes count, by class of market; others count contracts of unknown worth.
    """

    levels: Callable[[Depth], tuple[Sequence[tuple[object, ...]], Sequence[tuple[object, ...]]]]
    snapshot_path: str | None = None  # None: the stream itself begins with a snapshot
    read_snapshot: Callable[[bytes, str, str], Depth] | None = None  # body, topic, symbol
    checksum: Callable[[Sequence[tuple[str, str]], Sequence[tuple[str, str]]], int] | None = None
    depth: int | None = None
    weight: int = 1
    whole: bool = False
    units: Mapping[Product, SizeUnit] = field(default_factory=lambda: {Product.SPOT: SizeUnit.BASE})


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossCheck:
    """Where REST shows whether a channel of a symbol had anything to say, one request each.

    ``spell`` turns the streams' spelling of a symbol into the REST API's. ``body``, where the
    question is posted, makes what is sent as JSON.
    """

    path: str  # joined to the base URL; {symbol} and {lower} stand for the symbol
    read: Callable[[bytes], MarketState]
    body: Callable[[str], object] | None = None
    spell: Callable[[str], str] = str
    weight: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StateStream:
    """The stream on which a venue says what may be done in its markets before its lists do.

    It has a connection of its own, to ``url`` of one of the venue's addresses. ``subscribe``
    makes the frames to send first, by what is watched; ``begin`` makes the reader of one
    connection, whose `Control` events carry markets or a maintenance. A frame need not have all
    markets, nor say of one all that a list does.
    """

    url: Callable[[str], str]
    subscribe: Callable[[WatchedMarkets], tuple[str, ...]]
    begin: Callable[[WatchedMarkets], Callable[[bytes], tuple[Event, ...]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueSite:
    """Where the customers of one region reach a venue. Of several addresses each serves all."""

    rest_urls: tuple[str, ...]  # the first is probed, the others are for failover
    stream_urls: tuple[str, ...]  # the first is preferred, the others are for failover


def _all_together(topic: str) -> str:
    return ""


def _nothing_wrong(answer: Answer) -> Reason | None:
    return None


@dataclass(frozen=True, slots=True)
class VenueFact:
    """What a venue file relies on, where that was read, and when: ``2026-10`` or ``2026-10-31``."""

    what: str
    source: str
    read: str


Parse: TypeAlias = Callable[[bytes], tuple[Event, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """One exchange's public protocol: tables and pure functions, no socket, no state.

    What one venue does differently is a field that all venues have, so that no other file names
    a venue. ``parse`` gives the events of one frame in wire order, or raises ParseError.
    """

    name: str
    title: str
    # REST
    rest_url: str
    other_rest_urls: tuple[str, ...] = ()  # each serves all that the first does: for failover
    regions: Mapping[str, VenueSite] = field(default_factory=dict)  # other sites, by name
    endpoints: tuple[Endpoint, ...]
    fault: Callable[[Answer], Reason | None] = _nothing_wrong  # what an HTTP 200 may hide
    rest_limits: tuple[RestLimit, ...] = ()
    # Where markets are listed. `more_markets`: those of other classes than the usual one.
    markets_path: str | None = None
    more_markets: Mapping[Product, tuple[str, ...]] = field(default_factory=dict)
    read_markets: Callable[[bytes], tuple[Market, ...]] | None = None
    markets_weight: int = 1  # of one list
    volumes: VolumeLists | None = None
    states: MarketStates | None = None  # None: a market that is listed is traded
    state_stream: StateStream | None = None
    # Of classes with perpetuals: the lists that together tell their prices and funding.
    perpetuals: Mapping[Product, tuple[PerpetualList, ...]] = field(default_factory=dict)
    status_page: str | None = None  # base URL of a statuspage.io site
    # WebSocket
    stream_urls: tuple[str, ...]  # the first is preferred, the others are for failover
    connection_limit: RestLimit | None = None  # attempts to connect, of one client address
    routes: Mapping[Channel, str] = field(
        default_factory=dict
    )  # path appended to the base URL; {symbol}, {lower}
    topics: Mapping[Channel, str]  # templates with {symbol} and {lower}
    # Of classes of markets that have other streams than most: what stands in place of `topics`.
    product_topics: Mapping[Product, Mapping[Channel, str]] = field(default_factory=dict)
    # topics, request id → frame, "" where nothing needs to be said
    subscribe: Callable[[Sequence[str], int], str]
    unsubscribe: Callable[[Sequence[str], int], str]
    parse: Parse
    decode: Callable[[bytes], bytes] | None = None  # undoes the venue's own compression, bounded
    # For frames that only what came before on their connection explains (numbers of channels):
    # makes the reader of one connection. `parse` then reads a frame as the first of its connection.
    begin: Callable[[], Parse] | None = None
    # For frames that name no market: binds a reader to the URL of its connection, which does.
    addressed: Callable[[Parse, str], Parse] | None = None
    sequences: tuple[SequenceRule, ...] = ()
    book: BookRules | None = None
    cross_checks: Mapping[Channel, CrossCheck] = field(default_factory=dict)
    prelude: Prelude | None = None
    opening: tuple[str, ...] = ()  # frames to send first, once on each connection
    asks: bool = True  # False: nothing is asked for, and only another connection mends a silence
    welcomed: bool = False  # wait for Control.ready before the first request
    acks: bool = True  # False: subscribe requests are not answered, data alone says that they took
    answers_numbered: bool = True  # False: no id in answers, so one request at a time is asked
    ping: Callable[[int], str] | None = None  # the client's own keepalive, by running number
    ping_every: float = 20.0
    timed: bool = False  # "$time" and "$time_ms" in frames stand for the time of sending
    lifetime: float | None = None  # seconds until the server disconnects by rule
    topics_per_request: int = 50
    request_group: Callable[[str], str] = _all_together  # topics of one request agree in this
    topics_per_connection: int = 200
    request_length: int | None = None  # characters of a subscribe frame
    requests_per_second: float = 4.0
    # Classes of markets: what BASE-QUOTE stands for, and the venue's own names of the classes,
    # where they are part of paths: `{category}` over REST, the last segment of a stream's URL.
    plain: Product = Product.SPOT
    categories: Mapping[Product, str] = field(default_factory=dict)
    # Symbols
    # Our instrument → the venue's spelling. Raises UnlistedError for kinds that it does not have.
    symbol: Callable[[str], str]
    # Recordings: URLs that belong to this venue, retired ones too, as host or host/path; of
    # several that fit a URL the longest wins
    hosts: tuple[str, ...] = ()
    # Documentation
    timestamps: Mapping[Channel, str] = field(default_factory=dict)  # which clock `time` reads
    # Documented time between two messages of a topic while its market moves, seconds; `facts` say
    # where each was read.
    cadences: Mapping[Channel, float] = field(default_factory=dict)
    source: str
    facts: tuple[VenueFact, ...] = ()  # each with its own source and date
    edition: str = ""  # of a definition: another whenever its file is
    checked: str = "documentation"  # "recording", "documentation" or "unsure"
    unsure: tuple[str, ...] = ()

    def reader(self, url: str = "") -> Parse:
        """Return what turns the frames of one connection, as they were received, into events."""
        parse, decode = self.parse if self.begin is None else self.begin(), self.decode
        if self.addressed is not None:
            parse = self.addressed(parse, url)
        return parse if decode is None else lambda frame: parse(decode(frame))

    def route(self, channel: Channel, product: Product, symbol: str) -> tuple[str, str]:
        """Return what tells one kind of connection from another: a category, and a path."""
        path = self.routes.get(channel, "")
        filled = rest_path(path, symbol) if "{" in path else path
        return self.categories.get(product, ""), filled

    def stream_url(self, base: str, route: tuple[str, str]) -> str:
        """Return the URL of one kind of connection below one of the venue's addresses."""
        category, path = route
        last = base.rpartition("/")[2]
        if category and last in self.categories.values():
            base = base.removesuffix(last) + category
        return base + path

    def place(self, path: str, symbol: str, product: Product) -> str:
        """Return a REST path about one market."""
        return rest_path(path, symbol, self.categories.get(product, ""))

    def topics_of(self, product: Product | None) -> Mapping[Channel, str]:
        """Return what the streams of one class of markets offer; None: of most."""
        return self.topics if product is None else self.product_topics.get(product, self.topics)

    def topic(self, channel: Channel, symbol: str, product: Product | None = None) -> str:
        """Format the subscription of one channel of one symbol, as events will carry it."""
        return self.topics_of(product)[channel].format(symbol=symbol, lower=symbol.lower())


def rest_path(path: str, symbol: str, category: str = "") -> str:
    """Fill in a path's places; a symbol may be in any script, a URL may not."""
    upper, lower = (quote(each, safe="-_.:~") for each in (symbol, symbol.lower()))
    return path.format(symbol=upper, lower=lower, category=category)


# --- transports -------------------------------------------------------------------------------


class ConnectionLostError(ConnectionError):
    """A connection ended or could not be made. ``code`` is the WebSocket close code, if any.

    ``answer`` is what came instead of a connection, to the handshake or to what precedes it.
    """

    def __init__(
        self,
        reason: Lost,
        detail: str = "",
        code: int | None = None,
        answer: Answer | None = None,
    ) -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail
        self.code = code
        self.answer = answer


Take: TypeAlias = Callable[[Sequence[tuple[float, bytes]]], bool]
"""Takes a batch of messages, and says whether it has had enough for now."""

HOLE: Final = (nan, b"")
"""Stands in a batch where messages were dropped: no message has that time, and none is so read."""


class LateTime(float):
    """When a message was read, where it may have arrived by more than `TAINTED` seconds before."""


def is_hole(received: float) -> bool:
    """Return whether a message of a batch stands for dropped ones, by its time."""
    return received != received


class Socket(Protocol):
    """A WebSocket connection that hands over whole messages in batches.

    ``receive`` gives ``take`` each batch, with the wall-clock time at which each message was read
    from the network (a `LateTime` where we were late), until it has had enough: right where they
    are read, for a task that is woken per message costs more than the message does. Between two
    calls messages wait in a bounded inbox. Control frames of the protocol are answered underneath.
    Raises ConnectionLostError once all is taken, and what ``take`` raises.
    """

    async def send(self, frame: str) -> None: ...

    async def receive(self, take: Take) -> None: ...

    async def close(self) -> None: ...


Connect: TypeAlias = Callable[[str], Awaitable[Socket]]
"""Opens a Socket to a URL, all else being bound. Raises ConnectionLostError."""


class Clock(Protocol):
    """Where time comes from: ``wall`` for timestamps, ``monotonic`` for durations."""

    def wall(self) -> float: ...

    def monotonic(self) -> float: ...

    async def sleep(self, duration: float) -> None: ...


class FetchFailedError(Exception):
    """No answer came. ``certificate_end`` (epoch seconds) survives a failed handshake.

    ``attempts`` are those to connect, address by address.
    """

    def __init__(
        self,
        reason: Reason,
        detail: str = "",
        certificate_end: float | None = None,
        attempts: tuple[ConnectAttempt, ...] = (),
    ) -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail
        self.certificate_end = certificate_end
        self.attempts = attempts


class Fetch(Protocol):
    """One HTTP request over a shared, bounded pool. Raises FetchFailedError."""

    async def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        timeout: float,
        body_limit: int,
        body: bytes | None = None,
    ) -> Answer: ...


# --- metrics ----------------------------------------------------------------------------------


class Counter(Protocol):
    """A bound child of a counter family."""

    def inc(self, amount: float = 1.0) -> None: ...


class Histogram(Protocol):
    """A bound child of a histogram family."""

    def observe(self, value: float) -> None: ...


# --- detectors --------------------------------------------------------------------------------


class Detector(Protocol):
    """One statistical test over many series at once; its parameters are its dataclass fields.

    ``values`` has shape (n,), one per series in rising order of time, NaN for a gap, magnitudes
    below 1e100; ``now`` is the wall clock in epoch seconds. Rows never look at each other.
    ``score`` gives finite numbers >= 0, 1.0 being the threshold, and 0.0 for gaps and for rows
    that are not ready. It is called once for each value and may move what is judged (a short
    mean), never what it is judged by: that is for ``learn``, which updates ``memory`` in place,
    skipping NaN: leave a value out (an incident) by passing NaN. A value is scored before it is
    learnt, so it is never part of its own baseline. Every memory has ``seen``: values learnt, by
    row. A memory with ``floor``, ``share``, ``rise`` and ``fall`` is told what its series' signal
    says: the smallest departure that matters, in its unit and as a share of the usual value, and
    whether (1.0 or 0.0) one upward or downward does. ``age`` is whether it is an age,
    ``relative`` the resolution of a signal that varies by factors, else 0.0. ``barred`` is how
    many values in a row were not learnt.
    """

    @property
    def minimum(self) -> int: ...  # values to learn before it judges

    def begin(self, n: int) -> Memory: ...

    def score(self, memory: Memory, values: Floats, now: float) -> Floats: ...

    def learn(self, memory: Memory, values: Floats, now: float) -> None: ...


@runtime_checkable
class Explaining(Protocol):
    """A detector that can say what it saw."""

    def aspect(self, memory: Memory, row: int, score: float) -> Aspect:
        """Return what was furthest from usual at the last value of a row, which scored so much."""


@runtime_checkable
class Banded(Protocol):
    """A detector that can say where its threshold lies."""

    def band(self, memory: Memory, now: float) -> Floats:
        """Return rows lower, center and upper, shape (3, n), in the series' units; NaN: unknown."""
        ...


# --- signals ----------------------------------------------------------------------------------


class Tracker(Protocol):
    """Measures one signal of all exchanges; how it is fed is its own business.

    ``sample`` gives one number per exchange, shape (e,), in the order the tracker was made with:
    NaN where nothing new was measured since the last sample. ``now`` is monotonic seconds.
    """

    def sample(self, now: float) -> Floats: ...


# --- notifiers --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Where one receiver's messages go, as configured. ``to``: the recipients of one request."""

    url: str
    token: str = ""
    user: str = ""
    sender: str = ""
    to: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)


def _all_at_once(to: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    return (tuple(to),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notifier:
    """One service's public protocol: tables and pure functions, no socket, no state.

    ``request`` takes what to tell, whom, a key that is the same for every try of it, and the
    provider's id of the message to edit, if any. ``parse_response`` says what an answer means.
    """

    name: str
    title: str
    url: str = ""  # default base URL; empty: the config must give one
    capability_paths: str = ""  # pattern of paths that let their reader post: no text for a config
    needs: frozenset[str] = frozenset()  # keys of a receiver that must be there
    takes: frozenset[str] = frozenset()  # keys that may be there
    options: Mapping[str, str] = field(default_factory=dict)  # name → pattern of its value
    recipient: str = r".{1,200}"  # pattern of one of `to`
    recipients: str = "a text of at most 200 characters"  # the same in words
    limit: int  # of one text, in what `measure` counts
    measure: Callable[[str], int] = len
    texts: int = 1  # texts that one request may hold
    batches: Callable[[Sequence[str]], Sequence[tuple[str, ...]]] = _all_at_once  # of recipients
    titled: bool = False  # shows the title by itself: the texts need not begin with it
    short: bool = False  # one text, cut to fit, whatever it has to say
    supports_edit: bool = False  # a sent message can be changed
    idempotent: bool = False  # a second try with the same key is not delivered twice
    waits_for_triage: bool = (
        False  # each message is billed: a triage that is quick goes in the same one
    )
    triage: bool = True  # takes a triage at all
    escape: Callable[[str], str] = str  # makes foreign text mean nothing but itself
    request: Callable[[Notification, Account, str, str | None], HttpRequest]
    parse_response: Callable[[Answer], Outcome]
    quota: Callable[[Account], tuple[HttpRequest, HttpRequest]] | None = None  # limit, used
    read_quota: Callable[[bytes, bytes], tuple[float | None, float]] | None = None
