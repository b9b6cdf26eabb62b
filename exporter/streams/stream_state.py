"""The state of one stream and of each of its subscriptions."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from math import exp, inf, isnan, nan

from exporter.contracts import Clock, ConnectionLostError
from exporter.maintenance import Maintenance
from exporter.metrics.registry import Registry
from exporter.model import LATE, Ack, Control, Lost, SubscriptionState
from exporter.probes.failures import KEPT, StreamFailure, of_stream
from exporter.streams.connection import Sink, StreamListener
from exporter.streams.exchange_books import LocalBook
from exporter.streams.feed import Feed
from exporter.streams.liveness import Liveness
from exporter.streams.meter import FeedMeter, StreamMeter
from exporter.streams.silence import CrossChecked
from exporter.streams.stream import Stream

log = logging.getLogger(__name__)

_MOST_KINDS = 20  # of unknown messages of one stream that are counted by themselves
_OTHERS = "(others)"
_RATE_MEMORY = 10.0  # seconds after which an old message rate has lost 63 % of its weight


@dataclass(slots=True)
class WatchedSubscription:
    """One subscription, how long it may be silent, and its messages a second of late."""

    feed: Feed
    liveness: Liveness
    registry: Registry  # its own part, to be closed with it
    meter: FeedMeter | None = None
    book: LocalBook | None = None
    checked: CrossChecked | None = None  # where its silences are held against REST
    resting: bool = False  # nobody trades there, as the venue says: its silence is none
    rate: float = nan
    late_since: float | None = None  # since when its data comes late, epoch seconds
    _rested: float = 0.0  # until when it did, epoch seconds
    _counted: int = 0
    _looked: float | None = None

    @property
    def sink(self) -> Sink:
        """Return the sink of a subscription's events."""
        return self.feed if self.book is None else self.book

    @property
    def stale_after(self) -> float:
        """How long it may be silent, in seconds: as learnt, unless REST knows better.

        For ever while its market rests; what came before that ends does not count afterwards.
        """
        if self.resting:
            return inf
        usual, patience = self.liveness.stale_after, self.liveness.patience
        if self.checked is not None:
            usual = self.checked.stale_after(usual, patience.floor, self.feed.last)
        return usual + max(0.0, self._rested - self.feed.last)

    def rearm(self, now: float) -> None:
        """Reset at ``now`` (epoch seconds), because the subscription starts again."""
        self.feed.rearm()
        self.liveness.rearm(now)
        if self.book is not None:
            self.book.restart()

    def update(self, now: float) -> None:
        """Look once a tick; ``now`` in epoch seconds."""
        if not self.feed.latency >= LATE:
            self.late_since = None
        elif self.late_since is None:
            self.late_since = now
        if self.resting:
            self._rested = now
            self.liveness.rearm(now)  # nothing is learnt of how long it may be silent
        else:
            self.liveness.update(self.feed.last, now)
        count, looked, usual = self.feed.count, self._looked, self.rate
        if self.checked is not None:
            self.checked.update(count, self.liveness.last)
        if looked is not None and now > looked:
            rate = (count - self._counted) / (now - looked)
            share = 1.0 - exp((looked - now) / _RATE_MEMORY)
            self.rate = rate if isnan(usual) else usual + share * (rate - usual)
        self._counted, self._looked = count, now


