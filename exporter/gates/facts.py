"""What is known of an exchange, as the facts that a gate is decided by."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from exporter.exchange.exchange import Exchange
from exporter.gates.decision import GateFact
from exporter.maintenance import TradingMode
from exporter.model import Circuit, Lost, Need, SilenceVerdict, SubscriptionState
from exporter.probes.exchange_probes import EndpointState
from exporter.streams.exchange_books import LocalBook
from exporter.streams.stream_state import StreamState, WatchedSubscription

_TURNS = 3.0  # intervals for which an endpoint's answer stands
_LOOK = 3.0  # seconds for which stands what is known by looking, and not by an answer
_OF_SYMBOLS = frozenset({Need.FEED, Need.BOOK, Need.LIQUIDITY})
# Whether an unknown mode leaves cancelling is not known: it does not count as that.
_CANCELLABLE = (
    TradingMode.AUCTION,
    TradingMode.LIMIT_ONLY,
    TradingMode.POST_ONLY,
    TradingMode.REDUCE_ONLY,
    TradingMode.CANCEL_ONLY,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to ask of each exchange; no ``symbols`` are all that it watches. Offsets in seconds."""

    needs: frozenset[Need]
    symbols: frozenset[str]
    clock_offset: float


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment on both clocks: epoch seconds, and monotonic seconds."""

    wall: float
    monotonic: float

    def after(self, then: float, bound: float) -> float:
        """Return when something of ``then`` (epoch seconds) is ``bound`` seconds old, monotonic."""
        return self.then(then) + bound

    def then(self, wall: float) -> float:
        """Return the monotonic time of a moment, epoch seconds."""
        return self.monotonic - (self.wall - wall)


def of_exchange(exchange: Exchange, wanted: Wanted, now: Moment) -> Iterator[GateFact]:
    """Yield every fact that is asked for: one for each endpoint, subscription and book."""
    needs = wanted.needs
    endpoints = exchange.probing.endpoints.values()
    if Need.PROBE in needs:
        for endpoint in endpoints:
            yield _probe(exchange, endpoint, now)
    if Need.CLOCK in needs:
        yield _clock(exchange, wanted.clock_offset, now)
    if Need.MODE in needs:
        yield _mode(exchange, now)
        if exchange.states.on:
            yield from _market_modes(exchange, wanted.symbols, now)
    if needs & _OF_SYMBOLS:
        yield from _unlisted(exchange, wanted, now)
    for stream in exchange.streams if needs & _OF_SYMBOLS else ():
        for topic, watch in stream.watches.items():
            if not _watched(watch, wanted.symbols):
                continue
            if Need.FEED in needs:
                yield _feed(exchange, stream, topic, watch, now)
            if Need.BOOK in needs and watch.book is not None:
                yield _book(exchange, stream, watch, now)
            if Need.LIQUIDITY in needs and watch.book is not None:
                yield _liquidity(exchange, watch, watch.book, now)


def elsewhere(name: str, now: Moment) -> GateFact:
    """Return what is known of an exchange that another process watches: nothing."""
    return _lacking(Need.PROBE, name, "not watched by this process", now, good=None)


def _watched(watch: WatchedSubscription, symbols: Collection[str]) -> bool:
    return not symbols or watch.feed.subscription.instrument in symbols


def _unlisted(exchange: Exchange, wanted: Wanted, now: Moment) -> Iterator[GateFact]:
    """Yield what is missing of markets that patterns stand for: a list, or one of them in it."""
    markets = exchange.markets
    need = next(each for each in Need if each in wanted.needs & _OF_SYMBOLS)
    if not markets.known:
        where = f"{exchange.name} markets"
        yield _lacking(need, where, "not listed yet", now, good=None)
    followed = {feed.subscription.instrument for feed in exchange.feeds}
    for name in sorted(wanted.symbols - followed):
        if markets.may_list(name):
            yield _lacking(
                need, f"{exchange.name} {name}", "not among the markets that are followed", now
            )


def _probe(exchange: Exchange, endpoint: EndpointState, now: Moment) -> GateFact:
    last, target = endpoint.last, endpoint.target
    where = f"{exchange.name} {target.endpoint}"
    if last is None:
        return _lacking(Need.PROBE, where, "not asked yet", now, good=None, bars_cancel=True)
    until = now.after(last.time + last.duration, _standing(endpoint))
    why = ""
    if last.reason is not None:
        why = f"last probe failed: {last.reason}"
    elif endpoint.breaker.state.circuit is Circuit.OPEN:
        why = "its circuit breaker is open"
    return GateFact(
        need=Need.PROBE,
        where=where,
        good=not why,
        until=until,
        why=why,
        bars_cancel=True,
        since=now.then(endpoint.failures[-1].time) if endpoint.failures else -math.inf,
    )


def _standing(endpoint: EndpointState) -> float:
    """Return how long an answer stands, in seconds."""
    return _TURNS * endpoint.target.interval + endpoint.target.timeout


def _clock(exchange: Exchange, most: float, now: Moment) -> GateFact:
    where = f"{exchange.name} clock"
    read = [each for each in exchange.probing.endpoints.values() if each.tells_time]
    answered = [each for each in read if each.last_success is not None]
    try:
        offset = exchange.probing.offset.read(now.monotonic)
    except LookupError:
        return _lacking(Need.CLOCK, where, "not read yet", now, good=None)
    until = max(
        (now.after(each.last_success or 0.0, _standing(each)) for each in answered),
        default=now.monotonic,
    )
    far = abs(offset.value) + offset.error
    why = f"its clock may be {far:.3f} s from ours, allowed are {most:g} s" if far > most else ""
    return GateFact(need=Need.CLOCK, where=where, good=not why, until=until, why=why)


def _mode(exchange: Exchange, now: Moment) -> GateFact:
    where = f"{exchange.name} mode"
    probing = exchange.probing
    if probing.maintenance.active:
        title = probing.maintenance.title or "maintenance"
        return _lacking(Need.MODE, where, f"in maintenance: {title}", now, bars_cancel=True)
    mode = probing.said.mode
    if mode is not None and mode is not TradingMode.TRADING:
        barred = mode not in _CANCELLABLE
        return _lacking(Need.MODE, where, f"trading is restricted: {mode}", now, bars_cancel=barred)
    # Who says nothing of maintenance is no reason to wait for ever: `check` names those venues.
    said = [each for each in probing.endpoints.values() if each.own and each.own.status]
    if not said:
        return GateFact(need=Need.MODE, where=where, good=True, until=now.monotonic + _LOOK)
    answered = [each for each in said if each.last_success is not None]
    if not answered:
        return _lacking(Need.MODE, where, "its status was not read yet", now, good=None)
    until = min(now.after(each.last_success or 0.0, _standing(each)) for each in answered)
    return GateFact(need=Need.MODE, where=where, good=True, until=until)


def _market_modes(exchange: Exchange, symbols: Collection[str], now: Moment) -> Iterator[GateFact]:
    """Yield what may be done in each market, as the venue's lists say."""
    for name in exchange.wanted():
        if symbols and name not in symbols:
            continue
        where, state = f"{exchange.name} {name} mode", exchange.states.states.get(name)
        if state is None:
            yield _lacking(Need.MODE, where, "its state was not read yet", now, good=None)
            continue
        mode, until = state.listed.mode, state.read + exchange.states.standing
        if mode is TradingMode.TRADING:
            yield GateFact(need=Need.MODE, where=where, good=True, until=until)
        else:
            why = f"trading in it is restricted: {mode}"
            yield _lacking(Need.MODE, where, why, now, bars_cancel=mode not in _CANCELLABLE)


