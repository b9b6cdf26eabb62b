"""Deliveries over hours of virtual time: an outage, rate limits, clocks that jump, dead letters."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress

import pytest

from exporter.contracts import FetchFailedError
from exporter.flow import backoff
from exporter.model import Answer, Circuit, Reason
from exporter.notification import Level
from exporter.relay import delivery, outbox
from exporter.relay.delivery import DeliveryPolicy, DeliveryWorker
from exporter.relay.outbox import DeliveryState
from exporter.relay.receiver import Receiver
from tests.fakes import FakeClock, run_virtual
from tests.relay.parts import Book, Memory, make, post, receiver

OK: tuple[int, Mapping[str, str], bytes] = (200, {}, b"{}")


class Meter:
    """Counts."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []

    def tried(self, receiver: str, outcome: str) -> None:
        self.outcomes.append(outcome)

    def delivered(self, receiver: str, seconds: float, time: float) -> None:
        self.last = (seconds, time)

    def circuit(self, receiver: str, entered: Circuit) -> None:
        self.entered = entered


class World:
    """A provider that answers as ``script`` says, by the seconds since the start."""

    def __init__(
        self, script: Callable[[float, int], tuple[int, Mapping[str, str], bytes] | Reason]
    ) -> None:
        self.script, self.clock = script, FakeClock()
        self.calls: list[tuple[float, str]] = []  # when, key
        self.taken: list[str] = []

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        timeout: float,
        body_limit: int,
        body: bytes | None = None,
    ) -> Answer:
        now = self.clock.monotonic()
        key = headers.get("X-Delivery-Id", "")
        self.calls.append((now, key))
        found = self.script(now, len(self.calls))
        if isinstance(found, Reason):
            raise FetchFailedError(found)
        if found[0] == 200:
            self.taken.append(key)
        return Answer(
            status=found[0], headers=found[1], body=found[2], new_connection=True, phases={}
        )


def _deliver(
    world: World, book: Book, posts: int, hours: float, policy: DeliveryPolicy | None = None,
    each: Callable[[int], None] = lambda number: None, told: Receiver | None = None,
) -> Meter:  # fmt: skip
    meter = Meter()

    async def story() -> None:
        one = DeliveryWorker(
            told or receiver(), policy or DeliveryPolicy(), store=Memory(book.db), send=world.send,
            optional=world.send,
            clock=world.clock, meter=meter, chance=lambda: 0.5,
        )  # fmt: skip
        with suppress(TimeoutError):
            async with asyncio.timeout(hours * 3600.0), asyncio.TaskGroup() as group:
                group.create_task(one.run())
                for number in range(posts):
                    wall = world.clock.wall()
                    alert = make("a", start=wall)
                    found = book.ledger.take(book.db, post(alert, group=f"g{number}"), wall)
                    delivery.shared([one], found.pending)
                    each(number)
                    await world.clock.sleep(1.0)

    run_virtual(story())
    return meter


def _states(book: Book) -> set[str]:
    return {row["state"] for row in book.db.execute("SELECT DISTINCT state FROM deliveries")}


def test_provider_down_for_ten_minutes() -> None:
    """Everything is delivered within a minute of its return, once, at a bearable rate of tries."""
    world = World(lambda now, n: Reason.CONNECT_REFUSED if now < 600.0 else OK)
    book = Book()
    _deliver(world, book, posts=30, hours=1.0)
    assert _states(book) == {"delivered"}
    assert len(world.taken) == len(set(world.taken)) == 30
    assert max(at for at, _ in world.calls) < 700.0
    assert sum(at < 600.0 for at, _ in world.calls) < 200


def test_same_key_in_every_try_and_another_for_every_message() -> None:
    """A try that may have succeeded is repeated under its key; a reminder has its own."""
    world = World(lambda now, n: Reason.READ_TIMEOUT if n <= 3 else OK)
    book = Book()
    _deliver(world, book, posts=1, hours=0.1)
    assert len(world.calls) == 4
    assert len({key for _, key in world.calls}) == 1
    assert len(world.taken) == 1


