"""Delivers what is in the outbox: workers for each receiver, who try until it is done or dead.

Within an incident deliveries go in order; one that waits holds up its own incident alone. What is
due and since when is kept on the monotonic clock, so that a wall clock that jumps moves nothing.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from exporter.contracts import Account, Clock, FetchFailedError, Send
from exporter.flow import backoff, breaker
from exporter.model import Answer, Circuit, Delivered, Outcome, Reason, Refused, Retry
from exporter.relay import outbox
from exporter.relay.outbox import DeliveryState, OutboxRow, Pending
from exporter.relay.receiver import Receiver
from exporter.relay.store import Disk, StoreError

log = logging.getLogger(__name__)

_ANSWER: Final = 256 * 1024  # bytes of an answer that are read
_LONGEST_PAUSE: Final = 3600.0  # seconds that a provider may send us away for
_STORE_RETRY: Final = 0.5  # seconds
# What never reached the provider; anything else may have.
_UNSENT: Final = frozenset({Reason.DNS, Reason.CONNECT_REFUSED, Reason.CONNECT_TIMEOUT, Reason.TLS,
                            Reason.CERT_EXPIRED})  # fmt: skip
_BACKOFF: Final = backoff.BackoffRules(base=1.0, cap=30.0)
_BREAKER: Final = breaker.BreakerRules(failures=5, recovery=5.0, recovery_cap=30.0)
_FRESH: Final = backoff.BackoffState()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPolicy:
    """How one receiver is tried. Durations in seconds; ``give_up`` after the first try."""

    timeout: float = 10.0
    parallel: int = 4
    backoff: backoff.BackoffRules = _BACKOFF
    breaker: breaker.BreakerRules = _BREAKER
    give_up: float = 86_400.0


class DeliveryMeter(Protocol):
    """Where a courier reports to."""

    def tried(self, receiver: str, outcome: str) -> None: ...

    def delivered(self, receiver: str, seconds: float, time: float) -> None: ...

    def circuit(self, receiver: str, entered: Circuit) -> None: ...


@dataclass(slots=True)
class _Lane:
    """The deliveries of one incident to one target, in order."""

    line: deque[Pending]
    due: float = 0.0  # monotonic, of the first in line
    busy: bool = False
    since: float | None = None  # when the first in line was tried first
    state: backoff.BackoffState = _FRESH


class DeliveryWorker:
    """One receiver's deliveries. ``chance`` draws from [0, 1) for the jitter."""

    def __init__(
        self,
        receiver: Receiver,
        policy: DeliveryPolicy,
        *,
        store: Disk,
        send: Send,
        clock: Clock,
        meter: DeliveryMeter,
        chance: Callable[[], float],
    ) -> None:
        self.receiver, self.policy = receiver, policy
        self._store, self._send = store, send
        self._clock, self._meter, self._chance = clock, meter, chance
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._due: list[tuple[float, int, tuple[str, str]]] = []  # (due, delivery, lane)
        self._known: set[int] = set()
        self._paused = 0.0  # monotonic: the provider wants quiet until then
        self._news = asyncio.Event()
        self._stopped = False
        self.breaker = breaker.Breaker(policy.breaker, self._entered, chance)

    @property
    def depth(self) -> int:
        """How many deliveries wait or are under way."""
        return len(self._known)

    def _entered(self, circuit: Circuit) -> None:
        log.warning("receiver_circuit receiver=%s circuit=%s", self.receiver.name, circuit)
        self._meter.circuit(self.receiver.name, circuit)

    def add(self, pending: Iterable[Pending]) -> None:
        """Take deliveries over; those known already are left as they are."""
        now = self._clock.monotonic()
        for each in pending:
            if each.id in self._known:
                continue
            self._known.add(each.id)
            key = (each.target, each.incident)
            lane = self._lanes.setdefault(key, _Lane(deque()))
            lane.line.append(each)
            if len(lane.line) == 1 and not lane.busy:
                lane.due = now + each.delay
                heapq.heappush(self._due, (lane.due, each.id, key))
        self._news.set()

    def hurry(self, incident: str) -> None:
        """Send what waits for a triage of that incident without waiting longer."""
        now = self._clock.monotonic()
        for key, lane in self._lanes.items():
            if key[1] == incident and lane.line and not lane.busy and lane.since is None:
                lane.due = now
                heapq.heappush(self._due, (now, lane.line[0].id, key))
        self._news.set()

    def stop(self) -> None:
        """Begin no further try; `run` returns when those under way have ended."""
        self._stopped = True
        self._news.set()

    async def run(self) -> None:
        """Deliver until told to stop."""
        async with asyncio.TaskGroup() as group:
            for number in range(self.policy.parallel):
                group.create_task(self._work(), name=f"deliver {self.receiver.name} {number}")

    async def _work(self) -> None:
        while (found := await self._wait_due()) is not None:
            lane, permit = found
            started = self._clock.monotonic()
            ok: bool | None = None
            try:
                ok = await self._deliver(lane)
            finally:
                ended = self._clock.monotonic()
                self.breaker.release(permit, ok, ended - started, ended)
                lane.busy = False
                self._requeue(lane)

    async def _wait_due(self) -> tuple[_Lane, breaker.Permit] | None:
        """Wait for the first lane that is due, and for leave to try it; None: it is time to end."""
        while not self._stopped:
            now = self._clock.monotonic()
            wait = self._next_wait(now)
            if wait <= 0.0:
                permit = self.breaker.acquire(now)
                if permit is not None:
                    lane = self._lanes[heapq.heappop(self._due)[2]]
                    lane.busy = True
                    return lane, permit
                wait = max(0.05, min(self.breaker.state.until - now, 1.0))
            self._news.clear()
            try:
                async with asyncio.timeout(min(wait, 60.0)):
                    await self._news.wait()
            except TimeoutError:
                pass
        return None

    def _next_wait(self, now: float) -> float:
        while self._due:
            due, first, key = self._due[0]
            lane = self._lanes.get(key)
            if lane and not lane.busy and lane.line and (lane.line[0].id, lane.due) == (first, due):
                return max(due, self._paused) - now
            heapq.heappop(self._due)  # overtaken by another entry of the same lane
        return 60.0

    def _requeue(self, lane: _Lane) -> None:
        if lane.line:
            first = lane.line[0]
            heapq.heappush(self._due, (lane.due, first.id, (first.target, first.incident)))
        else:
            self._lanes = {key: each for key, each in self._lanes.items() if each is not lane}
        self._news.set()

    # --- one try --------------------------------------------------------------------------------

    async def _deliver(self, lane: _Lane) -> bool | None:
        """Try the first of a lane; give whether the receiver works, None when that is unknown."""
        pending = lane.line[0]
        lane.due = self._clock.monotonic()
        try:
            row = await self._store.write(lambda db: outbox.start(db, pending.id))
        except StoreError as error:
            log.warning("outbox_unwritable receiver=%s error=%s", self.receiver.name, error)
            lane.due += _STORE_RETRY
            return None
        if row is None:
            self._done(lane, pending)  # dropped or delivered meanwhile, by hand
            return None
        lane.since = lane.since if lane.since is not None else lane.due
        outcome = await self._try(row)
        return await self._settle(lane, row, outcome)

    async def _try(self, row: OutboxRow) -> Outcome:
        account = self.receiver.account(row.target)
        if account is None:
            return Refused("the config has no such recipient any more")
        try:
            return await self._asked(row, account)
        except FetchFailedError as error:
            return Retry(error.reason.value, unsure=error.reason not in _UNSENT)
        except Exception:  # a message that trips us up must not stop the ones behind it
            log.exception("delivery_broken receiver=%s delivery=%d", self.receiver.name, row.id)
            return Refused("internal error, see the log")

    async def _asked(self, row: OutboxRow, account: Account) -> Outcome:
        # A message whose original never arrived has nothing to edit: it is sent as a new one.
        request = self.receiver.notifier.request(row.note, account, row.key, row.original)
        answer = await self._send(
            request.method,
            request.url,
            headers=request.headers,
            timeout=self.policy.timeout,
            body_limit=_ANSWER,
            body=request.body,
        )
        return self._judged(answer)

    def _judged(self, answer: Answer) -> Outcome:
        outcome = self.receiver.notifier.parse_response(answer)
        if isinstance(outcome, Retry) and outcome.after is None and "retry-after" in answer.headers:
            date = backoff.http_date(answer.headers.get("date", "")) or self._clock.wall()
            after = backoff.retry_after(answer.headers["retry-after"], date, _LONGEST_PAUSE)
            return Retry(outcome.reason, after, outcome.unsure)
        return outcome

    async def _settle(self, lane: _Lane, row: OutboxRow, outcome: Outcome) -> bool | None:
        name, now = self.receiver.name, self._clock.monotonic()
        match outcome:
            case Delivered(id=provider_id, pause=pause):
                self._pause(pause)
                # The id of an edit is that of the message edited: it stays with the original.
                await self._finish(row, DeliveryState.DELIVERED, provider_id=provider_id)
                self._meter.tried(name, "ok")
                wall = self._clock.wall()
                self._meter.delivered(name, max(0.0, wall - row.received), wall)
                log.info("delivered receiver=%s delivery=%d occasion=%s provider_id=%s attempts=%d",
                         name, row.id, row.occasion, provider_id, row.attempts)  # fmt: skip
                self._done(lane, lane.line[0])
                return True
            case Refused(reason=reason) if row.original is not None:
                # Somebody deleted the message, or it is too old to be edited.
                await self._write(lambda db: outbox.detach(db, row.id, detail=reason))
                lane.due = now
                return True
            case Refused(reason=reason, gone=gone):
                return await self._give_up(lane, row, reason, works=not gone)
        if outcome.unsure and not (self.receiver.notifier.idempotent or self.receiver.resend):
            why = f"{outcome.reason}: it may have been delivered"
            return await self._give_up(lane, row, why, works=False)
        if lane.since is not None and now - lane.since >= self.policy.give_up:
            return await self._give_up(lane, row, f"tried for too long: {outcome.reason}")
        lane.state, wait = backoff.step(lane.state, 0.0, self.policy.backoff, self._chance())
        delay = wait if wait is not None else self.policy.backoff.cap
        if outcome.after is not None:
            delay = max(delay, outcome.after)
            self._pause(outcome.after)
        lane.due = now + delay
        due = self._clock.wall() + delay
        await self._write(lambda db: outbox.postpone(db, row.id, due=due, detail=outcome.reason))
        self._meter.tried(name, "retry")
        log.warning("delivery_postponed receiver=%s delivery=%d reason=%s retry_in_s=%.1f",
                    name, row.id, outcome.reason, delay)  # fmt: skip
        # A rate limit is no fault: the pause keeps us away, the breaker need not.
        return None if outcome.after is not None else False

    async def _give_up(
        self, lane: _Lane, row: OutboxRow, reason: str, *, works: bool = False
    ) -> bool:
        await self._finish(row, DeliveryState.DEAD, detail=reason)
        self._meter.tried(self.receiver.name, "failed")
        log.error("delivery_dead receiver=%s delivery=%d occasion=%s reason=%s",
                  self.receiver.name, row.id, row.occasion, reason)  # fmt: skip
        self._done(lane, lane.line[0])
        return works

    def _pause(self, seconds: float) -> None:
        until = self._clock.monotonic() + min(seconds, _LONGEST_PAUSE)
        self._paused = max(self._paused, until)

    def _done(self, lane: _Lane, pending: Pending) -> None:
        lane.line.popleft()
        self._known.discard(pending.id)
        lane.since, lane.state = None, _FRESH
        lane.due = self._clock.monotonic() + (lane.line[0].delay if lane.line else 0.0)

    async def _finish(
        self, row: OutboxRow, state: DeliveryState, *, provider_id: str = "", detail: str = ""
    ) -> None:
        now = self._clock.wall()
        await self._write(
            lambda db: outbox.finish(
                db, row.id, state, now=now, provider_id=provider_id, detail=detail
            )
        )

    async def _write(self, job: Callable[..., None]) -> None:
        """Write what the world has already seen: until the disk takes it, nothing else is done."""
        while True:
            try:
                return await self._store.write(job)
            except StoreError as error:
                log.warning("outbox_unwritable receiver=%s error=%s", self.receiver.name, error)
                await self._clock.sleep(_STORE_RETRY)


def shared(couriers: Iterable[DeliveryWorker], pending: Sequence[Pending]) -> None:
    """Hand deliveries to the couriers of their receivers."""
    for courier in couriers:
        mine = [each for each in pending if each.receiver == courier.receiver.name]
        if mine:
            courier.add(mine)
