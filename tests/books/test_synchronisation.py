"""What keeps a book in step: when it asks, how often, and what it does with the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import pairwise

import pytest

from exporter.books.book import BookSync
from exporter.books.synchronisation import (
    PATIENCE,
    QUIET,
    BookSynchronizer,
    SnapshotError,
    Snapshots,
)
from exporter.contracts import BookRules, SequenceRule
from exporter.decoding import ParseError
from exporter.flow import backoff
from exporter.flow.rate_limit import RateBudget, RateLimitRules
from exporter.model import Answer, Channel, Continuity, Depth, Resync, Subscription
from tests.fakes import FakeClock, run_virtual

WHAT = Subscription(
    exchange="acme", channel=Channel.BOOK, instrument="BTC-USDT", symbol="BTCUSDT", topic="book"
)
SEQUENCES = (
    SequenceRule(name="d", labels=("d",), continuity=Continuity.CONTIGUOUS, attribute="span"),
)
Level = tuple[object, ...]


def levels(event: Depth) -> tuple[Sequence[Level], Sequence[Level]]:
    """Return one level a side."""
    return ((1.0, 1.0),), ((2.0, 1.0),)


def read_snapshot(body: bytes, topic: str, symbol: str) -> Depth:
    """Read a snapshot that is a number."""
    if not body.isdigit():
        raise ParseError("not a number")
    return Depth("s", topic, symbol, None, None, snapshot=True, last=int(body))


RULES = BookRules(
    levels=levels, snapshot_path="/depth?s={symbol}", read_snapshot=read_snapshot, weight=5
)


def delta(number: int) -> Depth:
    """Return one update."""
    return Depth("d", "book", "BTCUSDT", None, None, first=number, last=number)


class Rest:
    """`contracts.Fetch` with answers set by hand, the last one again and again."""

    def __init__(self, *answers: tuple[int, bytes], headers: Mapping[str, str] | None = None):
        self.answers, self.headers = list(answers), headers or {}
        self.asked: list[tuple[float, str]] = []
        self.before: Callable[[], Awaitable[None]] | None = None  # while an answer is on its way

    async def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        timeout: float,
        body_limit: int,
        body: bytes | None = None,
    ) -> Answer:
        self.asked.append((asyncio.get_running_loop().time(), url))
        status, content = self.answers[0]
        if len(self.answers) > 1:
            del self.answers[0]
        if self.before is not None:
            await self.before()
        return Answer(
            status=status, headers=self.headers, body=content, new_connection=False, phases={}
        )


class Desk:
    """A fetched book, its keeper and the budgets; use inside `run_virtual`."""

    def __init__(self, rest: Rest, *, weight: int = 1000, audit: list[float] | None = None):
        clock = FakeClock()
        self.rest = rest
        self.sync = BookSync(RULES, SEQUENCES)
        self.budget = RateBudget(
            RateLimitRules(weight=weight, window=60.0, share=1.0, heaviest=5), clock
        )
        part = RateBudget(RateLimitRules(weight=weight, window=60.0, share=1.0, heaviest=5), clock)
        self.live = True
        self.heard: list[int] = []
        self.snapshots = Snapshots(
            exchange="acme",
            url="http://acme.example",
            rules=RULES,
            fetch=rest,
            clock=clock,
            slots=asyncio.Semaphore(1),
            part=(part,),
            budgets=(self.budget,),
            ban=self.budget.banned,
            fault=lambda answer: None,
            answered=lambda answer: self.heard.append(answer.status),
        )

        async def audited() -> float | None:
            return audit.pop(0) if audit else None

        self.keeper = BookSynchronizer(
            WHAT,
            self.sync,
            source=self.snapshots,
            live=lambda: self.live,
            clock=clock,
            rules=backoff.BackoffRules(base=1.0, cap=8.0),
            chance=lambda: 1.0,
            audit=audited,
            audit_every=None if audit is None else 60.0,
        )

    def feed(self, *numbers: int) -> None:
        """Bring deltas, as the stream does."""
        for number in numbers:
            self.sync.feed(delta(number))
        self.keeper.wake()

    async def during(self, test: Awaitable[None]) -> None:
        """Run a test while the keeper runs."""
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.keeper.run())
            await test
            task.cancel()


def test_a_snapshot_is_asked_for_once_deltas_come() -> None:
    """Not before the first of them, for it has to be newer; with the symbol in its path."""

    async def main() -> None:
        desk = Desk(Rest((200, b"10")))

        async def test() -> None:
            await asyncio.sleep(3.0)
            assert desk.rest.asked == []
            desk.feed(11)
            await asyncio.sleep(0.1)
            assert desk.rest.asked == [(3.0, "http://acme.example/depth?s=BTCUSDT")]
            assert desk.sync.synced
            assert (desk.sync.position, desk.heard) == (11, [200])

        await desk.during(test())

    run_virtual(main())


def test_a_calm_market_is_asked_for_all_the_same() -> None:
    """After a while without a delta, but only on a stream that lives."""

    async def main() -> None:
        desk = Desk(Rest((200, b"10")))
        desk.live = False

        async def test() -> None:
            await asyncio.sleep(10 * QUIET + 1.0)
            assert desk.rest.asked == []
            desk.live = True
            await asyncio.sleep(QUIET)
            assert desk.sync.synced

        await desk.during(test())

    run_virtual(main())


def test_an_old_snapshot_is_asked_for_again_ever_more_slowly() -> None:
    """Waits grow from 1 s to their cap; none of it is a gap of the stream's."""

    async def main() -> None:
        desk = Desk(Rest(*[(200, b"10")] * 5, (200, b"20")))

        async def test() -> None:
            desk.feed(21)
            await asyncio.sleep(60.0)
            assert [time for time, _ in desk.rest.asked] == [0.0, 1.0, 3.0, 7.0, 15.0, 23.0]
            assert desk.sync.synced
            assert desk.sync.resyncs[Resync.GAP] == 0
            assert desk.keeper.failures == 5

        await desk.during(test())

    run_virtual(main())


