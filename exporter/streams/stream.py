"""Keeps one stream running: connects, subscribes, reads, and reconnects when the connection ends.

A stream is one connection's worth of subscriptions (`spread`). What to send and when to give up
is `session.py`'s to say, how two connections join is `handover.py`'s; this file waits and does it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import ceil

from exporter.contracts import (
    Clock,
    Connect,
    ConnectionLostError,
    Fetch,
    FetchFailedError,
    Prelude,
    Socket,
    Venue,
)
from exporter.decoding import ParseError
from exporter.flow import backoff
from exporter.flow.addresses import Addresses
from exporter.model import Answer, Data, Lost, Reason, Subscription, SubscriptionState
from exporter.streams.admission import ConnectAdmission
from exporter.streams.connection import Sink, StreamConnection, StreamListener
from exporter.streams.handover import Handover
from exporter.streams.session import Session, Timing
from exporter.words import quoted

log = logging.getLogger(__name__)

_JOIN_PATIENCE = 15.0  # seconds that a successor is given to bring all of its topics
_JOIN_LOOK = 0.05  # seconds between two looks at how far it is
_SIFT_FOR = 5.0  # seconds for which a successor may repeat what its predecessor said
_PRELUDE_TIMEOUT, _PRELUDE_LIMIT = 10.0, 1 << 20  # seconds, bytes
_NO_FAULT = (Lost.PLANNED, Lost.SHUTDOWN)
_DEAF = (Lost.IDLE, Lost.PING_TIMEOUT)  # nothing comes through, however long it did


def spread(
    subscriptions: Sequence[Subscription], venue: Venue
) -> tuple[tuple[Subscription, ...], ...]:
    """Spread subscriptions over as few connections as the venue allows, evenly, in order.

    One connection carries one of the venue's routes. Two channels that share a topic (one feed
    for trades and book, say) count once and stay together.
    """
    routes: dict[tuple[str, str], dict[str, list[Subscription]]] = {}
    for one in subscriptions:
        route = venue.route(one.channel, one.product, one.symbol)
        routes.setdefault(route, {}).setdefault(one.topic, []).append(one)
    connections: list[tuple[Subscription, ...]] = []
    for topics in routes.values():
        groups = list(topics.values())
        count = ceil(len(groups) / venue.topics_per_connection)
        for number in range(count):
            start, stop = number * len(groups) // count, (number + 1) * len(groups) // count
            connections.append(tuple(one for group in groups[start:stop] for one in group))
    return tuple(connections)


class _SuccessionError(Exception):
    """Ends the loops of a connection whose successor takes over."""


class Stream:
    """One connection's worth of subscriptions, kept alive by `run` until that is cancelled.

    ``sinks`` has one entry per topic. ``stale_after`` gives the longest normal silence of a topic
    in seconds, None for no limit. ``timing.lifetime`` (seconds, jitter included) is when a
    successor is connected, before the venue ends the connection by rule. ``urls`` are equal, the
    first preferred: the next is tried where one is dead, and that one again some minutes later.
    ``chance`` draws from [0, 1).
    ``admission`` is what all streams of the exchange share.
    """

    def __init__(
        self,
        name: str,
        venue: Venue,
        subscriptions: Sequence[Subscription],
        *,
        connect: Connect,
        clock: Clock,
        meter: StreamListener,
        sinks: Mapping[str, Sink],
        stale_after: Callable[[str], float | None],
        chance: Callable[[], float],
        admission: ConnectAdmission,
        urls: Sequence[str] = (),
        fetch: Fetch | None = None,
        rest_url: str | None = None,
        rules: backoff.BackoffRules | None = None,
        timing: Timing | None = None,
    ) -> None:
        if venue.prelude is not None and fetch is None:
            raise ValueError(f"{venue.name} must be asked over REST before its stream is opened")
        self._name, self._venue = name, venue
        self._follow(subscriptions)
        self._connect, self._clock, self._meter = connect, clock, meter
        self._sinks, self._stale_after, self._chance = dict(sinks), stale_after, chance
        self._admission = admission
        self._rest = 0.0  # seconds that the venue's last refusal asked for
        routes = (venue.route(one.channel, one.product, one.symbol) for one in subscriptions)
        route = next(routes, ("", ""))
        self._addresses = Addresses(
            name,
            [venue.stream_url(url, route) for url in urls or venue.stream_urls] or [""],
            clock.monotonic,
        )
        self.address = self._addresses.current  # the URL connected to, or tried last
        self._fetch, self._rest_url = fetch, rest_url or venue.rest_url
        self._rules, self._timing = rules or backoff.BackoffRules(), timing or Timing()
        self._blamed: set[str] = set()
        self._backoff = backoff.BackoffState()
        self._link: StreamConnection | None = None
        self._tap: Callable[[float, bytes], None] | None = None
        self._successor: tuple[StreamConnection, Handover] | None = (
            None  # warming up beside `_link`
        )

    async def run(self) -> None:
        """Stay connected until cancelled. Raises only on internal errors."""
        self._down()
        while True:
            link = await self._wait_open()
            leaving: Socket | None = None
            while True:
                self._link, link.shown = link, True
                self._tap_link()
                self._meter.connected(True)
                successor = await self._serve(link, leaving)
                if successor is None:
                    break
                leaving, link = link.socket, successor
            self._link = None
            await self._wait_backoff(self._clock.monotonic() - link.opened)

    def state(self, topic: str) -> SubscriptionState:
        """Return the state of a topic on the connection that feeds the sinks."""
        watched = None if self._link is None else self._link.session.watched.get(topic)
        return SubscriptionState.REQUESTED if watched is None else watched.state

    def refusal(self, topic: str) -> str:
        """Return the venue's reason for rejecting a topic; empty where it does not."""
        if self.state(topic) is not SubscriptionState.REJECTED or self._link is None:
            return ""
        return self._link.session.watched[topic].reason

    def resubscribe(self, topic: str) -> None:
        """Leave and join one topic, for a fresh snapshot say; nothing while not connected."""
        if self._link is not None:
            self._link.session.resubscribe((topic,))
            self._meter.armed(topic)

    def join(self, subscriptions: Sequence[Subscription], sinks: Mapping[str, Sink]) -> None:
        """Subscribe to more, of the same route, on this connection and on all that come."""
        self._sinks |= sinks
        self._follow((*self._subscriptions, *subscriptions))
        if self._link is not None:
            passed = None if self._successor is None else self._successor[1].passed
            self._link.join(
                subscriptions,
                lambda topic: _both(passed, sinks[topic]) if passed else sinks[topic],
            )
        if self._successor is not None:
            successor, handover = self._successor
            successor.join(subscriptions, lambda topic: handover.hold)
        for topic in sinks:
            self._meter.armed(topic)

    def leave(self, topics: Collection[str]) -> None:
        """Subscribe to some topics no more, on this connection and on all that come."""
        self._follow([one for one in self._subscriptions if one.topic not in topics])
        for link in (self._link, None if self._successor is None else self._successor[0]):
            if link is not None:
                link.leave(topics)
        for topic in topics:
            self._sinks.pop(topic, None)
            self._blamed.discard(topic)

    def _follow(self, subscriptions: Sequence[Subscription]) -> None:
        self._subscriptions = tuple(subscriptions)
        self._symbols = {one.topic: one.symbol for one in subscriptions}
        self._topics = tuple(self._symbols)

    @contextmanager
    def tapped(self, take: Callable[[float, bytes], None]) -> Iterator[None]:
        """Show ``take`` each frame before it is decoded, for as long as this is entered.

        One at a time: who comes later takes the place of who came before.
        """
        self._tap = take
        self._tap_link()
        try:
            yield
        finally:
            if self._tap is take:
                self._tap = None
                self._tap_link()

    def sample(self, take: Callable[[bytes], None]) -> None:
        """Show ``take`` the next frame, once, unless frames are looked at already."""
        taken: list[bytes] = []

        def end() -> None:
            if self._tap is once:
                self._tap = None
                self._tap_link()
            take(taken[0])

        def once(received: float, frame: bytes) -> None:
            if not taken:
                asyncio.get_running_loop().call_soon(end)  # not amid the batch
                taken.append(frame)

        if self._tap is None:
            self._tap = once
            self._tap_link()

    def _tap_link(self) -> None:
        if self._link is not None:
            self._link.tap(self._tap)

    # --- opening ------------------------------------------------------------------------------

    async def _wait_open(self) -> StreamConnection:
        while True:
            try:
                link = await self._open()
            except ConnectionLostError:
                await self._wait_backoff(0.0)
                continue
            link.route(self._sinks.__getitem__)
            for topic in self._topics:
                self._meter.armed(topic)
            return link

    async def _open(self) -> StreamConnection:
        """Open one connection. Raises ConnectionLostError, counted and logged."""
        await self._admission.wait_attempt()
        try:
            await self._choose()
            socket = await self._connect(self.address)
        except ConnectionLostError as error:
            if error.answer is not None:
                self._rest = self._admission.refused(error.answer)
            ours = error.reason is Lost.LOCAL_RESOURCE
            if not ours and (error.answer is None or _gone(error.answer)):
                self._addresses.failed(self.address)
            self._meter.attempted(False)
            self._meter.failed(error, None)
            log.warning("stream_refused stream=%s reason=%r", self._name, str(error)[:300])
            raise
        self._meter.attempted(True)
        url = self.address
        now = self._clock.monotonic()
        session = Session(
            self._venue,
            self._topics,
            now=now,
            timing=self._timing,
            stale_after=self._stale_after,
            blamed=self._blamed,
            symbols=self._symbols,
        )
        return StreamConnection(
            self._name,
            socket,
            session,
            parse=self._venue.reader(url),
            timed=self._venue.timed,
            subscriptions=self._subscriptions,
            clock=self._clock,
            meter=self._meter,
            opened=now,
            url=url,
        )

    async def _choose(self) -> None:
        """Find out where to connect to. Raises ConnectionLostError."""
        prelude = self._venue.prelude
        if prelude is not None and self._fetch is not None:
            self.address = await self._ask(prelude, self._fetch)
        else:
            self.address = self._addresses.pick()

    async def _ask(self, prelude: Prelude, fetch: Fetch) -> str:
        await self._admission.wait_request(prelude.weight)
        try:
            answer = await fetch(
                prelude.method,
                self._rest_url + prelude.path,
                headers={},
                timeout=_PRELUDE_TIMEOUT,
                body_limit=_PRELUDE_LIMIT,
            )
            if answer.status != 200 or self._venue.fault(answer) is not None:
                detail = f"prelude: HTTP {answer.status}: {quoted(answer.body[:100])}"
                raise ConnectionLostError(Lost.NETWORK, detail, answer=answer)
            self._admission.answered(answer)
            return prelude.read(answer.body)
        except FetchFailedError as error:
            ours = error.reason is Reason.LOCAL_RESOURCE
            reason = Lost.LOCAL_RESOURCE if ours else Lost.NETWORK
            raise ConnectionLostError(reason, f"prelude: {error}") from error
        except ParseError as error:
            raise ConnectionLostError(Lost.PROTOCOL_ERROR, f"prelude: {error}") from error

    async def _wait_backoff(self, lived: float) -> None:
        self._backoff, wait = backoff.step(self._backoff, lived, self._rules, self._chance())
        await self._pause(wait)

    async def _pause(self, wait: float | None) -> None:
        """Wait before the next attempt, no less than the venue has asked for."""
        rest, self._rest = self._rest, 0.0
        await self._clock.sleep(max(rest, self._rules.cap if wait is None else wait))

    # --- one connection -----------------------------------------------------------------------

    async def _serve(
        self, link: StreamConnection, leaving: Socket | None
    ) -> StreamConnection | None:
        """Run one connection to its end; return the successor that takes over, if there is one.

        ``leaving`` is its predecessor's socket, closed meanwhile.
        """
        lost = ConnectionLostError(Lost.SHUTDOWN)  # stays so when we are cancelled
        try:
            async with asyncio.TaskGroup() as tasks:
                if leaving is not None:
                    tasks.create_task(leaving.close(), name=f"{self._name} leave")
                tasks.create_task(link.read(), name=f"{self._name} read")
                tasks.create_task(link.watch(), name=f"{self._name} watch")
                tasks.create_task(self._succeed(link), name=f"{self._name} succeed")
        except BaseExceptionGroup as group:
            lost = _ending(group)
        finally:
            await self._part(link, lost)
        if self._successor is None:
            return None
        (successor, handover), self._successor = self._successor, None
        self._promote(successor, handover)
        return successor

    async def _part(self, link: StreamConnection, lost: ConnectionLostError) -> None:
        """Say that a connection ended, and close it unless its successor will."""
        self._meter.lost(lost.reason)
        lived = self._clock.monotonic() - link.opened
        if lost.reason not in _NO_FAULT:
            self._meter.failed(lost, lived)
            if lived < self._rules.reset_after or lost.reason in _DEAF:
                self._addresses.failed(link.url)
            else:
                self._addresses.worked(link.url)
        log.log(
            logging.INFO if lost.reason in _NO_FAULT else logging.WARNING,
            "stream_lost stream=%s reason=%s code=%s detail=%r lived_s=%.1f",
            self._name,
            lost.reason,
            lost.code,
            lost.detail[:200],
            lived,
        )
        successor = self._successor
        if successor is None or lost.reason is Lost.SHUTDOWN:
            self._down()
            try:
                await link.socket.close()
            finally:
                if successor is not None:
                    await successor[0].socket.close()

    def _down(self) -> None:
        self._meter.connected(False)
        counts = dict.fromkeys(SubscriptionState, 0)
        counts[SubscriptionState.REQUESTED] = len(self._topics)
        self._meter.subscriptions(counts)

    # --- succession ---------------------------------------------------------------------------

    async def _succeed(self, link: StreamConnection) -> None:
        """When asked to, bring up the connection that will take over, then end this one.

        Raises _SuccessionError, in a group, when the successor is ready.
        """
        await link.renew.wait()
        state = backoff.BackoffState()
        while True:
            try:
                successor = await self._open()
            except ConnectionLostError:
                pass
            else:
                await self._warm(link, successor)
            state, wait = backoff.step(state, 0.0, self._rules, self._chance())
            await self._pause(wait)

    async def _warm(self, link: StreamConnection, successor: StreamConnection) -> None:
        """Hold a successor's events until they join on to those of ``link``, or it is lost."""
        handover = Handover()
        self._successor = successor, handover
        successor.route(lambda topic: handover.hold)
        successor.missed = handover.miss
        link.route(lambda topic: _both(handover.passed, self._sinks[topic]))
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(successor.read(), name=f"{self._name} successor read")
                tasks.create_task(successor.watch(), name=f"{self._name} successor watch")
                tasks.create_task(_wait_joined(successor, handover, self._clock))
        except* ConnectionLostError as group:
            self._successor = None
            link.route(self._sinks.__getitem__)
            log.warning("stream_successor_lost stream=%s reason=%s", self._name, _first(group))
        await successor.socket.close()

    def _promote(self, successor: StreamConnection, handover: Handover) -> None:
        """Hand over what the successor held, and let it feed the sinks from now on."""
        self._link = successor
        for topic in filter(handover.torn, self._topics):
            self._meter.armed(topic)
        successor.missed = self._meter.missed
        for event, received in handover.release():
            if not isinstance(event, Data):
                self._meter.missed(event)
            elif sink := self._sinks.get(event.topic):  # None: it was left meanwhile
                sink(event, received)
        until = self._clock.wall() + _SIFT_FOR
        successor.route(lambda topic: self._sift(successor, handover, topic, until))

    def _sift(self, link: StreamConnection, handover: Handover, topic: str, until: float) -> Sink:
        """Pass on the first event that the old connection had not delivered, and all after it."""
        sink = self._sinks[topic]

        def sift(event: Data, received: float) -> None:
            # Numbers that start anew with each connection would never be fresh: hence the limit.
            if received >= until or handover.fresh(event, received):
                link.reroute(topic, sink)
                sink(event, received)

        return sift