@dataclass(slots=True)
class StreamState:
    """One connection's worth of subscriptions and what is known of it; ``watches`` by topic."""

    name: str
    watches: dict[str, WatchedSubscription]
    registry: Registry  # its own part, to be closed with it
    route: tuple[str, str]  # topics of one name may be on several, as other markets
    stream: Stream | None = None  # set once it is made, for it takes this as its listener
    meter: StreamMeter | None = None  # of its connection and its queue
    connected: bool = False
    since: float | None = None  # when that connection was made, epoch seconds
    attempts: int = 0
    losses: int = 0
    lost: Lost | None = None  # why the last connection ended
    counts: Mapping[SubscriptionState, int] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)  # messages, by the wire's word for them
    failures: deque[StreamFailure] = field(default_factory=lambda: deque(maxlen=KEPT))

    def note_unknown(self, kind: str) -> None:
        """Count a message of a kind that the reader does not know, and tell of a new one."""
        if kind not in self.unknown:
            if len(self.unknown) >= _MOST_KINDS:
                kind = _OTHERS
            else:
                log.warning("stream_kind_unknown stream=%s kind=%r", self.name, kind)
        self.unknown[kind] = self.unknown.get(kind, 0) + 1

    def subscription(self, topic: str) -> SubscriptionState:
        """Return the state of one subscription."""
        return SubscriptionState.REQUESTED if self.stream is None else self.stream.state(topic)

    @property
    def address(self) -> str:
        """The URL that it is connected to, or tries to."""
        return "" if self.stream is None else self.stream.address

    def refusal(self, topic: str) -> str:
        """Return the venue's own words for refusing one subscription; empty where it does not."""
        return "" if self.stream is None else self.stream.refusal(topic)

    def live(self, topic: str) -> bool:
        """Return whether the venue has agreed to one subscription on an open connection."""
        agreed = (SubscriptionState.ACKED, SubscriptionState.LIVE)
        return self.connected and self.subscription(topic) in agreed

    def agreed(self, topic: str) -> bool:
        """Return whether the venue owes us one subscription's data, silent though it may be."""
        owed = (SubscriptionState.ACKED, SubscriptionState.LIVE, SubscriptionState.STALE)
        return self.connected and self.subscription(topic) in owed

    def renew(self, topic: str) -> None:
        """Leave and join one topic."""
        if self.stream is not None:
            self.stream.resubscribe(topic)


def listener(
    state: StreamState,
    children: StreamMeter,
    clock: Clock,
    dead: Callable[[bytes, Exception], None],
    said: Callable[[Maintenance], None],
) -> StreamListener:
    """Tell both the metrics and the state that pages show."""

    def attempted(ok: bool) -> None:
        state.attempts += 1
        children.attempted(ok)

    def connected(up: bool) -> None:
        state.connected, state.since = up, clock.wall() if up else None
        children.connected(up)
        for watch in state.watches.values():
            if not up and watch.book is not None:
                watch.book.restart()
            if not up and watch.checked is not None:
                watch.checked.reset()

    def lost(reason: Lost) -> None:
        state.losses, state.lost = state.losses + 1, reason
        children.lost(reason)

    def failed(error: ConnectionLostError, lived: float | None) -> None:
        if Lost.LOCAL_RESOURCE in (error.reason, state.lost):  # it never came to a connection
            state.lost = error.reason
        state.failures.append(of_stream(error, clock.wall(), lived))

    def subscriptions(counts: Mapping[SubscriptionState, int]) -> None:
        state.counts = counts
        children.subscriptions(counts)

    def armed(topic: str) -> None:
        if topic in state.watches:  # else it was left meanwhile
            state.watches[topic].rearm(clock.wall())

    def control(event: Ack | Control) -> None:
        children.control(event)
        if isinstance(event, Control) and event.unknown:
            state.note_unknown(event.label)
        if isinstance(event, Control) and event.maintenance is not None:
            said(event.maintenance)
        if isinstance(event, Ack) and event.depth is not None:
            for topic in event.topics:
                watch = state.watches.get(topic)
                if watch is not None and watch.book is not None:
                    watch.book.sync.agree(event.depth)

    def missed(topics: Collection[str]) -> None:
        for topic in topics:
            watch = state.watches.get(topic)  # None: it was left meanwhile
            if watch is not None and watch.book is not None:
                watch.book.miss()

    return StreamListener(
        attempted=attempted,
        connected=connected,
        lost=lost,
        subscriptions=subscriptions,
        armed=armed,
        control=control,
        unknown=children.unknown,
        unreadable=children.unreadable,
        faulted=children.faulted,
        processed=children.processed,
        failed=failed,
        missed=missed,
        dead=dead,
    )
