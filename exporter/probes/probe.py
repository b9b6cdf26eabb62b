"""Probes: one request and the evaluation of its answer, and the schedule that repeats it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from functools import partial
from math import floor
from typing import Protocol, TypeAlias

from exporter import expectations
from exporter.contracts import Clock, Fetch, FetchFailedError
from exporter.decoding import DOUBTFUL
from exporter.expectations import Document
from exporter.flow.backoff import http_date, retry_after
from exporter.flow.breaker import Breaker, Permit
from exporter.flow.patterns import AT_ONCE, SEARCHES
from exporter.flow.rate_limit import Ban
from exporter.flow.workers import WorkersBusyError
from exporter.maintenance import Maintenance
from exporter.model import Answer, ConnectAttempt, Probed, Reason, Skip, Target
from exporter.probes.schedule import first_due, first_turn
from exporter.probes.schedule import phase as phase
from exporter.redact import Redactor
from exporter.words import quoted

_REDIRECTS = (301, 302, 303, 307, 308)  # RFC 9110, section 15.4, those with a Location to follow
_READ = 4096  # bytes of a body in which secrets are looked for before it is cut

# --- one probe ----------------------------------------------------------------------------------


def _nothing_wrong(answer: Answer) -> Reason | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Readers:
    """What a venue knows of its answers: hidden faults, its clock, its state.

    What the config says of an endpoint's clock and maintenance comes first.
    """

    fault: Callable[[Answer], Reason | None] = _nothing_wrong
    clock: Callable[[bytes], float] | None = None
    status: Callable[[bytes], Maintenance] | None = None


async def probe(
    target: Target, fetch: Fetch, clock: Clock, readers: Readers, late: float = 0.0
) -> Probed:
    """Send one request and evaluate the answer. Failures are returned, not raised."""
    time, begun = clock.wall(), clock.monotonic()
    answer: Answer | None = None
    reason: Reason | None
    end: float | None
    seen: _Seen | None = None
    attempts: tuple[ConnectAttempt, ...]
    try:
        answer = await fetch(
            target.method,
            target.url,
            headers=target.headers,
            timeout=target.timeout,
            body_limit=target.body_limit,
            body=target.body,
        )
    except FetchFailedError as error:
        duration = clock.monotonic() - begun
        reason, detail, end = error.reason, error.detail, error.certificate_end
        attempts = error.attempts
    else:
        duration = max(0.0, clock.monotonic() - begun - answer.unread - answer.held)
        end, attempts = answer.certificate_end, answer.attempts
        reason, detail, seen = await _judged(target, answer, readers, time)
    return Probed(
        exchange=target.exchange,
        endpoint=target.endpoint,
        time=time,
        duration=duration,
        late=late,
        reason=reason,
        answer=answer,
        retry_after=None if answer is None or reason is None else _retry_after(answer, time),
        clock=seen.clock if seen else None,
        maintenance=seen.maintenance if seen else None,
        certificate_end=end,
        chain_end=None if answer is None else answer.chain_end,
        attempts=attempts,
        detail=detail,
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    clock: float | None
    maintenance: Maintenance | None


_Judgement: TypeAlias = tuple[Reason | None, str, _Seen | None]


async def _judged(target: Target, answer: Answer, readers: Readers, wall: float) -> _Judgement:
    """Judge an answer; beside the event loop where patterns are looked for in a long one."""
    judge = partial(_judge, target, answer, readers, wall)
    searched = any(each.matches is not None for each in target.expect) or (
        target.maintenance is not None and target.maintenance.when.matches is not None
    )
    if not searched or len(answer.body) <= AT_ONCE:
        return judge()
    try:
        async with asyncio.timeout(target.timeout):
            return await SEARCHES.run(judge)
    except (TimeoutError, WorkersBusyError) as error:
        why = str(error) or "looking for the patterns of the config takes longer than the timeout"
        return Reason.BODY_INVALID, why, None


def _judge(target: Target, answer: Answer, readers: Readers, wall: float) -> _Judgement:
    """Say what is wrong with an answer, if anything, and read what it tells."""
    document, rule = Document(answer.body, answer.headers), target.maintenance
    told = None if rule is None else expectations.maintenance(rule, document, wall)
    unsound = None if told is None else _Seen(None, told)
    try:
        reason = _fault(target, answer, readers) or _status_reason(answer.status, target)
        if reason is not None:
            return reason, _said(answer, target), unsound
        complaint = expectations.unmet(target.expect, document, wall, target.hidden)
        if complaint:
            return Reason.BODY_INVALID, complaint, unsound
        seen = _Seen(_clock(target, answer, document, readers), told)
        if told is None and readers.status is not None:
            seen = _Seen(seen.clock, readers.status(answer.body))
    except DOUBTFUL as error:
        wrong = Redactor(target.hidden).over(str(error))[:100]
        return Reason.BODY_INVALID, f"{wrong}: {_excerpt(answer.body, target)}"[:300], unsound
    return None, "", seen


def _fault(target: Target, answer: Answer, readers: Readers) -> Reason | None:
    """Ask the venue what an answer hides; the answer to HEAD has no body that could hide much."""
    reason = readers.fault(answer)
    return None if reason is Reason.BODY_INVALID and target.method == "HEAD" else reason


def _clock(target: Target, answer: Answer, document: Document, readers: Readers) -> float | None:
    if target.clock is not None:
        return expectations.clock(target.clock, document)
    return None if readers.clock is None else readers.clock(answer.body)


def _status_reason(status: int, target: Target) -> Reason | None:
    if status in target.statuses:
        return None
    if status == 429:
        return Reason.RATE_LIMITED
    if status == 451:
        return Reason.REGION_REFUSED
    if status in _REDIRECTS:
        return Reason.REDIRECT
    if 400 <= status < 500:
        return Reason.HTTP_4XX
    return Reason.HTTP_5XX if 500 <= status < 600 else Reason.OTHER


def _said(answer: Answer, target: Target) -> str:
    """Return what a refusal says in short: its status, where it leads, how its body begins."""
    where = answer.headers.get("location")
    leads = "" if where is None else f" to {Redactor(target.hidden).over(where)[:200]}"
    return f"status {answer.status}{leads}: {_excerpt(answer.body, target)}"


def _excerpt(body: bytes, target: Target) -> str:
    """Return a body's beginning, without what we sent: hidden before it is cut."""
    text = body[:_READ].decode("utf-8", "replace")
    return quoted(Redactor(target.hidden).over(text)[:200])