async def _wait_joined(successor: StreamConnection, handover: Handover, clock: Clock) -> None:
    """Wait until the successor can take over, as far as patience and room reach."""
    give_up = clock.monotonic() + _JOIN_PATIENCE
    while clock.monotonic() < give_up and not handover.full:
        session = successor.session
        live = (t for t, w in session.watched.items() if w.state is not SubscriptionState.REJECTED)
        if session.settled and all(handover.joined(topic) for topic in live):
            break
        await clock.sleep(_JOIN_LOOK)
    raise _SuccessionError


def _gone(answer: Answer) -> bool:
    """Return whether an address serves no streams, rather than us none."""
    return answer.status in (404, 410) or answer.status >= 500


def _both(first: Sink, second: Sink) -> Sink:
    def sink(event: Data, received: float) -> None:
        first(event, received)
        second(event, received)

    return sink


def _ending(group: BaseExceptionGroup[BaseException]) -> ConnectionLostError:
    """Say how a connection ended. Raises what is neither a loss nor a planned change."""
    planned, others = group.split(_SuccessionError)
    broken, fault = (None, None) if others is None else others.split(ConnectionLostError)
    if fault is not None:
        raise fault
    _untie(group)
    if planned is not None or broken is None:
        return ConnectionLostError(Lost.PLANNED)
    return _first(broken)


def _untie(error: BaseException) -> None:
    """Let go of where an error was raised, and whatever came before it.

    The frames there hold the error and the connection with its buffers: a ring that only a full
    round of the garbage collector would break, megabytes later.
    """
    error.__traceback__ = None
    behind = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for each in (error.__cause__, error.__context__, *behind):
        if each is not None and each.__traceback__ is not None:
            _untie(each)


def _first(group: BaseExceptionGroup[ConnectionLostError]) -> ConnectionLostError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
