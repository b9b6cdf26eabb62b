"""One exchange: its endpoints, its streams and what is known of both."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import exp, isnan, nan
from random import random, uniform
from typing import TypeAlias

from exporter import config as settings
from exporter.config import Config
from exporter.contracts import Clock, Connect, Fetch, RestLimit, Venue
from exporter.edge.inbox import InboxBounds, InboxMeter
from exporter.flow import backoff, budget
from exporter.flow.breaker import Breaker
from exporter.metrics import families
from exporter.metrics.probes import ExchangeMeter, ProbeMeter
from exporter.metrics.registry import Registry
from exporter.metrics.streams import ChannelMeter, FeedMeter
from exporter.metrics.streams import StreamMeter as StreamChildren
from exporter.model import (
    Channel,
    Lost,
    Maintenance,
    Phase,
    Probed,
    Skip,
    Subscription,
    SubscriptionState,
    Target,
)
from exporter.signals.clock import ClockOffset
from exporter.signals.feed import Feed, Skew
from exporter.signals.history import History
from exporter.signals.liveness import Liveness, Patience
from exporter.sources import probe
from exporter.sources.link import StreamMeter
from exporter.sources.session import Timing
from exporter.sources.stream import Stream, spread

Task: TypeAlias = tuple[str, str, Callable[[], Awaitable[None]]]
"""A kind (the label ``task``), a name for the log, and what to run until cancelled."""

Dial: TypeAlias = Callable[[InboxBounds, InboxMeter, Callable[[float], None]], Connect]
"""Gives a way to open sockets whose frames wait within bounds and are reported to a meter."""

_CLOCK_RESOLUTION = 0.001  # seconds; venues cut their server time to milliseconds
_FAILURES_KEPT = 20  # per endpoint: the evidence that a page links to
# A forced disconnect is not awaited: a successor is up some minutes before, not all at once.
_ROLLOVER_MARGIN = (300.0, 900.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all exchanges share. ``probed`` is told of every probe that ended."""

    config: Config
    registry: Registry
    fetch: Fetch
    dial: Dial
    clock: Clock
    slots: asyncio.Semaphore
    probed: Callable[[Probed], None]
    online: Callable[[], bool]


@dataclass(slots=True)
class EndpointState:
    """One endpoint and what is known of it."""

    target: Target
    breaker: Breaker
    meter: ProbeMeter
    history: History = field(default_factory=History)
    last: Probed | None = None
    last_success: float | None = None  # when it ended, epoch seconds
    skipped: Skip | None = None  # why the last turn was not taken, if it was not
    failures: deque[Probed] = field(default_factory=lambda: deque(maxlen=_FAILURES_KEPT))


_RATE_MEMORY = 10.0  # seconds after which an old message rate has lost 63 % of its weight


@dataclass(slots=True)
class Watch:
    """One subscription, how long it may be silent, and its messages a second of late."""

    feed: Feed
    liveness: Liveness
    rate: float = nan
    _counted: int = 0
    _looked: float | None = None

    def look(self, now: float) -> None:
        """Look once a tick; ``now`` in epoch seconds."""
        self.liveness.look(self.feed.last, now)
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
    watches: Mapping[str, Watch]
    stream: Stream | None = None  # set once it is made, for it takes this as its listener
    connected: bool = False
    since: float | None = None  # when that connection was made, epoch seconds
    attempts: int = 0
    losses: int = 0
    lost: Lost | None = None  # why the last connection ended
    counts: Mapping[SubscriptionState, int] = field(default_factory=dict)

    def subscription(self, topic: str) -> SubscriptionState:
        """Say how far one subscription has come."""
        return SubscriptionState.REQUESTED if self.stream is None else self.stream.state(topic)