def _retry_after(answer: Answer, wall: float) -> float | None:
    text = answer.headers.get("retry-after")
    if text is None:
        return None
    # A date is written by the server's clock; its Date header takes our own clock out of it.
    date = http_date(answer.headers.get("date", ""))
    return retry_after(text, wall if date is None else date)


# --- the schedule -------------------------------------------------------------------------------


class Allowance(Protocol):
    """The interface of a rate budget: weight in order within a time, and a ban."""

    async def wait_acquired(self, weight: int, timeout: float) -> None: ...

    def ban(self, duration: float) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """The conditions that a due probe must pass before its request is sent, in this order."""

    breaker: Breaker
    budgets: tuple[Allowance, ...] = ()
    online: Callable[[], bool] = lambda: True  # whether our own network works
    maintenance: Callable[[], bool] = lambda: False  # whether probes are to pause for it
    banned: Callable[[], bool] = lambda: False  # whether the exchange told us to stay away


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """Callbacks for every probe that was sent, and for every one that was due but skipped."""

    report: Callable[[Probed], None]
    skipped: Callable[[Target, Skip], None]


# Where a venue refuses without saying for how long. Binance bans for 2 minutes at least.
_PAUSES = {Reason.RATE_LIMITED: 30.0, Reason.BANNED: 120.0}


async def run(
    target: Target,
    *,
    fetch: Fetch,
    clock: Clock,
    readers: Readers,
    slots: AbstractAsyncContextManager[None],
    gates: Gates,
    listeners: Listeners,
    place: float | None = None,
) -> None:
    """Probe for ever, once an interval; ``slots`` bounds the probes of all targets at once.

    The due times stand fixed on the clock, at ``place`` (0 to 1) in each interval, else where the
    name puts them. A probe that outlasts its interval is followed at once
    by one that counts as late from the first due time it missed; the other missed ones are let
    go, so that a stall never ends in a burst. A probe for which the limits have no room waits for
    it in line, and so comes a little later; its turn is skipped only when the next one would have
    come before.
    """
    share = phase(target.exchange, target.endpoint) if place is None else place
    start, interval = clock.monotonic(), target.interval
    anchor = start + share * interval  # turn n is due at anchor + n * interval
    due, turn = start + first_due(share, interval), first_turn(share, interval)
    held_until = 0.0
    while True:
        await clock.sleep(due - clock.monotonic())
        woken = clock.monotonic()
        until = woken + interval  # the next turn begins there at the latest
        if held_until > until:
            listeners.skipped(target, Skip.BANNED)
        else:
            if held_until > woken:
                await clock.sleep(held_until - woken)
                due = held_until
            held_until = await _attempt(
                target, due, until, fetch, clock, readers, slots, gates, listeners
            )
        turn = max(turn, floor((woken - anchor) / interval) + 1)
        due = anchor + turn * interval
        turn += 1