@pytest.mark.parametrize(("status", "body"), [(500, b""), (200, b"<html>"), (404, b"10")])
def test_a_bad_answer_is_asked_for_again(status: int, body: bytes) -> None:
    """Whatever is wrong with it, the next one mends the book."""

    async def main() -> None:
        desk = Desk(Rest((status, body), (200, b"20")))

        async def test() -> None:
            desk.feed(21)
            await asyncio.sleep(0.5)
            assert (desk.sync.synced, desk.keeper.failures) == (False, 1)
            await asyncio.sleep(1.0)
            assert desk.sync.synced

        await desk.during(test())

    run_virtual(main())


def test_a_gap_is_mended_and_soon_again_more_slowly() -> None:
    """The first within its backoff's base; a book that keeps breaking waits longer each time."""

    async def main() -> None:
        desk = Desk(Rest((200, b"10")))

        async def test() -> None:
            desk.feed(11)
            await asyncio.sleep(30.0)
            for number in (20, 30, 40):
                desk.rest.answers = [(200, str(number).encode())]
                desk.feed(number)
                assert desk.sync.wanted is Resync.GAP
                await asyncio.sleep(4.5)
                assert desk.sync.synced
            assert [time for time, _ in desk.rest.asked] == [0.0, 31.0, 36.5, 43.0]

        await desk.during(test())

    run_virtual(main())


def test_a_snapshot_of_an_older_subscription_is_thrown_away() -> None:
    """What was asked before a reconnect cannot join what comes after it."""

    async def main() -> None:
        desk = Desk(Rest((200, b"10"), (200, b"50")))

        async def reconnect() -> None:
            desk.rest.before = None
            desk.sync.restart()
            desk.keeper.restarted()

        desk.rest.before = reconnect

        async def test() -> None:
            desk.feed(11)
            await asyncio.sleep(0.5)
            assert not desk.sync.synced
            desk.feed(51)
            await asyncio.sleep(2.0)
            assert (desk.sync.position, desk.keeper.failures) == (51, 0)
            assert desk.sync.resyncs == {**dict.fromkeys(Resync, 0), Resync.START: 1}

        await desk.during(test())

    run_virtual(main())


def test_snapshots_wait_for_their_budget() -> None:
    """Ten a minute fit, so the eleventh comes with the next minute; probes may have the rest."""

    async def main() -> None:
        desk = Desk(Rest((200, b"10")), weight=50)

        async def asked() -> float:
            await desk.snapshots.ask(WHAT)
            return asyncio.get_running_loop().time()

        times = [await asked() for _ in range(11)]
        assert times[9] == 0.0
        assert 60.0 <= times[10] <= 62.0

    run_virtual(main())