def test_retry_after_is_obeyed_in_both_forms() -> None:
    """Not one request before the time the provider named."""
    for value, date in (
        ("120", ""),
        ("Tue, 14 Nov 2023 22:15:20 GMT", "Tue, 14 Nov 2023 22:13:20 GMT"),
    ):
        headers = {"retry-after": value, **({"date": date} if date else {})}
        world = World(lambda now, n, headers=headers: (429, headers, b"") if n == 1 else OK)  # type: ignore[misc]  # bound now
        book = Book()
        meter = _deliver(world, book, posts=5, hours=0.2)
        first, *rest = (at for at, _ in world.calls)
        assert min(rest) - first >= 120.0
        assert _states(book) == {"delivered"}
        assert meter.outcomes.count("retry") >= 1


@pytest.mark.parametrize("kind", ["discord", "telegram"])
@pytest.mark.parametrize("wait", ["1e300", "-1e300", "99999999999", "-5", "0"])
def test_no_provider_sends_a_page_away_for_ever(kind: str, wait: str) -> None:
    """What the body of a 429 asks for is obeyed for an hour at most, and is never in the past."""
    body = f'{{"retry_after": {wait}, "parameters": {{"retry_after": {wait}}}}}'.encode()
    done = b'{"ok": true, "id": "7", "result": {"message_id": 7}}'
    world = World(lambda now, n: (429, {}, body) if n == 1 else (200, {}, done))
    told = receiver(kind, to=("1",))
    book = Book(told)
    _deliver(world, book, posts=1, hours=1.1, told=told)
    assert _states(book) == {"delivered"}
    assert len(world.calls) == 2


def test_the_name_of_a_message_is_bounded() -> None:
    """A provider's name for a message is stored, logged and shown: not a whole answer of it."""
    world = World(lambda now, n: (200, {}, b'{"id": "' + b"7" * 100_000 + b'"}'))
    told = receiver("discord")
    book = Book(told)
    _deliver(world, book, posts=1, hours=0.1, told=told)
    (row,) = book.db.execute("SELECT provider_id FROM deliveries")
    assert row["provider_id"] == "7" * 200


def test_one_refused_message_stops_no_other() -> None:
    """A 400 is for its message alone: the dead letters take it, a retry by hand revives it."""
    world = World(lambda now, n: (400, {}, b"no") if n == 1 else OK)
    book = Book()
    meter = _deliver(world, book, posts=3, hours=0.1)
    assert meter.outcomes.count("failed") == 1
    assert len(world.taken) == 2
    (dead,) = outbox.listed(book.db, [DeliveryState.DEAD], 10)
    assert outbox.revive(book.db, dead.id, world.clock.epoch + 400.0)
    assert not outbox.revive(book.db, dead.id, world.clock.epoch + 400.0)
    assert outbox.drop(book.db, dead.id, world.clock.epoch + 400.0)
    assert not outbox.drop(book.db, dead.id, world.clock.epoch + 400.0)
    told = book.db.execute("SELECT outcome, count(*) FROM audit GROUP BY outcome ORDER BY 1")
    assert [tuple(row) for row in told] == [("dead", 1), ("delivered", 2), ("dropped", 1)]


def test_tries_end_in_the_dead_letters() -> None:
    """After ``give_up`` a delivery is dead, and can be retried by hand."""
    world = World(lambda now, n: Reason.DNS)
    book = Book()
    policy = DeliveryPolicy(give_up=1800.0, backoff=backoff.BackoffRules(base=1.0, cap=30.0))
    _deliver(world, book, posts=1, hours=2.0, policy=policy)
    (dead,) = outbox.listed(book.db, [DeliveryState.DEAD], 10)
    assert dead.detail == "tried for too long: dns"
    assert 1800.0 <= world.calls[-1][0] < 1900.0


