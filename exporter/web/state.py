"""What the status page and the API show: one frozen snapshot, and what it adds up to.

Times are epoch seconds, durations seconds, shares 0 to 1; None where nothing is known yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median

from exporter.model import LATE, Channel, Circuit, Resync, SilenceVerdict, SubscriptionState
from exporter.signals import Change, Severity

# Slower than the first is slow whatever is usual, and so is what takes so many times the usual and
# so many seconds more that people notice.
_SLOW, _TIMES_USUAL, _NOTICED = 1.0, 4.0, 0.1


class Health(StrEnum):
    """One word for a thing and all that it is made of."""

    UP = "up"
    DEGRADED = "degraded"  # some of it fails, or works but late, stale or paused
    DOWN = "down"
    PENDING = "pending"  # nothing has been seen of it yet


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyQuantiles:
    """Median and 95th percentile of successful probes over some time, None without any."""

    median: float | None = None
    p95: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointView:
    """One REST endpoint. Durations are of successful probes within the window."""

    name: str
    ok: bool | None = None  # the last probe; None before the first
    reason: str = ""  # why it failed, from the closed set
    apart: bool = False  # at an address of its own: judged by `expect` alone
    circuit: Circuit = Circuit.CLOSED
    probes: int = 0  # within the window
    mean: float | None = None
    median: float | None = None
    p95: float | None = None
    p99: float | None = None
    error_ratio: float | None = None
    before: LatencyQuantiles = LatencyQuantiles()  # from an hour ago to five minutes ago
    lately: LatencyQuantiles = LatencyQuantiles()  # the last minute
    last_success: float | None = None
    failing_since: float | None = None  # when the first of the failures in a row began
    slow_since: float | None = None  # when the first of the slow answers was asked for
    unsteady_since: float | None = None  # when the first failure within the window ended
    evidence: str = ""  # of the last of them: status, detail, the body's beginning
    recent: tuple[float | None, ...] = ()  # durations of the last probes, oldest first; None failed

    @property
    def newest(self) -> float | None:
        """Median of the last three successful probes."""
        good = [value for value in self.recent if value is not None][-3:]
        return median(good) if good else None

    @property
    def usual(self) -> float | None:
        """What was usual until five minutes ago; of a young process, before the last three."""
        if self.before.median is not None:
            return self.before.median
        good = [value for value in self.recent if value is not None][:-3]
        return median(good) if good else None

    @property
    def slow_from(self) -> float:
        """The duration from which a person would call an answer slow, in seconds."""
        usual = self.usual
        return _SLOW if usual is None else min(_SLOW, max(_TIMES_USUAL * usual, usual + _NOTICED))

    @property
    def slow(self) -> bool:
        """Whether it answers, but so late that a person would call it slow."""
        newest = self.newest
        return bool(self.ok) and newest is not None and newest >= self.slow_from

    @property
    def health(self) -> Health:
        """Down while its last probe failed or nobody asks; degraded while others failed."""
        if self.circuit is Circuit.OPEN or self.ok is False:
            return Health.DOWN
        if self.ok is None:
            return Health.PENDING
        shaky = self.circuit is not Circuit.CLOSED or (self.error_ratio or 0.0) > 0.05
        return Health.DEGRADED if shaky or self.slow else Health.UP


@dataclass(frozen=True, slots=True, kw_only=True)
class BookView:
    """One local order book. ``resyncs``: how often it was built anew, ``reason``: why last."""

    synced: bool
    crossed: bool = False  # the best bid is not below the best ask
    crossed_since: float | None = None
    levels: int = 0  # on both sides
    resyncs: int = 0
    reason: Resync = Resync.START

    @property
    def health(self) -> Health:
        """Return whether it may be traded on."""
        if self.crossed:
            return Health.DOWN
        if self.synced:
            return Health.UP
        return Health.PENDING if self.reason is Resync.START else Health.DEGRADED


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionRow:
    """One channel of one instrument."""

    channel: Channel
    symbol: str
    state: SubscriptionState
    reason: str = ""  # why the venue refuses it, in its own words
    last_message: float | None = None
    stale_after: float | None = None
    rate: float | None = None  # messages a second, over the last while
    latency: float | None = None  # of the newest message, corrected for the clocks
    late_since: float | None = None
    price: float | None = None
    gaps: int = 0
    silence: SilenceVerdict | None = None  # what REST says of a silence, where it is asked
    book: BookView | None = None  # where one is built

    @property
    def late(self) -> bool:
        """Whether its data flows, but long after the venue sent it."""
        flows = self.state is SubscriptionState.LIVE
        return flows and self.latency is not None and self.latency >= LATE

    @property
    def health(self) -> Health:
        """Up while data flows in time, and makes a book that can be."""
        match self.state:
            case SubscriptionState.LIVE:
                crossed = self.book is not None and self.book.crossed
                return Health.DEGRADED if self.late or crossed else Health.UP
            case SubscriptionState.STALE | SubscriptionState.REJECTED:
                return Health.DOWN
            case _:
                return Health.PENDING


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueView:
    """The frames of one connection that were read and not yet looked at.

    ``waiting`` as of when the queue was last emptied; ``dropped`` since the start.
    """

    waiting: int = 0
    capacity: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamView:
    """One connection and its subscriptions."""

    name: str
    address: str = ""  # the URL that it is connected to, or tries to
    connected: bool = False
    attempted: bool = False
    queue: QueueView = QueueView()
    since: float | None = None  # when the connection was made
    disconnects: int = 0
    lost: str = ""  # why the last connection ended, from the closed set
    down_since: float | None = None  # when that was, while there is none
    unknown: Mapping[str, int] = field(default_factory=dict)  # messages of kinds that nobody knows
    subscriptions: tuple[SubscriptionRow, ...] = ()

    @property
    def rate(self) -> float:
        """Messages a second, of a connection that is there."""
        return sum(row.rate or 0.0 for row in self.subscriptions) if self.connected else 0.0

    @property
    def health(self) -> Health:
        """Down without a connection; degraded while some of its subscriptions are silent."""
        if not self.connected:
            return Health.DOWN if self.attempted else Health.PENDING
        rows = {row.health for row in self.subscriptions}
        if rows == {Health.DOWN}:
            return Health.DOWN
        return Health.DEGRADED if {Health.DOWN, Health.DEGRADED} & rows else Health.UP


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineSpan:
    """Some time of the last 24 hours; PENDING: nobody saw it."""

    start: float
    end: float
    health: Health


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredView:
    """An incident that the venue declares, and how long before that we knew.

    ``lead`` in seconds: negative if the venue was first, None if we have not noticed it, or it was
    declared before we began to look.
    """

    title: str
    declared: float
    noticed: float | None = None
    lead: float | None = None
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeView:
    """One configured exchange."""

    name: str
    title: str
    endpoints: tuple[EndpointView, ...] = ()
    streams: tuple[StreamView, ...] = ()
    clock_offset: float | None = None  # the venue's clock minus ours
    clock_error: float | None = None
    limits: tuple[tuple[str, float], ...] = ()  # name, share used
    banned_until: float | None = None
    maintenance: bool = False
    maintenance_end: float | None = None
    maintenance_start: float | None = None  # of the next one that is announced
    mode: str = ""  # in which the venue trades, empty where it does not say
    incident: str = ""  # in the venue's words
    declared: tuple[DeclaredView, ...] = ()  # its incidents one by one
    domain: str | None = None  # where the fault lies: exchange, path or self; None without one
    timeline: tuple[TimelineSpan, ...] = ()  # the last 24 hours, the oldest first

    @property
    def restricted(self) -> bool:
        """Whether the venue takes some orders only."""
        return self.mode not in ("", "trading")

    @property
    def health(self) -> Health:
        """Down when nothing of it works, degraded when something does not."""
        parts = [part.health for part in self.endpoints]
        parts += [part.health for part in self.streams]
        known = [health for health in parts if health is not Health.PENDING]
        if not known:
            return Health.PENDING
        if all(health is Health.DOWN for health in known):
            return Health.DOWN
        calm = not (self.maintenance or self.restricted or self.incident or self.banned_until)
        return Health.UP if calm and set(known) == {Health.UP} else Health.DEGRADED


@dataclass(frozen=True, slots=True, kw_only=True)
class AnomalyView:
    """One judged signal; ``score`` is the deciding detector's, 1 is the threshold."""

    exchange: str
    signal: str
    score: float | None
    ready: bool
    scores: tuple[tuple[str, float], ...] = ()  # by detector

    @property
    def alarming(self) -> bool:
        """Return whether it is beyond its threshold."""
        return self.ready and self.score is not None and self.score >= 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictView:
    """One decision about one signal, and why; numbers in the signal's unit, None where unknown.

    The threshold lies at ``lower`` and ``upper``; ``detectors`` are those that agree, by score.
    """

    exchange: str
    signal: str
    change: Change
    severity: Severity
    time: float
    since: float  # when it began
    sentence: str
    score: float
    value: float | None = None
    center: float | None = None
    lower: float | None = None
    upper: float | None = None
    detectors: tuple[tuple[str, float], ...] = ()

    @property
    def ended(self) -> bool:
        """Return whether this ended the incident."""
        return self.change in (Change.CLOSED, Change.LOST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What is wrong with this program itself, and the alert that says so."""

    text: str
    alert: str
    since: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything at one moment ``now``."""

    now: float
    started: float
    version: str
    window: float = 300.0  # of the endpoints' figures
    exchanges: tuple[ExchangeView, ...] = ()
    anomalies: tuple[AnomalyView, ...] = ()
    incidents: tuple[VerdictView, ...] = ()  # what goes on now, by its newest verdict
    verdicts: tuple[VerdictView, ...] = ()  # the newest first
    troubles: tuple[Trouble, ...] = ()
    alertmanager: str = ""  # base URL of the first that alerts are pushed to
    only: str = ""  # the one exchange that it is about, if it is about one
    series: int = 0
    series_limit: int = 0
    links: tuple[tuple[str, str], ...] = field(
        default=(("Metrics", "/metrics"), ("API", "/api/v1/state"), ("Ready", "/-/ready"))
    )

    @property
    def health(self) -> Health:
        """The whole in one word."""
        known = {exchange.health for exchange in self.exchanges} - {Health.PENDING}
        if not known:
            return Health.PENDING
        if known == {Health.UP}:
            return Health.UP
        return Health.DOWN if known == {Health.DOWN} else Health.DEGRADED

    @property
    def streams(self) -> tuple[StreamView, ...]:
        """The streams of all exchanges."""
        return tuple(stream for exchange in self.exchanges for stream in exchange.streams)

    @property
    def subscriptions(self) -> tuple[SubscriptionRow, ...]:
        """The subscriptions of all exchanges."""
        return tuple(row for stream in self.streams for row in stream.subscriptions)

    @property
    def ended(self) -> tuple[VerdictView, ...]:
        """The incidents that ended within the last hour, the newest first."""
        return tuple(one for one in self.verdicts if one.ended and self.now - one.time <= 3600.0)

    @property
    def endpoints(self) -> tuple[EndpointView, ...]:
        """The endpoints of all exchanges."""
        return tuple(one for exchange in self.exchanges for one in exchange.endpoints)
