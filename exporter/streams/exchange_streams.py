"""The streams of one exchange: connections, subscriptions, and what is known of both."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import exp, isnan, nan
from random import random, uniform

from exporter import config as settings
from exporter.contracts import Clock, ConnectionLostError, Venue
from exporter.decoding import ParseError
from exporter.flow import backoff
from exporter.flow.dead_letters import LONGEST, DeadLetter
from exporter.flow.overflow import SpillOrigin
from exporter.metrics.children import HistogramChild
from exporter.metrics.registry import Registry
from exporter.model import (
    Ack,
    Channel,
    Control,
    Lost,
    Maintenance,
    QueuePolicy,
    Subscription,
    SubscriptionState,
)
from exporter.probes.context import ExchangeContext, Task
from exporter.probes.exchange_probes import ExchangeProbes
from exporter.probes.failures import KEPT, StreamFailure, of_stream
from exporter.streams.admission import ConnectAdmission
from exporter.streams.connection import Sink, StreamListener
from exporter.streams.cross_check import CrossChecks
from exporter.streams.exchange_books import ExchangeBooks, LocalBook
from exporter.streams.feed import Feed
from exporter.streams.frames import SILENCE, spoken
from exporter.streams.liveness import Liveness, Patience
from exporter.streams.meter import ChannelMeter, FeedMeter
from exporter.streams.meter import StreamMeter as StreamChildren
from exporter.streams.session import Timing
from exporter.streams.silence import CrossChecked
from exporter.streams.stream import Stream, spread
from exporter.streams.superseded import superseding
from exporter.websocket.receive_queue import ReceiveQueueBounds, ReceiveQueueMeter

# A forced disconnect is not awaited: a successor is up some minutes before, not all at once.
_ROLLOVER_MARGIN = (300.0, 900.0)

_RATE_MEMORY = 10.0  # seconds after which an old message rate has lost 63 % of its weight


@dataclass(slots=True)
class WatchedSubscription:
    """One subscription, how long it may be silent, and its messages a second of late."""

    feed: Feed
    liveness: Liveness
    book: LocalBook | None = None
    checked: CrossChecked | None = None  # where its silences are held against REST
    rate: float = nan
    _counted: int = 0
    _looked: float | None = None

    @property
    def sink(self) -> Sink:
        """Where the frame path hands its events to."""
        return self.feed if self.book is None else self.book

    @property
    def stale_after(self) -> float:
        """How long it may be silent, in seconds: as learnt, unless REST knows better."""
        usual, patience = self.liveness.stale_after, self.liveness.patience
        if self.checked is None:
            return usual
        return self.checked.stale_after(usual, patience.floor, self.feed.last)

    def rearm(self, now: float) -> None:
        """Begin anew at ``now`` (epoch seconds), for the subscription does."""
        self.feed.rearm()
        self.liveness.rearm(now)
        if self.book is not None:
            self.book.restart()

    def update(self, now: float) -> None:
        """Look once a tick; ``now`` in epoch seconds."""
        self.liveness.update(self.feed.last, now)
        if self.checked is not None:
            self.checked.update(self.feed.count, self.liveness.last)
        passed = now - (now if self._looked is None else self._looked)
        if passed > 0.0:
            rate = (self.feed.count - self._counted) / passed
            share = 1.0 if isnan(self.rate) else 1.0 - exp(-passed / _RATE_MEMORY)
            self.rate = rate if isnan(self.rate) else self.rate + share * (rate - self.rate)
        self._counted, self._looked = self.feed.count, now


@dataclass(slots=True)
class StreamState:
    """One connection's worth of subscriptions and what is known of it; ``watches`` by topic."""

    name: str
    watches: Mapping[str, WatchedSubscription]
    stream: Stream | None = None  # set once it is made, for it takes this as its listener
    connected: bool = False
    since: float | None = None  # when that connection was made, epoch seconds
    attempts: int = 0
    losses: int = 0
    lost: Lost | None = None  # why the last connection ended
    counts: Mapping[SubscriptionState, int] = field(default_factory=dict)
    failures: deque[StreamFailure] = field(default_factory=lambda: deque(maxlen=KEPT))

    def subscription(self, topic: str) -> SubscriptionState:
        """Say how far one subscription has come."""
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