def test_wall_clock_jumps_move_no_delivery() -> None:
    """Waits are on the monotonic clock: set back or forth by a day, the next try comes on time."""
    for jump in (86_400.0, -86_400.0):
        world = World(lambda now, n: Reason.CONNECT_REFUSED if now < 60.0 else OK)

        def shift(number: int, world: World = world, jump: float = jump) -> None:
            if number == 2:
                world.clock.epoch += jump

        book = Book()
        _deliver(world, book, posts=5, hours=0.1, each=shift)
        assert _states(book) == {"delivered"}
        assert max(at for at, _ in world.calls) < 130.0


def test_what_waited_over_a_restart_is_not_believed_for_ever() -> None:
    """A due time far ahead, written under a wrong clock, does not hold a page back."""
    book = Book()
    book.take(1_800_000_000.0, make("a"))
    book.db.execute("UPDATE deliveries SET due = 1800000000.0 + 100000.0")
    (found,) = outbox.pending(book.db, 1_700_000_000.0, 3600.0)
    assert found.delay == 0.0
    (found,) = outbox.pending(book.db, 1_800_099_990.0, 3600.0)
    assert found.delay == 10.0


def test_a_message_that_trips_us_up_stops_no_other() -> None:
    """A fault of ours costs the one delivery that it meets; it is kept among the dead letters."""

    def script(now: float, n: int) -> tuple[int, Mapping[str, str], bytes]:
        if n == 1:
            raise KeyError("a mistake")
        return OK

    world, book = World(script), Book()
    _deliver(world, book, posts=3, hours=0.1)
    assert len(world.taken) == 2
    (dead,) = outbox.listed(book.db, [DeliveryState.DEAD], 10)
    assert dead.detail == "internal error, see the log"


class Chat:
    """A Discord whose messages arrive in 0.2 s, and whose edits do as ``patch`` says."""

    def __init__(self, clock: FakeClock, patch: Callable[[], int | Reason]) -> None:
        self._clock, self._patch = clock, patch
        self.begun: list[tuple[str, str]] = []  # method and title, in the order of their sending

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        timeout: float,
        body_limit: int,
        body: bytes | None = None,
    ) -> Answer:
        embed = json.loads(body or b"{}")["embeds"][0]
        self.begun.append((method, embed["title"]))
        await self._clock.sleep(0.2)
        status: int | Reason = 200 if method == "POST" else self._patch()
        if isinstance(status, Reason):
            await self._clock.sleep(timeout)
            raise FetchFailedError(status)
        answer = b'{"id": "7"}'
        return Answer(status=status, headers={}, body=answer, new_connection=True, phases={})


ADVICE = {"language": "en", "cause": "c", "action": "a", "prevention": "p"}


def _crowded(patch: Callable[[], int | Reason]) -> tuple[Chat, Book, Meter]:
    """Queue 500 edits and 200 ends, and let a new critical come in the midst of them."""
    discord = receiver("discord")
    book, clock, meter = Book(discord), FakeClock(), Meter()
    chat = Chat(clock, patch)
    wall = clock.epoch
    for number in range(700):
        book.ledger.take(book.db, post(make("a", start=wall), group=f"g{number:03}"), wall)
    book.db.execute("UPDATE deliveries SET state = 'delivered', provider_id = 'm' || id")
    ids = [row["id"] for row in book.db.execute("SELECT id FROM incidents ORDER BY serial")]
    queued: list[outbox.Pending] = []
    for name in ids[:500]:
        queued += book.ledger.triaged(book.db, name, "ok", ADVICE, wall).pending
    for number in range(500, 700):
        over = make("a", firing=False, start=wall)
        queued += book.ledger.take(book.db, post(over, group=f"g{number:03}"), wall).pending
    assert len(queued) == 700

    async def story() -> None:
        worker = DeliveryWorker(
            discord, DeliveryPolicy(), store=Memory(book.db), send=chat.send,
            optional=chat.send, clock=clock,
            meter=meter, chance=lambda: 0.5,
        )  # fmt: skip
        with suppress(TimeoutError):
            async with asyncio.timeout(3600.0), asyncio.TaskGroup() as group:
                group.create_task(worker.run())
                worker.add(queued)
                await clock.sleep(33.3)
                for level in (Level.WARNING, Level.CRITICAL):
                    new = make("n", name=f"New{level}", level=level, start=clock.wall())
                    found = book.ledger.take(book.db, post(new, group=level), clock.wall())
                    worker.add(found.pending)
                chat.begun.append(("--", "the new ones have come"))

    run_virtual(story())
    return chat, book, meter