def test_who_is_limited_rests_with_the_whole_exchange() -> None:
    """A 429 keeps probes away too, for as long as the venue says, and no snapshot goes before."""

    async def main() -> None:
        desk = Desk(Rest((429, b""), (200, b"10"), headers={"retry-after": "30"}))
        with pytest.raises(SnapshotError, match="rate_limited"):
            await desk.snapshots.ask(WHAT)
        assert not desk.budget.admit()
        await desk.snapshots.ask(WHAT)
        assert [time for time, _ in desk.rest.asked] == [0.0, 30.0]

    run_virtual(main())


def test_an_audit_that_fails_costs_the_book() -> None:
    """Once an interval, while it is synced; little or nothing amiss leaves it as it is."""

    async def main() -> None:
        found = [0.0, 0.04, 0.5]
        desk = Desk(Rest((200, b"10")), audit=found)

        async def test() -> None:
            desk.feed(11)
            await asyncio.sleep(125.0)
            assert (found, desk.sync.resyncs[Resync.AUDIT]) == ([0.5], 0)
            await asyncio.sleep(60.0)
            assert (found, desk.sync.resyncs[Resync.AUDIT]) == ([], 1)
            desk.rest.answers = [(200, b"12")]
            desk.feed(12)
            await asyncio.sleep(5.0)
            assert desk.sync.synced

        await desk.during(test())

    run_virtual(main())


# --- streams that begin with a snapshot -------------------------------------------------------


def streamed(renewed: list[float], live: Callable[[], bool]) -> tuple[BookSync, BookSynchronizer]:
    """Return a book whose stream brings the snapshots, and its keeper."""
    sync = BookSync(BookRules(levels=levels), SEQUENCES)
    keeper = BookSynchronizer(
        WHAT,
        sync,
        source=lambda: renewed.append(asyncio.get_running_loop().time()),
        live=live,
        clock=FakeClock(),
        rules=backoff.BackoffRules(base=1.0, cap=8.0),
        chance=lambda: 1.0,
    )
    return sync, keeper


def snapshot(number: int) -> Depth:
    """Return a snapshot of the stream's."""
    return Depth("s", "book", "BTCUSDT", None, None, snapshot=True, last=number)


def test_a_start_brings_its_own_snapshot() -> None:
    """Nobody subscribes again at once; only when none came for a while, on a living stream."""

    async def main() -> None:
        renewed: list[float] = []
        live = [False]
        _, keeper = streamed(renewed, lambda: live[0])
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(keeper.run())
            await asyncio.sleep(PATIENCE + 1.0)
            assert renewed == []
            live[0] = True
            await asyncio.sleep(PATIENCE)
            assert renewed == [2 * PATIENCE]
            task.cancel()

    run_virtual(main())


def test_a_gap_has_one_topic_subscribed_again() -> None:
    """After the backoff, once; what comes unasked in the meantime is as good."""

    async def main() -> None:
        renewed: list[float] = []
        sync, keeper = streamed(renewed, lambda: True)
        sync.feed(snapshot(10))
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(keeper.run())
            await asyncio.sleep(20.0)
            sync.feed(delta(15))
            keeper.wake()
            await asyncio.sleep(5.0)
            assert renewed == [21.0]
            sync.feed(snapshot(20))
            keeper.wake()
            await asyncio.sleep(PATIENCE)
            assert renewed == [21.0]
            task.cancel()

    run_virtual(main())


def test_a_checksum_that_stays_wrong_is_asked_again_ever_more_slowly() -> None:
    """A venue whose every snapshot is soon lost again is not asked without end."""

    async def main() -> None:
        renewed: list[float] = []
        sync, keeper = streamed(renewed, lambda: True)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(keeper.run())
            for _ in range(600):  # each renewal brings a snapshot that is lost at once
                before = len(renewed)
                await asyncio.sleep(0.1)
                if len(renewed) > before or sync.wanted is Resync.START:
                    sync.feed(snapshot(10))
                    sync.lose(Resync.CHECKSUM)
                    keeper.wake()
            waits = [round(after - before) for before, after in pairwise(renewed)]
            assert waits[:5] == [2, 4, 8, 8, 8]
            task.cancel()

    run_virtual(main())