class Exchange:
    """One configured exchange. `tasks` gives what must run; `close` takes its series away."""

    def __init__(self, configured: settings.Exchange, venue: Venue, around: Surroundings) -> None:
        self.name, self.configured, self.venue = configured.name, configured, venue
        self._around, self._clock = around, around.clock
        self._registry = around.registry.scope()
        limits = settings.rest_limits(configured, venue)
        self._meter = ExchangeMeter(self._registry, self.name, [limit.name for limit in limits])
        targets = settings.targets(configured, venue, around.config.probes)
        share = settings.budget_share(configured, around.config.probes)
        heaviest = max((target.weight for target in targets), default=1)
        self.budgets = {limit: self._budget(limit, share, heaviest) for limit in limits}
        self.endpoints = {target.endpoint: self._endpoint(target) for target in targets}
        self.offset = ClockOffset()
        self.skew = Skew()
        self.maintenance = Maintenance(active=False)
        self.streams: list[StreamState] = []
        self._channels: dict[Channel, ChannelMeter] = {}
        for wanted in configured.streams:
            self._add_stream(wanted)

    def tasks(self) -> Iterator[Task]:
        """Give everything of this exchange that must run."""
        for state in self.endpoints.values():
            yield "probe", f"{self.name}/{state.target.endpoint}", partial(self._probe, state)
        for each in self.streams:
            if each.stream is not None:
                yield "stream", f"{self.name}/{each.name}", each.stream.run

    def close(self) -> None:
        """Take every series of this exchange off the page."""
        self._registry.close()

    @property
    def feeds(self) -> Iterator[Feed]:
        """All subscriptions, over all streams."""
        return (watch.feed for stream in self.streams for watch in stream.watches.values())

    @property
    def begun(self) -> bool:
        """Whether every endpoint and stream has had its first turn."""
        return all(s.last or s.skipped for s in self.endpoints.values()) and all(
            s.counts for s in self.streams
        )

    def tick(self, now: float) -> None:
        """Look once at what passes with time alone; ``now`` in epoch seconds."""
        for stream in self.streams:
            for watch in stream.watches.values():
                watch.look(now)
        banned = max((each.banned_until for each in self.budgets.values()), default=0.0)
        self._meter.banned(banned if banned > now else None)
        for limit, each in self.budgets.items():
            self._meter.used(limit.name, each.used_ratio())

    # --- probes -------------------------------------------------------------------------------

    def _budget(self, limit: RestLimit, share: float, heaviest: int) -> budget.Budget:
        rules = budget.Rules(
            weight=limit.weight,
            window=limit.window,
            share=share,
            heaviest=min(heaviest, limit.weight),
        )
        return budget.Budget(rules, self._clock)

    def _endpoint(self, target: Target) -> EndpointState:
        meter = ProbeMeter(
            self._registry,
            self.name,
            target.endpoint,
            phases_of_reused=self._around.config.metrics.phases == "all",
        )
        rules = settings.breaker_rules(self.configured, target.endpoint)
        return EndpointState(target, Breaker(rules, meter.circuit), meter)

    async def _probe(self, state: EndpointState) -> None:
        own = {each.name: each for each in self.venue.endpoints}.get(state.target.endpoint)
        await probe.run(
            state.target,
            fetch=self._around.fetch,
            clock=self._clock,
            readers=probe.Readers(
                fault=self.venue.fault,
                clock=own.clock if own else None,
                status=own.status if own else None,
            ),
            slots=self._around.slots,
            gates=probe.Gates(
                breaker=state.breaker,
                budgets=tuple(self.budgets.values()),
                online=self._around.online,
            ),
            listeners=probe.Listeners(
                report=partial(self._probed, state), skipped=partial(self._skipped, state)
            ),
        )

    def _skipped(self, state: EndpointState, target: Target, skip: Skip) -> None:
        state.skipped = skip
        state.meter.skipped(skip)

    def _probed(self, state: EndpointState, done: Probed) -> None:
        now = self._clock.monotonic()
        state.last, state.skipped = done, None
        state.meter.probed(done)
        state.history.add(now, done.duration if done.ok else None)
        if done.ok:
            state.last_success = done.time + done.duration
        else:
            state.failures.append(done)
        if done.answer is not None:
            self._reconcile(done.answer.headers)
            if done.clock is not None:
                self._set_clock(done.clock, done, done.answer.phases, now)
        if done.maintenance is not None:
            self.maintenance = done.maintenance
            self._meter.maintenance(
                families.MaintenanceSource.VENUE, done.maintenance.active, done.maintenance.end
            )
        self._around.probed(done)

    def _reconcile(self, headers: Mapping[str, str]) -> None:
        for limit, each in self.budgets.items():
            used = headers.get(limit.used_header or "", "")
            left = headers.get(limit.remaining_header or "", "")
            # isdecimal first: a venue's header is untrusted text.
            if used.isdecimal() and len(used) < 10:
                each.reconcile(int(used))
            elif left.isdecimal() and len(left) < 10:
                each.reconcile(max(0, limit.weight - int(left)))

    def _set_clock(
        self, said: float, done: Probed, phases: Mapping[Phase, float], now: float
    ) -> None:
        # The venue read its clock while it processed the request: name, handshakes and body have
        # no part in the round trip.
        processing = phases.get(Phase.PROCESSING, done.duration)
        written = done.time + done.duration - processing - phases.get(Phase.TRANSFER, 0.0)
        offset = self.offset.observe(said, written, processing, _CLOCK_RESOLUTION, now)
        self.skew.offset = offset.value
        self._meter.clock(offset.value, offset.error)

    # --- streams ------------------------------------------------------------------------------

    def _add_stream(self, wanted: settings.Stream) -> None:
        subscriptions = settings.subscriptions(self.configured, wanted, self.venue)
        parts = spread(subscriptions, self.venue)
        for number, part in enumerate(parts, start=1):
            name = wanted.name if len(parts) == 1 else f"{wanted.name}-{number}"
            self._add_connection(name, wanted, part)

    def _add_connection(
        self, name: str, wanted: settings.Stream, part: tuple[Subscription, ...]
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
        watches = {each.topic: self._watch(each) for each in part}
        state = StreamState(name, watches)
        lifetime = self.venue.lifetime
        state.stream = Stream(
            f"{self.name}/{name}",
            self.venue,
            part,
            connect=self._around.dial(
                InboxBounds(frames=capacity, size=limits.queue_bytes, policy=policy),
                InboxMeter(
                    received=children.received_bytes,
                    depth=children.queue_depth,
                    dropped=children.queue_dropped,
                    waited=children.queue_waited,
                ),
                children.ping_rtt,
            ),
            clock=clock,
            meter=_stream_meter(state, children, clock),
            sinks={topic: watch.feed for topic, watch in watches.items()},
            stale_after=lambda topic: watches[topic].liveness.stale_after,
            chance=random,
            urls=self.configured.stream_url,
            fetch=self._around.fetch,
            rest_url=self.configured.rest_url,
            rules=backoff.Rules(base=limits.backoff_base, cap=limits.backoff_cap),
            timing=Timing(
                ack_timeout=limits.ack_timeout,
                idle_after=limits.idle_timeout,
                lifetime=None if lifetime is None else lifetime - uniform(*_ROLLOVER_MARGIN),
            ),
        )
        self.streams.append(state)

    def _watch(self, subscription: Subscription) -> Watch:
        limits, now = self._around.config.streams, self._clock.wall()
        channel = self._channels[subscription.channel]
        patience = Patience(floor=limits.stale_floor, ceiling=limits.stale_ceiling)
        watch = Watch(
            Feed(
                subscription,
                self.venue.sequences,
                self.skew,
                channel.latency,
                channel.negative,
                now,
            ),
            Liveness(patience, last=now),
        )
        FeedMeter(
            self._registry,
            watch.feed,
            channel,
            stale_after=lambda: watch.liveness.stale_after,
            wall=self._clock.wall,
        )
        return watch


def _stream_meter(state: StreamState, children: StreamChildren, clock: Clock) -> StreamMeter:
    """Tell both the metrics and the state that pages show."""

    def attempted(ok: bool) -> None:
        state.attempts += 1
        children.attempted(ok)

    def connected(up: bool) -> None:
        state.connected, state.since = up, clock.wall() if up else None
        children.connected(up)

    def lost(reason: Lost) -> None:
        state.losses, state.lost = state.losses + 1, reason
        children.lost(reason)

    def subscriptions(counts: Mapping[SubscriptionState, int]) -> None:
        state.counts = counts
        children.subscriptions(counts)

    def armed(topic: str) -> None:
        now, watch = clock.wall(), state.watches[topic]
        watch.feed.rearm(now)
        watch.liveness.rearm(now)

    return StreamMeter(
        attempted=attempted,
        connected=connected,
        lost=lost,
        subscriptions=subscriptions,
        armed=armed,
        control=children.control,
        unknown=children.unknown,
        unreadable=children.unreadable,
        processed=children.processed,
    )