async def once(
    target: Target,
    *,
    fetch: Fetch,
    clock: Clock,
    readers: Readers,
    slots: AbstractAsyncContextManager[None],
    gates: Gates,
    listeners: Listeners,
    patience: float = 0.0,
) -> None:
    """Probe once, now, if all gates allow it; ``patience`` (seconds) is for the rate limits."""
    now = clock.monotonic()
    await _attempt(target, now, now + patience, fetch, clock, readers, slots, gates, listeners)


async def _attempt(
    target: Target,
    due: float,
    until: float,
    fetch: Fetch,
    clock: Clock,
    readers: Readers,
    slots: AbstractAsyncContextManager[None],
    gates: Gates,
    listeners: Listeners,
) -> float:
    """Send one probe if nothing stands against it. Return the monotonic time of the next leave.

    Waits for room in the limits until ``until`` (monotonic); that is nobody's delay but the
    exchange's, so it does not count as late.
    """
    asked = clock.monotonic()
    leave = _leave(target, gates, asked)
    if isinstance(leave, Permit):
        try:
            stands_against = await _wait_admitted(target, gates, until, clock)
        except BaseException:
            gates.breaker.release(leave, None, 0.0, clock.monotonic())
            raise
        if stands_against is not None:
            gates.breaker.release(leave, None, 0.0, clock.monotonic())
            leave = stands_against
    if isinstance(leave, Skip):
        listeners.skipped(target, leave)
        return 0.0
    due += clock.monotonic() - asked
    done: Probed | None = None
    begun = clock.monotonic()
    last = max(until, begun + target.timeout)
    try:
        async with AsyncExitStack() as held:
            if await _slot_taken(slots, held, last - begun):
                begun = clock.monotonic()
                done = await probe(target, fetch, clock, readers, late=max(0.0, begun - due))
    finally:
        now = clock.monotonic()
        gates.breaker.release(leave, _verdict(done), now - begun, now)
    if done is None:
        listeners.skipped(target, Skip.QUEUE_FULL)
        return 0.0
    listeners.report(done)
    return now + rest(done, gates.budgets)


async def _slot_taken(
    slots: AbstractAsyncContextManager[None], held: AsyncExitStack, timeout: float
) -> bool:
    """Take a slot into ``held``; say whether one was free within ``timeout`` seconds."""
    try:
        async with asyncio.timeout(timeout):
            await held.enter_async_context(slots)
    except TimeoutError:
        return False
    return True


def _leave(target: Target, gates: Gates, now: float) -> Permit | Skip:
    """Ask every gate but the budgets, which come last: weight that was taken cannot be given back.

    A permit must be released.
    """
    if not gates.online():
        return Skip.LOCAL_NETWORK
    if gates.maintenance():
        return Skip.MAINTENANCE
    return gates.breaker.acquire(now) or Skip.BREAKER_OPEN


async def _wait_admitted(target: Target, gates: Gates, until: float, clock: Clock) -> Skip | None:
    """Take the probe's weight of every budget, in turn; say what stood against it until then."""
    weight = max(1, target.weight)  # what costs nothing has its own pace alone
    try:
        for budget in gates.budgets:
            await budget.wait_acquired(weight, until - clock.monotonic())
    except TimeoutError:
        return Skip.BANNED if gates.banned() else Skip.RATE_BUDGET
    return None


def _verdict(done: Probed | None) -> bool | None:
    """Say what a probe tells the breaker: nothing, when it was cancelled or refused by a limit.

    Nor when we had not the means to send it, or to look for the answer.
    """
    if done is None or done.reason in _PAUSES or done.reason is Reason.LOCAL_RESOURCE:
        return None
    return done.ok


def heed(answer: Answer, fault: Callable[[Answer], Reason | None], ban: Ban, wall: float) -> float:
    """Have the exchange rest if an answer that no probe asked for says so; return for how long.

    In seconds, also where only whoever asked must rest. ``wall`` is now, in epoch seconds.
    """
    try:
        reason = fault(answer)
    except DOUBTFUL:
        reason = None
    if reason is None and answer.status == 429:
        reason = Reason.RATE_LIMITED
    named = _retry_after(answer, wall)
    if reason not in _PAUSES:
        return named or 0.0
    pause = _PAUSES[reason] if named is None else named
    ban.ban(pause)
    return pause


def rest(done: Probed, budgets: Iterable[Allowance]) -> float:
    """Return the seconds for which this target must rest, and have the exchange rest if it must."""
    if done.reason is None:
        return 0.0
    if done.reason not in _PAUSES:
        return done.retry_after or 0.0  # a 503 may name its own time: this target's alone
    pause = _PAUSES[done.reason] if done.retry_after is None else done.retry_after
    for budget in budgets:
        budget.ban(pause)
    return pause
