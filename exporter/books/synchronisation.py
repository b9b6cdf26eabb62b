"""Keeps a local order book synchronized: requests snapshots after losses, and audits it.

The book itself (`BookSync`) is pure. This file waits, asks the venue over REST or subscribes again,
and never more often than backoff and budget allow.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from exporter.books.book import BookSync
from exporter.contracts import BookRules, Clock, Fetch, rest_path
from exporter.decoding import ParseError
from exporter.flow import backoff
from exporter.flow.rate_limit import Ban, RateBudget
from exporter.model import Answer, Depth, Reason, Resync, Subscription, Target
from exporter.probes import probe

log = logging.getLogger(__name__)

QUIET = 5.0  # seconds without a delta after which a calm market is believed, and a snapshot asked
PATIENCE = 10.0  # seconds that a stream is given to send the snapshot it begins with
_TIMEOUT, _BODY = 10.0, 16 << 20  # seconds, bytes
_LONGEST_LINE = 600.0  # seconds in line for a limit, after which a book asks again
_COMPLAINT_EVERY = 60.0  # seconds between two log lines about one book
TOLERANCE = 0.05  # share of the audited levels: two sides' matching engines are never one instant
_TRIES = 3  # snapshots that one audit may need


class SnapshotError(Exception):
    """There is no snapshot; the message has the reason, for the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshots:
    """Requests book snapshots of one exchange over REST, a few at a time.

    ``part`` are the budgets that all books share: they wait there in line, so that probes, which
    never wait, find the rest of ``budgets``, the exchange's own. ``answered`` hears every answer.
    """

    exchange: str
    url: str  # base, without a slash at the end
    rules: BookRules
    fetch: Fetch
    clock: Clock
    slots: asyncio.Semaphore
    part: Sequence[RateBudget]
    budgets: Sequence[RateBudget]
    ban: Ban
    fault: Callable[[Answer], Reason | None]
    answered: Callable[[Answer], None]

    async def ask(self, what: Subscription) -> Depth:
        """Return a snapshot. Raises SnapshotError."""
        read, path = self.rules.read_snapshot, self.rules.snapshot_path
        assert read is not None and path is not None  # noqa: S101, PT018 - who asks has looked
        target = Target(
            exchange=self.exchange,
            endpoint="book",
            url=self.url + rest_path(path, what.symbol),
            timeout=_TIMEOUT,
            body_limit=_BODY,
        )
        async with self.slots:
            await self._wait_allowed()
            readers = probe.Readers(fault=self.fault)
            done = await probe.probe(target, self.fetch, self.clock, readers)
        if done.answer is not None:
            self.answered(done.answer)
        if done.answer is None or done.reason is not None:
            probe.rest(done, (self.ban,))
            raise SnapshotError(f"{done.reason}: {done.detail}")
        try:
            return read(done.answer.body, what.topic, what.symbol)
        except ParseError as error:
            raise SnapshotError(f"{Reason.BODY_INVALID}: {error}") from error

    async def _wait_allowed(self) -> None:
        give_up = self.clock.monotonic() + _LONGEST_LINE
        try:
            while not self.ban.admit():
                await self._wait_longer(give_up)
            for own, whole in zip(self.part, self.budgets, strict=True):
                weight = min(self.rules.weight, whole.rules.weight)
                await own.wait_acquired(weight, _LONGEST_LINE)
                while not whole.admit(weight):
                    await self._wait_longer(give_up)
        except TimeoutError as error:
            raise SnapshotError("no room in the rate budget") from error

    async def _wait_longer(self, give_up: float) -> None:
        if self.clock.monotonic() >= give_up:
            raise TimeoutError
        await self.clock.sleep(1.0)


Renew: TypeAlias = Callable[[], None]
"""Subscribes again to a stream that begins with a snapshot."""