class ExchangeStreams:
    """Everything that one exchange sends us."""

    def __init__(
        self,
        configured: settings.ExchangeConfig,
        venue: Venue,
        around: ExchangeContext,
        registry: Registry,
        probing: ExchangeProbes,
        books: ExchangeBooks,
        checks: CrossChecks,
    ) -> None:
        self.name, self._configured, self._venue = configured.name, configured, venue
        self._around, self._clock, self._registry = around, around.clock, registry
        self._skew, self._books, self._checks = probing.skew, books, checks
        self._site = settings.site(configured, venue)
        self._admission = ConnectAdmission(
            exchange=configured.name,
            clock=around.clock,
            ban=probing.ban,
            attempts=probing.attempts,
            requests=tuple(probing.budgets.values()),
            fault=venue.fault,
            answered=probing.answered,
        )
        self._said = probing.stream_said
        self.streams: list[StreamState] = []
        self._queue_wait: HistogramChild | None = None  # all streams share one
        self.priced: list[Feed] = []
        self._channels: dict[Channel, ChannelMeter] = {}
        wanted = [
            (each, settings.subscriptions(configured, each, venue)) for each in configured.streams
        ]
        self._quoted = {
            one.instrument for _, ones in wanted for one in ones if one.channel is Channel.QUOTES
        }
        for stream, subscriptions in wanted:
            parts = spread(subscriptions, venue)
            for number, part in enumerate(parts, start=1):
                name = stream.name if len(parts) == 1 else f"{stream.name}-{number}"
                self._add(name, stream, part)

    @property
    def queue_waited(self) -> tuple[int, float]:
        """How often frames waited in our queue, and for how many seconds in all."""
        waits = self._queue_wait
        return (0, 0.0) if waits is None else (waits.count, waits.total)

    def tasks(self) -> Iterator[Task]:
        """Yield everything that must run."""
        for each in self.streams:
            if each.stream is not None:
                yield "stream", f"{self.name}/{each.name}", each.stream.run

    def update(self, now: float) -> None:
        """Look once at what passes with time alone; ``now`` in epoch seconds."""
        for stream in self.streams:
            for watch in stream.watches.values():
                watch.update(now)

    def _add(
        self, name: str, wanted: settings.StreamConfig, part: tuple[Subscription, ...]
    ) -> None:
        limits, clock = self._around.config.streams, self._clock
        for each in part:
            if each.channel not in self._channels:
                self._channels[each.channel] = ChannelMeter(self._registry, self.name, each.channel)
        policy = wanted.queue_policy or limits.queue_policy
        capacity = wanted.queue or limits.queue
        children = StreamChildren(
            self._registry,
            self.name,
            name,
            clock=clock,
            channels={each.channel: self._channels[each.channel] for each in part},
            capacity=capacity,
            policy=policy,
        )
        self._queue_wait = children.queue_wait
        venue = spoken(self._venue, wanted)
        spill = None
        if policy is QueuePolicy.SPILL and self._around.spill is not None:
            origin = SpillOrigin(exchange=self.name, venue=self._venue.name, stream=name)
            spill = partial(self._around.spill, origin)
        watches = {each.topic: self._watch(each, wanted) for each in part}
        state = StreamState(name, watches)
        if wanted.book and self._venue.book is not None:
            self._build(state, wanted)
        if wanted.cross_check is not None:
            for topic, watch in watches.items():
                watch.checked = self._checks.add(
                    watch.feed, watch.liveness, partial(state.agreed, topic), wanted.cross_check
                )
        state.stream = Stream(
            f"{self.name}/{name}",
            venue,
            part,
            connect=self._around.dial(
                ReceiveQueueBounds(
                    frames=capacity,
                    size=limits.queue_bytes,
                    policy=policy,
                    spill=spill,
                    key=superseding(venue) if policy is QueuePolicy.COALESCE else None,
                ),
                ReceiveQueueMeter(
                    received=children.received_bytes,
                    depth=children.queue_depth,
                    dropped=children.queue_dropped,
                    coalesced=children.queue_coalesced,
                    waited=children.queue_waited,
                ),
                children.ping_rtt,
            ),
            clock=clock,
            meter=_stream_meter(state, children, clock, partial(self._dead, name), self._said),
            sinks={topic: watch.sink for topic, watch in watches.items()},
            stale_after=lambda topic: watches[topic].stale_after,
            chance=random,
            admission=self._admission,
            urls=self._site.stream_urls,
            fetch=self._around.fetch,
            rest_url=self._site.rest_urls[0],
            rules=backoff.BackoffRules(base=limits.backoff_base, cap=limits.backoff_cap),
            timing=timing(limits, self._venue),
        )
        self.streams.append(state)

    def _watch(
        self, subscription: Subscription, wanted: settings.StreamConfig
    ) -> WatchedSubscription:
        limits, now = self._around.config.streams, self._clock.wall()
        channel = self._channels[subscription.channel]
        patience = Patience(floor=limits.stale_floor, ceiling=limits.stale_ceiling)
        if subscription.channel is Channel.MESSAGES:
            silence = wanted.silence or SILENCE
            patience = Patience(floor=silence, ceiling=silence)
        watch = WatchedSubscription(
            Feed(
                subscription,
                self._venue.sequences,
                self._skew,
                channel.latency,
                channel.negative,
                now,
            ),
            Liveness(patience, last=now),
        )
        priced = self._priced(subscription)
        if priced:
            self.priced.append(watch.feed)
        FeedMeter(
            self._registry,
            watch.feed,
            channel,
            priced=priced,
            stale_after=lambda: watch.stale_after,
            wall=self._clock.wall,
        )
        return watch

    def _build(self, state: StreamState, wanted: settings.StreamConfig) -> None:
        for topic, watch in state.watches.items():
            what = watch.feed.subscription
            if what.channel is Channel.BOOK:
                watch.book = self._books.add(
                    watch.feed,
                    priced=self._priced(what),
                    live=partial(state.live, topic),
                    renew=partial(state.renew, topic),
                    audit_every=wanted.book_audit,
                )

    def _dead(self, stream: str, frame: bytes, error: Exception) -> None:
        """Have a frame written down that came to nothing."""
        reason = str(error) if isinstance(error, ParseError) else f"fault of ours: {error!r}"
        self._around.post(
            DeadLetter(
                time=self._clock.wall(),
                exchange=self.name,
                venue=self._venue.name,
                stream=stream,
                reason=reason[:500],
                frame=frame[:LONGEST],
                size=len(frame),
            )
        )

    def _priced(self, what: Subscription) -> bool:
        """Return whether a subscription is where its symbol's price comes from."""
        if what.channel is Channel.BOOK:
            return what.instrument not in self._quoted
        return what.channel is Channel.QUOTES


def timing(limits: settings.StreamsConfig, venue: Venue) -> Timing:
    """Return how long a session waits for what, by the config and the venue's rules."""
    lifetime = venue.lifetime
    return Timing(
        ack_timeout=limits.ack_timeout,
        idle_after=limits.idle_timeout,
        refused_retry=2 * limits.backoff_cap,
        lifetime=None if lifetime is None else lifetime - uniform(*_ROLLOVER_MARGIN),
    )


def _stream_meter(
    state: StreamState,
    children: StreamChildren,
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
        state.watches[topic].rearm(clock.wall())

    def control(event: Ack | Control) -> None:
        children.control(event)
        if isinstance(event, Control) and event.maintenance is not None:
            said(event.maintenance)
        if isinstance(event, Ack) and event.depth is not None:
            for topic in event.topics:
                watch = state.watches.get(topic)
                if watch is not None and watch.book is not None:
                    watch.book.sync.agree(event.depth)

    def missed(topics: Collection[str]) -> None:
        for topic in topics:
            book = state.watches[topic].book
            if book is not None:
                book.miss()

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