def test_new_pages_go_before_all_that_waits() -> None:
    """Whatever becomes of edits, the next message is the critical, then the warning."""
    failing: list[Callable[[], int | Reason]] = [
        lambda: 503, lambda: 501, lambda: 429, lambda: 200, lambda: Reason.READ_TIMEOUT,
    ]  # fmt: skip
    for patch in failing:
        chat, book, meter = _crowded(patch)
        at = chat.begun.index(("--", "the new ones have come"))
        sent = [title for method, title in chat.begun[at:] if method == "POST"]
        assert "Newcritical" in sent[0]
        assert "Newwarning" in sent[1]
        assert [title for method, title in chat.begun[:at] if "New" in title] == []
        # In the end each end was told, as an edit or as a message, and each once.
        told = book.db.execute(
            "SELECT state, count(*) FROM deliveries WHERE occasion = 'resolved' GROUP BY state"
        )
        assert [tuple(row) for row in told] == [("delivered", 200)]
        triages = book.db.execute(
            "SELECT state, count(*) FROM deliveries WHERE occasion = 'triage' GROUP BY state"
        )
        works = patch() == 200
        assert [tuple(row) for row in triages] == [("delivered" if works else "dropped", 500)]
        assert "failed" not in meter.outcomes
        assert not hasattr(meter, "entered"), "the pages' breaker has seen nothing of it"


def test_pages_by_severity_then_ends_then_reminders() -> None:
    """What waited over an outage leaves in that order, whatever the order in which it came."""
    world = World(lambda now, n: OK)
    book = Book()
    wall, queued = world.clock.epoch, list[outbox.Pending]()
    kinds = (("reminder", Level.CRITICAL), ("resolved", Level.CRITICAL), ("firing", Level.INFO),
             ("firing", Level.WARNING), ("firing", Level.CRITICAL))  # fmt: skip
    for kind, level in kinds:
        mine = make("a", name=f"{kind}-{level}", start=wall - 9000.0, level=level)
        found = book.ledger.take(book.db, post(mine, group=f"{kind}{level}"), wall - 9000.0)
        if kind != "firing":
            book.db.execute("UPDATE deliveries SET state = 'delivered' WHERE id = ?",
                            (found.pending[0].id,))  # fmt: skip
            again = make("a", name=mine.name, start=mine.start, level=level,
                         firing=kind == "reminder")  # fmt: skip
            found = book.ledger.take(book.db, post(again, group=f"{kind}{level}"), wall)
        queued += found.pending
    keys = {row["key"]: f"{row['occasion']} {json.loads(row['note'])['level']}"
            for row in book.db.execute("SELECT * FROM deliveries")}  # fmt: skip

    async def story(pending: list[outbox.Pending]) -> None:
        worker = DeliveryWorker(
            receiver(), DeliveryPolicy(parallel=1), store=Memory(book.db), send=world.send,
            optional=world.send,
            clock=world.clock, meter=Meter(), chance=lambda: 0.5,
        )  # fmt: skip
        with suppress(TimeoutError):
            async with asyncio.timeout(60.0), asyncio.TaskGroup() as group:
                worker.add(pending)
                group.create_task(worker.run())

    restarted = outbox.pending(book.db, wall, 60.0)
    assert [(each.traffic, each.rank) for each in restarted] == [
        (each.traffic, each.rank) for each in queued
    ]
    run_virtual(story(restarted))
    assert [keys[key] for _, key in world.calls] == [
        "firing critical", "firing warning", "firing info", "resolved critical",
        "reminder critical",
    ]  # fmt: skip