def _feed(
    exchange: Exchange, stream: StreamState, topic: str, watch: WatchedSubscription, now: Moment
) -> GateFact:
    feed, what = watch.feed, watch.feed.subscription
    where = f"{exchange.name} {what.instrument} {what.channel}"
    if not stream.connected:
        return _lacking(Need.FEED, where, f"not connected: {stream.lost or 'not yet'}", now)
    state = stream.subscription(topic)
    if state is SubscriptionState.REJECTED:
        return _lacking(Need.FEED, where, f"refused: {stream.refusal(topic)[:100]}", now)
    if not feed.count:
        return _lacking(Need.FEED, where, "nothing came yet", now, good=None)
    quiet = watch.checked is not None and watch.checked.verdict is SilenceVerdict.QUIET
    age, bound = now.wall - feed.last, watch.stale_after
    if age > bound and not quiet:
        return _lacking(Need.FEED, where, f"silent for {age:.0f} s, usual are {bound:.0f} s", now)
    # A connection that takes over carries on; after any other loss something was missed.
    lost = stream.since is not None and stream.lost is not Lost.PLANNED
    if lost and feed.last < (stream.since or 0.0) and not quiet:
        return _lacking(Need.FEED, where, "nothing came since it is connected", now, good=None)
    until = now.monotonic + _LOOK if quiet else now.after(feed.last, bound)
    return GateFact(need=Need.FEED, where=where, good=True, until=until, since=_joined(stream, now))


def _joined(stream: StreamState, now: Moment) -> float:
    """Return since when it is connected, monotonic seconds."""
    return -math.inf if stream.since is None else now.then(stream.since)


def _book(
    exchange: Exchange, stream: StreamState, watch: WatchedSubscription, now: Moment
) -> GateFact:
    assert watch.book is not None  # noqa: S101 - the caller looked
    feed, sync = watch.feed, watch.book.sync
    where = f"{exchange.name} {feed.subscription.instrument} book"
    if not sync.synced or not stream.connected:
        return _lacking(Need.BOOK, where, f"being built anew: {sync.reason}", now)
    if sync.book.touching:
        return _lacking(Need.BOOK, where, "its best bid is not below its best ask", now)
    until = now.after(feed.last, watch.stale_after)
    return GateFact(need=Need.BOOK, where=where, good=True, until=until, since=_joined(stream, now))


def _liquidity(
    exchange: Exchange, watch: WatchedSubscription, book: LocalBook, now: Moment
) -> GateFact:
    where = f"{exchange.name} {watch.feed.subscription.instrument} depth"
    measured = book.liquidity
    if measured is None:
        return _lacking(Need.LIQUIDITY, where, "not measured", now, good=None)
    if measured.lacking is None:
        why = "its order book is not in step, or what is usual is not known yet"
        return _lacking(Need.LIQUIDITY, where, why, now, good=None)
    if measured.lacking:
        return _lacking(Need.LIQUIDITY, where, "; ".join(measured.lacking), now)
    heard = now.after(watch.feed.last, watch.stale_after)
    until = min(measured.looked + measured.stands, heard)
    return GateFact(need=Need.LIQUIDITY, where=where, good=True, until=until)


def _lacking(
    need: Need,
    where: str,
    why: str,
    now: Moment,
    *,
    good: bool | None = False,
    bars_cancel: bool = False,
) -> GateFact:
    """Return what is bad, or with ``good`` None not known."""
    return GateFact(
        need=need, where=where, good=good, until=now.monotonic, why=why, bars_cancel=bars_cancel
    )
