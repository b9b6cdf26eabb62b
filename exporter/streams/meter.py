"""The metrics of streams: one object for each stream, channel and subscription."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isinf, isnan

from exporter.contracts import Clock
from exporter.metrics import families as f
from exporter.metrics.registry import Registry
from exporter.model import Ack, Channel, Control, Lost, QueuePolicy, SubscriptionState
from exporter.streams.feed import Feed

_DROPPED = {
    QueuePolicy.DROP_OLDEST: f.Dropped.OLDEST,
    QueuePolicy.DROP_NEWEST: f.Dropped.NEWEST,
    QueuePolicy.COALESCE: f.Dropped.OLDEST,  # what coalescing found no room for
}


class StreamMeter:
    """One stream's children, and its frame queue's.

    ``channels`` are those that the stream carries, at least one. `QueuePolicy.BLOCK` never drops,
    so its queue has the counters of what is dropped at 0 for ever.
    """

    def __init__(
        self,
        registry: Registry,
        exchange: str,
        stream: str,
        *,
        clock: Clock,
        channels: Mapping[Channel, ChannelMeter],
        capacity: int,
        policy: QueuePolicy = QueuePolicy.BLOCK,
    ) -> None:
        names = (exchange, stream)
        self._clock = clock
        self._since: float | None = None  # monotonic; None while there is no connection
        self._connected = registry.gauge(f.STREAM_CONNECTED, *names)
        self._connected.set(0)
        self._attempts = registry.counters(f.STREAM_CONNECTS, *names, values=f.ProbeOutcome)
        self._lost = registry.counters(f.STREAM_DISCONNECTS, *names, values=Lost)
        self._uptime = registry.counter(f.STREAM_CONNECTED_SECONDS, *names)
        self._start = registry.gauge(f.STREAM_CONNECTION_START, *names)
        self._states = registry.gauges(f.STREAM_SUBSCRIPTIONS, *names, values=SubscriptionState)
        self._unknown = registry.counter(f.STREAM_UNKNOWN, *names)
        self._channels = channels
        self._first = next(iter(channels.values()))  # one frame, one count
        self._processing = registry.histograms(
            f.STREAM_PROCESSING, exchange, values=f.ProcessingStage
        )
        self._faults = registry.counters(
            f.STREAM_PROCESSING_ERRORS, exchange, values=f.ProcessingStage
        )
        self._drops = drops = registry.counters(f.QUEUE_DROPPED, *names, values=f.Dropped)
        self._depth = registry.gauge(f.QUEUE_DEPTH, *names)
        self._capacity = capacity
        registry.gauge(f.QUEUE_CAPACITY, *names).set(capacity)
        registry.refresh(self._refresh)
        # Bound methods of children, for who reports once per batch or read of the network.
        self.received_bytes = registry.counter(f.STREAM_RECEIVED_BYTES, *names).inc
        self._ping_rtt = registry.histogram(f.STREAM_PING_RTT, *names)
        self._late_pings = registry.counter(f.SAMPLES_DISCARDED, f.Measurement.PING)
        self.queue_depth = self._depth.set
        self.queue_wait = registry.histogram(f.QUEUE_WAIT, exchange)  # shared by all its streams
        self.queue_waited = self.queue_wait.observe
        self.queue_coalesced = drops[f.Dropped.COALESCED].inc
        self.queue_dropped = drops[_DROPPED.get(policy, f.Dropped.NEWEST)].inc

    @property
    def queue(self) -> tuple[int, int, int]:
        """Frames that waited when the queue was last emptied, its capacity, and frames given up."""
        dropped = sum(each.value for each in self._drops.values())
        return int(self._depth.value or 0), self._capacity, int(dropped)

    def attempted(self, ok: bool) -> None:
        """Count an attempt to connect."""
        self._attempts[f.ProbeOutcome.SUCCESS if ok else f.ProbeOutcome.FAILURE].inc()

    def connected(self, up: bool) -> None:
        """Show a connection that was made, replaced (True again) or has ended."""
        self._refresh()
        self._since = self._clock.monotonic() if up else None
        self._connected.set(1 if up else 0)
        self._start.set(self._clock.wall() if up else None)

    def ping_rtt(self, rtt: float | None) -> None:
        """Time a ping, in seconds; None: its pong was read late."""
        if rtt is None:
            self._late_pings.inc()
        else:
            self._ping_rtt.observe(rtt)

    def lost(self, reason: Lost) -> None:
        """Count a connection that ended."""
        self._lost[reason].inc()

    def subscriptions(self, states: Mapping[SubscriptionState, int]) -> None:
        """Show how many subscriptions are in each state."""
        for state, child in self._states.items():
            child.set(states.get(state, 0))

    def unreadable(self, channel: Channel | None) -> None:
        """Count a frame that could not be read; None where its channel cannot be told."""
        known = None if channel is None else self._channels.get(channel)
        (known or self._first).parse_errors.inc()

    def faulted(self, decoded: bool) -> None:
        """Count a frame that came to nothing by a fault of ours."""
        self._faults[f.ProcessingStage.APPLY if decoded else f.ProcessingStage.DECODE].inc()

    def unknown(self, events: int) -> None:
        """Count messages of topics that nobody subscribed to, or of kinds that nobody knows."""
        self._unknown.inc(events)

    def processed(self, decode: float, apply: float) -> None:
        """Time our own work: mean seconds per frame of a batch."""
        self._processing[f.ProcessingStage.DECODE].observe(decode)
        self._processing[f.ProcessingStage.APPLY].observe(apply)

    def control(self, event: Ack | Control) -> None:
        """Count a message that carries no market data."""
        self._first.control.inc()
        if isinstance(event, Control) and event.unknown:
            self._unknown.inc()
        if isinstance(event, Control) and event.missed:  # of the connection, whosever they were
            self._first.gaps.inc()
            self._first.missed.inc(event.missed)

    def _refresh(self) -> None:
        """Bring the time connected up to now; called before each scrape too."""
        if self._since is not None:
            now = self._clock.monotonic()
            self._uptime.inc(now - self._since)
            self._since = now


class ChannelMeter:
    """The children that all subscriptions of one channel of one exchange share."""

    __slots__ = ("control", "data", "gaps", "late", "latency", "missed", "negative", "parse_errors")

    def __init__(self, registry: Registry, exchange: str, channel: Channel) -> None:
        names = (exchange, channel)
        self.data = registry.counter(f.STREAM_MESSAGES, *names, f.FrameKind.DATA)
        self.control = registry.counter(f.STREAM_MESSAGES, *names, f.FrameKind.CONTROL)
        self.latency = registry.histogram(f.STREAM_LATENCY, *names)
        self.negative = registry.counter(f.STREAM_LATENCY_NEGATIVE, *names)
        self.late = registry.counter(f.SAMPLES_DISCARDED, f.Measurement.STREAM)
        self.parse_errors = registry.counter(f.STREAM_PARSE_ERRORS, *names)
        self.gaps = registry.counter(f.STREAM_GAPS, *names)
        self.missed = registry.counter(f.STREAM_MISSED, *names)


class FeedMeter:
    """Shows one subscription's feed, read before each scrape so that frames cost nothing here.

    ``priced``: whether this feed, and no other of the symbol, knows best bid and ask.
    ``stale_after`` gives the longest normal silence in seconds, None while it is not known and
    infinity while nobody trades: then there is no price. Once the feed has been silent for longer,
    its price is not shown: a frozen line is a lie.
    """

    def __init__(
        self,
        registry: Registry,
        feed: Feed,
        shared: ChannelMeter,
        *,
        priced: bool,
        stale_after: Callable[[], float | None],
        wall: Callable[[], float],
    ) -> None:
        what = feed.subscription
        symbol = (what.exchange, what.instrument)
        names = (what.exchange, what.channel, what.instrument)
        self._feed, self._shared = feed, shared
        self._stale_after, self._wall = stale_after, wall
        self._counted = self._gaps = self._missed = 0
        self._last = registry.gauge(f.STREAM_LAST_MESSAGE, *names)
        self._patience = registry.gauge(f.STREAM_STALE_AFTER, *names)
        # Channels of one symbol share this: the newest change of any of them counts.
        self._changed = registry.gauge(f.STREAM_VALUE_LAST_CHANGE, *symbol)
        self._book = self._price = None
        if what.channel is Channel.BOOK:
            counters = (
                registry.counter(f.BOOK_GAPS, *symbol),
                registry.counter(f.BOOK_MISSED, *symbol),
            )
            self._book = counters
        if priced:
            self._price = registry.gauge(f.MID_PRICE, *symbol), registry.gauge(f.SPREAD, *symbol)
        registry.refresh(self.refresh)

    def refresh(self) -> None:
        """Bring the children up to what the feed shows now."""
        feed, shared = self._feed, self._shared
        shared.data.inc(feed.count - self._counted)
        gaps, missed = feed.gaps - self._gaps, feed.missed - self._missed
        shared.gaps.inc(gaps)
        shared.missed.inc(missed)
        self._counted, self._gaps, self._missed = feed.count, feed.gaps, feed.missed
        self._last.set(feed.last)
        patience = self._stale_after()
        resting = patience is not None and isinf(patience)
        self._patience.set(None if resting else patience)
        self._changed.set(max(self._changed.value or 0.0, feed.changed))
        if self._book is not None:
            self._book[0].inc(gaps)
            self._book[1].inc(missed)
        if self._price is not None:
            stale = resting or (patience is not None and self._wall() - feed.last > patience)
            for gauge, value in zip(self._price, (feed.mid, feed.spread), strict=True):
                gauge.set(None if stale or isnan(value) else value)
