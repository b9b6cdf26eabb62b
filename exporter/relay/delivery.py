"""Delivers the messages of the outbox: workers for each receiver, with retries.

Within an incident deliveries go in order; one that waits holds up its own incident alone. Pages go
first, and what is optional has workers, a breaker and pauses of its own. What is
due and since when is kept on the monotonic clock, so that a wall clock that jumps moves nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from exporter.contracts import Account, Clock, Fetch, FetchFailedError
from exporter.flow import backoff, breaker
from exporter.logs import SPARING
from exporter.model import Answer, Circuit, Reason
from exporter.notification import Delivered, Outcome, Refused, Retry
from exporter.relay import outbox
from exporter.relay.lanes import Lane, Lanes
from exporter.relay.outbox import DeliveryState, OutboxRow, Pending, Traffic
from exporter.relay.receiver import Receiver
from exporter.relay.store import Disk, StoreError

log = logging.getLogger(__name__)

_ANSWER: Final = 256 * 1024  # bytes of an answer that are read
_LONGEST_PAUSE: Final = 3600.0  # seconds that a provider may send us away for
_LONGEST_NAME: Final = 200  # characters of the name that a provider gives a message
_STORE_RETRY: Final = 0.5  # seconds
# What never reached the provider; anything else may have.
_UNSENT: Final = frozenset({Reason.DNS, Reason.CONNECT_REFUSED, Reason.CONNECT_TIMEOUT, Reason.TLS,
                            Reason.CERT_EXPIRED})  # fmt: skip
_BACKOFF: Final = backoff.BackoffRules(base=1.0, cap=30.0)
_BREAKER: Final = breaker.BreakerRules(failures=5, recovery=5.0, recovery_cap=30.0)
_EDIT_TIMEOUT: Final = 3.0  # seconds at most for an edit: its incident's next page waits for it
_PATIENCE: Final = 30.0  # seconds for which an edit or a triage is tried


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


class _Door:
    """What sends one kind of requests, and keeps them back: a breaker, quiet for the provider."""

    def __init__(self, circuit: breaker.Breaker, send: Fetch) -> None:
        self.breaker, self.send, self.paused = circuit, send, 0.0  # monotonic

    def wait(self, now: float) -> float:
        """Return the seconds for which there is no use in asking."""
        state = self.breaker.state
        shut = state.until if state.circuit is Circuit.OPEN else 0.0
        return max(self.paused, shut) - now

    def pause(self, until: float) -> None:
        """Ask for nothing until then, monotonic."""
        self.paused = max(self.paused, until)


class DeliveryWorker:
    """One receiver's deliveries. ``chance`` draws from [0, 1) for the jitter.

    ``optional`` carries edits and triages, over connections that no page needs.
    """

    def __init__(
        self,
        receiver: Receiver,
        policy: DeliveryPolicy,
        *,
        store: Disk,
        send: Fetch,
        optional: Fetch,
        clock: Clock,
        meter: DeliveryMeter,
        chance: Callable[[], float],
    ) -> None:
        self.receiver, self.policy = receiver, policy
        self._store, self._clock, self._meter, self._chance = store, clock, meter, chance
        self._lanes = Lanes()
        self._news = asyncio.Event()
        self._stopped = False
        # Edits and triages are optional: their failures must not keep pages back.
        pages = _Door(breaker.Breaker(policy.breaker, self._entered, chance), send)
        extras = _Door(breaker.Breaker(policy.breaker, chance=chance), optional)
        self._doors = {
            Traffic.PAGE: pages,
            Traffic.OTHER: pages,
            Traffic.EDIT: extras,
            Traffic.OPTIONAL: extras,
        }

    @property
    def depth(self) -> int:
        """How many deliveries wait or are under way."""
        return len(self._lanes)

    def _entered(self, circuit: Circuit) -> None:
        log.warning("receiver_circuit receiver=%s circuit=%s", self.receiver.name, circuit)
        self._meter.circuit(self.receiver.name, circuit)

    def add(self, pending: Iterable[Pending]) -> None:
        """Take deliveries over; those known already are left as they are."""
        self._lanes.add(pending, self._clock.monotonic())
        self._news.set()

    def hurry(self, incident: str) -> None:
        """Send what waits for a triage of that incident without waiting longer."""
        self._lanes.hurry(incident, self._clock.monotonic())
        self._news.set()

    def stop(self) -> None:
        """Begin no further try; `run` returns when those under way have ended."""
        self._stopped = True
        self._news.set()

    async def run(self) -> None:
        """Deliver until told to stop."""
        async with asyncio.TaskGroup() as group:
            for number, kinds in enumerate(self._shifts()):
                name = f"deliver {self.receiver.name} {number}"
                group.create_task(self._work(kinds), name=name)

    def _shifts(self) -> Iterable[tuple[Traffic, ...]]:
        """Yield what each worker takes: one is kept free for pages, others have edits alone.

        However slow a provider is with what is queued or optional, a page finds someone.
        """
        parallel = self.policy.parallel
        for number in range(parallel):
            spare = number == 0 and parallel > 1
            yield (Traffic.PAGE,) if spare else (Traffic.PAGE, Traffic.OTHER)
        for _ in range(max(1, parallel // 2)):
            yield (Traffic.EDIT, Traffic.OPTIONAL)

    async def _work(self, kinds: tuple[Traffic, ...]) -> None:
        while (found := await self._wait_due(kinds)) is not None:
            lane, permit = found
            started = self._clock.monotonic()
            door, ok = self._doors[lane.traffic], None
            try:
                ok = await (self._deliver(lane) if permit else self._leave(lane))
            finally:
                ended = self._clock.monotonic()
                if permit is not None:
                    door.breaker.release(permit, ok, ended - started, ended)
                self._lanes.end(lane)
                self._news.set()

    async def _wait_due(
        self, kinds: tuple[Traffic, ...]
    ) -> tuple[Lane, breaker.Permit | None] | None:
        """Wait for the most urgent lane that is due, and for leave to try it; None: it is the end.

        Without leave comes what is optional and has waited for it long enough.
        """
        while not self._stopped:
            now = self._clock.monotonic()
            wait = self._lanes.wait(now, 60.0)
            for kind in kinds:
                lane, door = self._lanes.peek(kind, now), self._doors[kind]
                if lane is None:
                    continue
                permit = None if door.wait(now) > 0.0 else door.breaker.acquire(now)
                if permit is not None or self._is_late(lane, now):
                    self._lanes.begin(lane)
                    return lane, permit
                wait = min(wait, max(0.05, min(door.wait(now), 1.0)))
            self._news.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._news.wait()
            except TimeoutError:
                pass
        return None

    def _is_late(self, lane: Lane, now: float) -> bool:
        """Return whether an edit or a triage is given up: soon, and at once when a page waits."""
        if lane.traffic < Traffic.EDIT:
            return False
        return len(lane.line) > 1 or now - lane.first_due >= _PATIENCE

    async def _leave(self, lane: Lane) -> None:
        """Give up an edit, which becomes a message of its own, or a triage, which is dropped."""
        pending, reason = lane.line[0], "edits do not work"
        if pending.traffic is Traffic.OPTIONAL:
            await self._drop(lane, reason)
            return
        await self._detach(lane, reason)

    # --- one try --------------------------------------------------------------------------------

    async def _deliver(self, lane: Lane) -> bool | None:
        """Try the first of a lane; return whether the receiver works, None when that is unknown."""
        pending = lane.line[0]
        lane.due = self._clock.monotonic()
        try:
            row = await self._store.write(lambda db: outbox.start(db, pending.id))
        except StoreError as error:
            self._complain(error)
            lane.due += _STORE_RETRY
            return None
        if row is None:
            self._done(lane)  # dropped or delivered meanwhile, by hand
            return None
        lane.since = lane.since if lane.since is not None else lane.due
        outcome = await self._try(row, self._doors[lane.traffic].send)
        return await self._settle(lane, row, outcome)

    async def _try(self, row: OutboxRow, send: Fetch) -> Outcome:
        account = self.receiver.account(row.target)
        if account is None:
            return Refused("the config has no such recipient any more")
        try:
            return await self._asked(row, account, send)
        except FetchFailedError as error:
            return Retry(error.reason.value, unsure=error.reason not in _UNSENT)
        except Exception:  # a message that trips us up must not stop the ones behind it
            log.exception("delivery_broken receiver=%s delivery=%d", self.receiver.name, row.id)
            return Refused("internal error, see the log")

    async def _asked(self, row: OutboxRow, account: Account, send: Fetch) -> Outcome:
        # A message whose original never arrived has nothing to edit: it is sent as a new one.
        request = self.receiver.notifier.request(row.note, account, row.key, row.original)
        edit = row.original is not None
        answer = await send(
            request.method,
            request.url,
            headers=request.headers,
            timeout=min(self.policy.timeout, _EDIT_TIMEOUT if edit else self.policy.timeout),
            body_limit=_ANSWER,
            body=request.body,
        )
        return self._judged(answer)

    def _judged(self, answer: Answer) -> Outcome:
        outcome = self.receiver.notifier.parse_response(answer)
        match outcome:
            case Retry(after=None) if "retry-after" in answer.headers:
                date = backoff.http_date(answer.headers.get("date", "")) or self._clock.wall()
                after = backoff.retry_after(answer.headers["retry-after"], date, _LONGEST_PAUSE)
                return replace(outcome, after=after)
            case Retry(after=after) if after is not None:  # a page must not wait for ever
                return replace(outcome, after=min(max(0.0, after), _LONGEST_PAUSE))
            case Delivered(id=name):
                return replace(outcome, id=name[:_LONGEST_NAME])
        return outcome

    async def _settle(self, lane: Lane, row: OutboxRow, outcome: Outcome) -> bool | None:
        name, now = self.receiver.name, self._clock.monotonic()
        match outcome:
            case Delivered(id=provider_id, pause=pause):
                self._pause(lane, pause)
                # The id of an edit is that of the message edited: it stays with the original.
                await self._finish(row, DeliveryState.DELIVERED, provider_id=provider_id)
                self._meter.tried(name, "ok")
                wall = self._clock.wall()
                self._meter.delivered(name, max(0.0, wall - row.received), wall)
                log.info("delivered receiver=%s delivery=%d occasion=%s provider_id=%s attempts=%d",
                         name, row.id, row.occasion, provider_id, row.attempts)  # fmt: skip
                self._done(lane)
                return True
            case Refused(reason=reason) if lane.traffic is Traffic.OPTIONAL:
                await self._drop(lane, reason)
                return True
            case Refused(reason=reason) if row.original is not None:
                # Somebody deleted the message, or it is too old to be edited.
                await self._detach(lane, reason)
                return True
            case Refused(reason=reason, gone=gone):
                return await self._give_up(lane, row, reason, works=not gone)
        if outcome.after is not None:
            self._pause(lane, outcome.after)
        if self._is_late(lane, now):
            await self._leave(lane)
            return False
        certain = self.receiver.notifier.idempotent or row.original is not None
        if outcome.unsure and not (certain or self.receiver.resend):
            why = f"{outcome.reason}: it may have been delivered"
            return await self._give_up(lane, row, why, works=False)
        if lane.since is not None and now - lane.since >= self.policy.give_up:
            return await self._give_up(lane, row, f"tried for too long: {outcome.reason}")
        lane.state, wait = backoff.step(lane.state, 0.0, self.policy.backoff, self._chance())
        delay = wait if wait is not None else self.policy.backoff.cap
        if outcome.after is not None:
            delay = max(delay, outcome.after)
        lane.due = now + delay
        due = self._clock.wall() + delay
        await self._write(lambda db: outbox.postpone(db, row.id, due=due, detail=outcome.reason))
        self._meter.tried(name, "retry")
        log.warning("delivery_postponed receiver=%s delivery=%d reason=%s retry_in_s=%.1f",
                    name, row.id, outcome.reason, delay)  # fmt: skip
        # A rate limit is no fault: the pause keeps us away, the breaker need not.
        return None if outcome.after is not None else False

    async def _give_up(
        self, lane: Lane, row: OutboxRow, reason: str, *, works: bool = False
    ) -> bool:
        await self._finish(row, DeliveryState.DEAD, detail=reason)
        self._meter.tried(self.receiver.name, "failed")
        log.error("delivery_dead receiver=%s delivery=%d occasion=%s reason=%s",
                  self.receiver.name, row.id, row.occasion, reason)  # fmt: skip
        self._done(lane)
        return works

    async def _detach(self, lane: Lane, reason: str) -> None:
        pending = lane.line[0]
        await self._write(lambda db: outbox.detach(db, pending.id, detail=reason))
        message = replace(pending, traffic=Traffic.OTHER, rank=outbox.END, delay=0.0)
        self._lanes.replace(lane, message, self._clock.monotonic())

    async def _drop(self, lane: Lane, reason: str) -> None:
        """Do without a triage: nobody is paged for that."""
        pending, now = lane.line[0], self._clock.wall()
        await self._write(
            lambda db: outbox.finish(
                db, pending.id, DeliveryState.DROPPED, now=now, detail=f"given up: {reason}"
            )
        )
        self._meter.tried(self.receiver.name, "dropped")
        log.info("triage_dropped receiver=%s delivery=%d reason=%s",
                 self.receiver.name, pending.id, reason)  # fmt: skip
        self._done(lane)

    def _pause(self, lane: Lane, seconds: float) -> None:
        until = self._clock.monotonic() + min(seconds, _LONGEST_PAUSE)
        self._doors[lane.traffic].pause(until)

    def _done(self, lane: Lane) -> None:
        self._lanes.done(lane, self._clock.monotonic())

    async def _finish(
        self, row: OutboxRow, state: DeliveryState, *, provider_id: str = "", detail: str = ""
    ) -> None:
        now = self._clock.wall()
        await self._write(
            lambda db: outbox.finish(
                db, row.id, state, now=now, provider_id=provider_id, detail=detail
            )
        )

    def _complain(self, error: StoreError) -> None:
        name = self.receiver.name
        log.warning("outbox_unwritable receiver=%s error=%s", name, error, extra=SPARING)

    async def _write(self, job: Callable[..., None]) -> None:
        """Write what the world has already seen: until the disk takes it, nothing else is done."""
        while True:
            try:
                return await self._store.write(job)
            except StoreError as error:
                self._complain(error)
                await self._clock.sleep(_STORE_RETRY)


def shared(couriers: Iterable[DeliveryWorker], pending: Sequence[Pending]) -> None:
    """Hand deliveries to the couriers of their receivers."""
    for courier in couriers:
        mine = [each for each in pending if each.receiver == courier.receiver.name]
        if mine:
            courier.add(mine)