class BookSynchronizer:
    """Keeps one book synchronized while `run` runs.

    Its book is lost and found by what the stream brings, elsewhere: `wake` says that something
    happened to a book that is or was lost. ``live`` is whether the stream brings data at all.
    ``audit`` gives the share of levels in which the book is wrong, None where it cannot tell.
    """

    def __init__(
        self,
        what: Subscription,
        book: BookSync,
        *,
        source: Snapshots | Renew,
        live: Callable[[], bool],
        clock: Clock,
        rules: backoff.BackoffRules,
        chance: Callable[[], float],
        audit: Callable[[], Awaitable[float | None]] | None = None,
        audit_every: float | None = None,
    ) -> None:
        self._what, self._book, self._source, self._live = what, book, source, live
        self._clock, self._rules, self._chance = clock, rules, chance
        self._audit, self._audit_every = audit, audit_every
        self._stirred = asyncio.Event()
        self._starts = 0  # subscriptions so far: a snapshot asked for in an older one is no use
        self._complained: float | None = None
        self.failures = 0  # snapshots that did not come or did not fit

    def wake(self) -> None:
        """Say that the book was lost, found, or has a delta waiting."""
        self._stirred.set()

    def restarted(self) -> None:
        """Say that the subscription begins anew, and the book with it."""
        self._starts += 1
        self._stirred.set()

    async def run(self) -> None:
        """Resynchronize the book whenever it is lost, else audit it, until cancelled."""
        state = backoff.BackoffState()
        while True:
            since = self._clock.monotonic()
            while self._book.synced:
                if not await self._wait_stirred(self._audit_every) and self._book.synced:
                    await self._look()
            lived = self._clock.monotonic() - since
            if self._book.wanted is not Resync.START:
                # A hole in one book is mended soon, the third within a minute is not.
                state, wait = backoff.step(state, lived, self._rules, self._chance())
                await self._clock.sleep(self._rules.cap if wait is None else wait)
            if isinstance(self._source, Snapshots):
                state = await self._fetch(self._source, state)
            else:
                await self._renew(self._source)

    async def _fetch(self, source: Snapshots, state: backoff.BackoffState) -> backoff.BackoffState:
        """Ask until the book is synced; return the backoff after that."""
        while not self._book.synced:
            # The snapshot must be newer than the first delta that waits, so it is asked for later.
            while not self._book.waiting:
                if not await self._wait_stirred(QUIET) and self._live():
                    break
            if await self._try(source):
                break
            state, wait = backoff.step(state, 0.0, self._rules, self._chance())
            await self._clock.sleep(self._rules.cap if wait is None else wait)
        return state

    async def _try(self, source: Snapshots) -> bool:
        starts = self._starts
        try:
            snapshot = await source.ask(self._what)
            if starts != self._starts or self._book.synced:
                return self._book.synced
            if self._book.join(snapshot):
                return True
            why = "older than the stream"
        except (SnapshotError, ParseError) as error:
            why = str(error)
        self.failures += 1
        self._complain(why)
        return False

    async def _renew(self, renew: Renew) -> None:
        """Have the stream send its snapshot again, unless it is about to by itself."""
        if self._book.wanted is not Resync.START:
            renew()
        losses = sum(self._book.resyncs.values())
        give_up = self._clock.monotonic() + PATIENCE
        while not self._book.synced and losses == sum(self._book.resyncs.values()):
            left = give_up - self._clock.monotonic()
            if left > 0.0:
                await self._wait_stirred(left)
                continue
            if self._live():
                self._complain("no snapshot came")
                renew()
            give_up = self._clock.monotonic() + PATIENCE

    async def _look(self) -> None:
        """Audit the book once, and lose it if it is wrong."""
        if self._audit is None or not self._live():
            return
        starts = self._starts
        wrong = await self._audit()
        if wrong is not None and wrong > TOLERANCE and starts == self._starts and self._book.synced:
            log.warning(
                "book_audit_failed exchange=%s topic=%s divergence_ratio=%.3f",
                self._what.exchange,
                self._what.topic,
                wrong,
            )
            self._book.lose(Resync.AUDIT)

    async def _wait_stirred(self, timeout: float | None) -> bool:
        """Wait for `wake`; False when ``timeout`` seconds passed first."""
        self._stirred.clear()
        try:
            async with asyncio.timeout(timeout):
                await self._stirred.wait()
        except TimeoutError:
            return False
        return True

    def _complain(self, why: str) -> None:
        now = self._clock.monotonic()
        if self._complained is None or now - self._complained >= _COMPLAINT_EVERY:
            self._complained = now
            log.warning(
                "book_unsynced exchange=%s topic=%s reason=%s failures=%d last=%r",
                self._what.exchange,
                self._what.topic,
                self._book.wanted,
                self.failures,
                why[:200],
            )


async def wait_shadowed(
    shadow: BookSync, source: Snapshots, what: Subscription, clock: Clock
) -> bool:
    """Bring a shadow, which is being fed, in step with a snapshot of its own; False: it failed."""
    for _ in range(_TRIES):
        give_up = clock.monotonic() + QUIET
        while not shadow.waiting and clock.monotonic() < give_up:
            await clock.sleep(0.1)
        try:
            if shadow.join(await source.ask(what)):
                return True
        except (SnapshotError, ParseError) as error:
            log.debug("book_audit_skipped topic=%s reason=%r", what.topic, str(error)[:200])
    return False
