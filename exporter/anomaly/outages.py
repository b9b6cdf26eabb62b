"""Exchanges that are out, noticed at once: by their streams, and by asking without delay."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from math import inf

from exporter.anomaly import alerts, outage
from exporter.anomaly.alerts import AlertOrigin, Claim
from exporter.anomaly.outage import Look, Outage, OutageRule
from exporter.contracts import Clock
from exporter.exchange.exchange import Exchange
from exporter.flow.cooperative import in_cooperative_steps
from exporter.model import Circuit, Reason, Skip
from exporter.probes.attribution import Domain, Symptom, of_probe
from exporter.probes.exchange_probes import OUT_OF_TURN, EndpointState

audit = logging.getLogger("exporter.audit")

_AFTERMATH = 120.0  # seconds in which those that were out with all others are not told one by one
_HELD = 12.0  # seconds of an outage in which it waits for the others: two probes out of turn
_NEARLY_ALL = 0.75  # a greater share than this is out: our side, the path, or what they share


class Outages:
    """Where all exchanges stand. Times are epoch seconds, but ``now``, which is monotonic."""

    def __init__(self) -> None:
        self.rule = OutageRule()
        self._states: dict[str, Outage] = {}
        self._mute: dict[str, float] = {}  # since when no stream of it is connected, epoch seconds
        self._asked: dict[str, float] = {}
        self._began: dict[str, float] = {}  # of those that are out, epoch seconds
        self._seen: dict[str, float] = {}  # when it was last seen that they are, monotonic seconds
        self._standing: dict[str, float] = {}  # of these, those that are seen to be
        self._suspects: set[str] = set()  # who may be out and is not known to be yet
        self._doubts: asyncio.Queue[Exchange] = asyncio.Queue(maxsize=1000)
        self._all_since: float | None = None
        self._all_ended = float("-inf")  # when nearly all were out for the last time
        self._told: set[str] = set()  # who is told to be out by itself
        self._with_streams: dict[str, bool] = {}
        self._providers: dict[str, str] = {}  # of those whose provider is configured

    async def update(self, exchanges: Sequence[Exchange], *, online: bool, clock: Clock) -> bool:
        """Look at all exchanges once, and return whether other alerts should fire than before.

        ``online``: whether our own network works.
        """
        now, wall, before = clock.monotonic(), clock.wall(), self._claimed()
        known = {exchange.name for exchange in exchanges}
        self._providers = {each.name: each.provider for each in exchanges if each.provider}
        for name in self._states.keys() - known:
            self._forget(name)

        def update(exchange: Exchange) -> None:
            self._look(exchange, online=online, now=now, wall=wall)

        await in_cooperative_steps(exchanges, update, clock)
        # What nobody sees any more (our network is gone) is not asserted for longer than what ends.
        self._standing = {
            name: began
            for name, began in self._began.items()
            if now - self._seen.get(name, now) <= self.rule.clear
        }
        share = len(self._standing) / len(known) if known else 0.0
        if len(known) > 1 and share > _NEARLY_ALL:
            self._all_since = wall if self._all_since is None else self._all_since
            self._all_ended = wall
        else:
            self._all_since = None
            # Who was out with all others may only be slower to come back than they.
            late = wall - self._all_ended >= _AFTERMATH
            # Nor is one told by itself while nearly all may be out and are only slower to say so.
            maybe = len(self._standing.keys() | self._suspects)
            held = len(known) > 1 and maybe > _NEARLY_ALL * len(known)
            self._told.update(
                name
                for name, began in self._standing.items()
                if (late or began > self._all_ended)
                and (
                    now - self._states[name].began >= _HELD
                    or not (held or outage.awaited(name, self._suspects, self._providers))
                )
            )
        self._told.intersection_update(self._standing)
        return self._claimed() != before

    def _claimed(self) -> object:
        """Return what the claims say, to see whether it changed."""
        return self._all_since, len(self._standing), frozenset(self._told)

    def out(self, name: str) -> bool:
        """Return whether an exchange is out."""
        return name in self._began

    def resume(self, name: str, since: float, now: float) -> None:
        """Go on with an outage that began at ``since`` and was told by the process before."""
        self._states[name] = Outage(out=True, began=now)
        self._began[name] = self._standing[name] = since
        self._seen[name] = now
        self._told.add(name)

    def claims(self, origin: AlertOrigin) -> Iterator[Claim]:
        """Yield the alerts that should fire now."""
        if self._all_since is not None:
            share = len(self._standing) / len(self._states)
            yield alerts.all_down(origin, share, self._all_since)
        together = outage.shared(self._told, self._providers)
        for name in sorted(together):
            provider = together[name]
            began = sorted(self._began[each] for each in together if together[each] == provider)
            yield alerts.provider_down(origin, provider, name, began[1])
        for name in sorted(self._told):
            streams = self._with_streams.get(name, False)
            yield alerts.down(origin, name, self._began[name], streams=streams)

    async def ask(self) -> None:
        """Probe out of turn whoever is in doubt, until cancelled."""
        async with asyncio.TaskGroup() as questions:
            while True:
                exchange = await self._doubts.get()
                questions.create_task(exchange.probing.ask_now())

    def _forget(self, name: str) -> None:
        for kept in (
            self._states, self._mute, self._asked, self._began, self._seen, self._with_streams
        ):  # fmt: skip
            kept.pop(name, None)
        self._suspects.discard(name)

    def _look(self, exchange: Exchange, *, online: bool, now: float, wall: float) -> None:
        name = exchange.name
        before = self._states.get(name, Outage())
        look = _look_at(exchange)
        if not online or exchange.domain is Domain.SELF:
            look = Look(answers=None, twice=False, streams=None)
        if look.streams is False:
            self._mute.setdefault(name, wall)
        else:
            self._mute.pop(name, None)
        if look.answers is False:
            self._seen[name] = now
        state = self._states[name] = outage.step(before, look, now, self.rule)
        doubtful = not state.out and self._doubtful(exchange, look)
        if doubtful:
            self._doubt(exchange, now)
        if not state.out and (doubtful or look.answers is False or look.streams is False):
            self._suspects.add(name)
        else:
            self._suspects.discard(name)
        if state.out and not before.out:
            self._began[name] = wall - (now - state.began)
            self._with_streams[name] = look.streams is False
            audit.warning(
                "outage_opened exchange=%s since=%.3f streams_down=%s",
                name, self._began[name], self._with_streams[name],
            )  # fmt: skip
        elif before.out and not state.out:
            lasted = wall - self._began.pop(name, wall)
            audit.info("outage_closed exchange=%s lasted_s=%.1f", name, lasted)

    def _doubtful(self, exchange: Exchange, look: Look) -> bool:
        """Return whether asking now would tell what is not known yet."""
        if look.answers is None:
            return False
        if look.streams is False:
            mute = self._mute[exchange.name]
            return any(
                state.last is not None and state.last.time < mute
                for state in exchange.probing.endpoints.values()
            )
        states = exchange.probing.endpoints.values()
        failing = [began for state in states if (began := _failing_since(state)) is not None]
        # What is still up was asked before another endpoint began to fail: its next turn may be
        # half a minute away.
        if failing and any(_up(state) and _asked(state) < max(failing) for state in states):
            return True
        return not look.answers and not look.twice

    def _doubt(self, exchange: Exchange, now: float) -> None:
        asked = self._asked.get(exchange.name)
        if (asked is None or now - asked >= OUT_OF_TURN) and not self._doubts.full():
            self._asked[exchange.name] = now
            self._doubts.put_nowait(exchange)


def _look_at(exchange: Exchange) -> Look:
    connected = None
    for stream in exchange.streams:
        if stream.attempts:
            connected = connected or stream.connected
    endpoints = exchange.probing.endpoints.values()
    for state in endpoints:
        if _up(state):
            return Look(answers=True, twice=False, streams=connected)
    known = endpoints and all(_down(state) for state in endpoints)
    answers = False if known else None
    return Look(answers=answers, twice=all(_twice(s) for s in endpoints), streams=connected)


def _up(state: EndpointState) -> bool:
    return (
        state.last is not None and state.last.ok and state.breaker.state.circuit is not Circuit.OPEN
    )


def _down(state: EndpointState) -> bool:
    """Return whether an endpoint fails by itself, not for our network or for asking too much."""
    if state.last is None or state.skipped is Skip.LOCAL_NETWORK:
        return False
    reason = state.last.reason
    return reason is None or of_probe(reason) not in (Symptom.REFUSED, Symptom.UNASKED)


def _asked(state: EndpointState) -> float:
    """Return when an endpoint was last asked, or meant to be, in epoch seconds."""
    if state.last is None or state.skipped is not None:
        return inf
    return state.last.time


def _failing_since(state: EndpointState) -> float | None:
    """Return when the first of the failures in a row began, in epoch seconds, None if it is up."""
    if state.last is None or state.last.ok or not _down(state):
        return None
    return next(_failed_since(state), None)


def _twice(state: EndpointState) -> bool:
    if state.breaker.state.circuit is Circuit.OPEN:
        return True
    return len(list(_failed_since(state))) > 1


def _failed_since(state: EndpointState) -> Iterator[float]:
    """Yield when each failure of the other side began, of those since the last success."""
    success = state.last_success or 0.0
    return (
        failure.time
        for failure in state.failures
        if failure.time > success and failure.reason is not Reason.LOCAL_RESOURCE
    )
