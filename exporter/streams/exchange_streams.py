"""The streams of one exchange: connections, subscriptions, and their state."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import partial
from itertools import count
from random import random, uniform

from exporter import config as settings
from exporter.contracts import Venue
from exporter.decoding import ParseError
from exporter.flow import backoff
from exporter.flow.dead_letters import LONGEST, DeadLetter
from exporter.flow.overflow import SpillOrigin
from exporter.metrics.children import HistogramChild
from exporter.metrics.registry import Registry
from exporter.model import Channel, QueuePolicy, Subscription
from exporter.probes.context import ExchangeContext, Task
from exporter.probes.exchange_probes import ExchangeProbes
from exporter.streams.admission import ConnectAdmission
from exporter.streams.cross_check import CrossChecks
from exporter.streams.exchange_books import ExchangeBooks
from exporter.streams.feed import Feed
from exporter.streams.frames import SILENCE, spoken
from exporter.streams.liveness import Liveness, Patience
from exporter.streams.meter import ChannelMeter, FeedMeter
from exporter.streams.meter import StreamMeter as StreamChildren
from exporter.streams.session import Timing
from exporter.streams.stream import Stream, spread
from exporter.streams.stream_state import StreamState, WatchedSubscription, listener
from exporter.streams.superseded import superseding
from exporter.websocket.receive_queue import ReceiveQueueBounds, ReceiveQueueMeter

# A forced disconnect is not awaited: a successor is up some minutes before, not all at once.
_ROLLOVER_MARGIN = (300.0, 900.0)


class ExchangeStreams:
    """All streams of one exchange."""

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
        self.admission = ConnectAdmission(
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
        self._parts: dict[str, list[StreamState]] = {}  # by the stream that is configured
        self._quoted = _quoted(wanted)
        for stream, subscriptions in wanted:
            self._parts[stream.name] = []
            self._connect(stream, subscriptions)

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

    def rest(self, instruments: Collection[str]) -> None:
        """Treat silence of these markets as normal: they are not traded now."""
        for stream in self.streams:
            for watch in stream.watches.values():
                watch.resting = watch.feed.subscription.instrument in instruments

    def close(self) -> None:
        """Remove all series of the streams."""
        for state in self.streams:
            for watch in state.watches.values():
                watch.registry.close()
            state.registry.close()

    def follow(self, configured: settings.ExchangeConfig) -> None:
        """Unsubscribe what is no longer wanted and subscribe what is new; the others continue."""
        wanted = [
            (each, settings.subscriptions(configured, each, self._venue))
            for each in configured.streams
        ]
        self._quoted = _quoted(wanted)
        for stream, subscriptions in wanted:
            states = self._parts[stream.name]
            places = {(self._route(each), each.topic) for each in subscriptions}
            for state in tuple(states):
                gone = [topic for topic in state.watches if (state.route, topic) not in places]
                self._leave(state, gone)
                if not state.watches:
                    states.remove(state)
                    self.streams.remove(state)
                    state.registry.close()
            known = {(state.route, topic) for state in states for topic in state.watches}
            new = [each for each in subscriptions if (self._route(each), each.topic) not in known]
            for state in states:
                new = self._join(state, stream, new)
            self._connect(stream, new)

    def _route(self, one: Subscription) -> tuple[str, str]:
        return self._venue.route(one.channel, one.product, one.symbol)

    def _leave(self, state: StreamState, topics: Sequence[str]) -> None:
        if state.stream is not None and topics:
            state.stream.leave(topics)
        for topic in topics:
            watch = state.watches.pop(topic)
            if watch.book is not None:
                self._books.books.remove(watch.book)
            if watch.checked is not None:
                self._checks.remove(watch.feed)
            if watch.feed in self.priced:
                self.priced.remove(watch.feed)
            if watch.meter is not None:
                watch.meter.refresh()  # what came since the last scrape counts
            watch.registry.close()

    def _join(
        self, state: StreamState, wanted: settings.StreamConfig, new: Sequence[Subscription]
    ) -> list[Subscription]:
        """Join what a connection has room for; return the rest."""
        room = self._venue.topics_per_connection - len(state.watches)
        fits = [one for one in new if self._route(one) == state.route]
        topics = set(list(dict.fromkeys(one.topic for one in fits))[:room])
        part = [one for one in fits if one.topic in topics]
        if part and state.stream is not None:
            watches = self._watch_all(state, wanted, part)
            state.stream.join(part, {topic: watch.sink for topic, watch in watches.items()})
        return [one for one in new if one not in part]

    def _connect(self, stream: settings.StreamConfig, new: Sequence[Subscription]) -> None:
        """Make as many connections as the venue asks for."""
        states, parts = self._parts[stream.name], spread(new, self._venue)
        used = {state.name for state in states}
        alone = stream.name if not states and len(parts) == 1 else ""
        names = (name for n in count(1) if (name := f"{stream.name}-{n}") not in used)
        for part in parts:
            states.append(self._add(alone or next(names), stream, part))

    def _add(
        self, name: str, wanted: settings.StreamConfig, part: tuple[Subscription, ...]
    ) -> StreamState:
        limits, clock, registry = self._around.config.streams, self._clock, self._registry.scope()
        for each in part:
            if each.channel not in self._channels:
                self._channels[each.channel] = ChannelMeter(self._registry, self.name, each.channel)
        policy = wanted.queue_policy or limits.queue_policy
        capacity = wanted.queue or limits.queue
        children = StreamChildren(
            registry,
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
        state = StreamState(name, {}, registry, self._route(part[0]), meter=children)
        watches = self._watch_all(state, wanted, part)
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
            meter=listener(state, children, clock, partial(self.dead, name), self._said),
            sinks={topic: watch.sink for topic, watch in watches.items()},
            stale_after=lambda topic: state.watches[topic].stale_after,
            chance=random,
            admission=self.admission,
            urls=self._site.stream_urls,
            fetch=self._around.fetch,
            rest_url=self._site.rest_urls[0],
            rules=backoff.BackoffRules(base=limits.backoff_base, cap=limits.backoff_cap),
            timing=timing(limits, self._venue),
        )
        self.streams.append(state)
        return state

    def _watch_all(
        self, state: StreamState, wanted: settings.StreamConfig, part: Sequence[Subscription]
    ) -> dict[str, WatchedSubscription]:
        """Watch some subscriptions of a connection, with their books and cross-checks."""
        watches = {each.topic: self._watch(each, wanted) for each in part}
        state.watches |= watches
        for topic, watch in watches.items():
            what = watch.feed.subscription
            if wanted.book and self._venue.book is not None and what.channel is Channel.BOOK:
                watch.book = self._books.add(
                    watch.feed,
                    watch.registry,
                    priced=self._priced(what),
                    live=partial(state.live, topic),
                    renew=partial(state.renew, topic),
                    audit_every=wanted.book_audit,
                )
            if wanted.cross_check is not None:
                watch.checked = self._checks.add(
                    watch.feed,
                    watch.liveness,
                    watch.registry,
                    partial(state.agreed, topic),
                    wanted.cross_check,
                )
        return watches

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
                channel.late,
                now,
                whole=self._venue.book is not None and self._venue.book.whole,
            ),
            Liveness(patience, last=now),
            self._registry.scope(),
        )
        priced = self._priced(subscription)
        if priced:
            self.priced.append(watch.feed)
        watch.meter = FeedMeter(
            watch.registry,
            watch.feed,
            channel,
            priced=priced,
            stale_after=lambda: watch.stale_after,
            wall=self._clock.wall,
        )
        return watch

    def dead(self, stream: str, frame: bytes, error: Exception) -> None:
        """Have a frame written down that came to nothing."""
        reason = (
            str(error)
            if isinstance(error, ParseError)
            else f"fault of ours: {type(error).__name__}: {error}"
        )
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


def _quoted(
    wanted: Iterable[tuple[settings.StreamConfig, Sequence[Subscription]]],
) -> frozenset[str]:
    """Return the instruments whose price comes from quotes."""
    return frozenset(
        one.instrument for _, ones in wanted for one in ones if one.channel is Channel.QUOTES
    )


def timing(limits: settings.StreamsConfig, venue: Venue) -> Timing:
    """Return the timeouts of a session, by the config and the venue's rules."""
    lifetime = venue.lifetime
    return Timing(
        ack_timeout=limits.ack_timeout,
        idle_after=limits.idle_timeout,
        refused_retry=2 * limits.backoff_cap,
        lifetime=None if lifetime is None else lifetime - uniform(*_ROLLOVER_MARGIN),
    )
