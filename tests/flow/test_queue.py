"""Bounded queues: what goes in comes out, in order, once, or is counted as dropped."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from random import Random
from typing import Any

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from exporter.flow.queue import Queue, QueueClosedError
from exporter.model import QueuePolicy
from tests.fakes import run_virtual

DROPPING = (QueuePolicy.DROP_OLDEST, QueuePolicy.DROP_NEWEST)
OPS = st.lists(st.one_of(st.just("get"), st.integers(0, 9)), max_size=60)


def queue(capacity: int, policy: QueuePolicy = QueuePolicy.BLOCK, **more: Any) -> Queue[Any]:
    return Queue(capacity, policy, now=lambda: asyncio.get_running_loop().time(), **more)


async def drain(held: Queue[Any]) -> list[Any]:
    held.close()
    items = [await held.get() for _ in range(held.depth)]
    with pytest.raises(QueueClosedError):
        await held.get()
    return items


@given(st.sampled_from(DROPPING), st.integers(1, 5), OPS)
def test_what_is_not_dropped_comes_out(policy: QueuePolicy, capacity: int, ops: list[Any]) -> None:
    """Never above the bound, and put = got + dropped + waiting at every moment."""

    async def main() -> None:
        held, put, got = queue(capacity, policy), 0, 0
        for op in ops:
            if op == "get":
                if held.depth:
                    await held.get()
                    got += 1
            else:
                await held.put((op, put))
                put += 1
            assert held.depth <= capacity
            assert put == got + held.depth + held.dropped

    run_virtual(main())


@given(st.integers(1, 5), OPS)
def test_drop_oldest_keeps_the_newest(capacity: int, ops: list[Any]) -> None:
    """It behaves as a list of bounded length that loses its head."""

    async def main() -> None:
        held, model = queue(capacity, QueuePolicy.DROP_OLDEST), list[int]()
        for op in ops:
            if op != "get":
                held.offer(op)
                model = [*model, op][-capacity:]
            elif model:
                assert await held.get() == model.pop(0)
        assert await drain(held) == model

    run_virtual(main())


@given(st.integers(1, 5), OPS)
def test_drop_newest_keeps_the_oldest(capacity: int, ops: list[Any]) -> None:
    """It behaves as a list of bounded length that takes no more."""

    async def main() -> None:
        held, model = queue(capacity, QueuePolicy.DROP_NEWEST), list[int]()
        for op in ops:
            if op != "get":
                assert held.offer(op) is (len(model) < capacity)
                model = [*model, op][:capacity]
            elif model:
                assert await held.get() == model.pop(0)
        assert await drain(held) == model

    run_virtual(main())


@given(
    st.sampled_from((QueuePolicy.BLOCK, QueuePolicy.DROP_OLDEST, QueuePolicy.DROP_NEWEST)),
    st.integers(1, 5),
    st.lists(
        st.one_of(
            st.just("get"), st.tuples(st.just("remove"), st.integers(0, 4)), st.integers(-2, 2)
        ),
        max_size=60,
    ),
)
def test_the_greatest_priority_is_first(policy: QueuePolicy, capacity: int, ops: list[Any]) -> None:
    """It behaves as a list sorted by priority and then by age, that loses from its lower end."""
    _play_priorities(policy, capacity, ops)


def _play_priorities(policy: QueuePolicy, capacity: int, ops: list[Any]) -> None:
    async def main() -> None:
        held = queue(capacity, policy, priority=lambda item: item[0])
        model = list[tuple[int, int]]()  # priority and number, the next one to come out first
        for number, op in enumerate(ops):
            if op == "get":
                if model:
                    assert await held.get() == model.pop(0)
            elif isinstance(op, tuple):
                gone = model.pop(op[1]) if op[1] < len(model) else (0, -1)
                assert held.remove(next((i for i in _inside(held) if i == gone), gone)) is (
                    gone[1] >= 0
                )
            else:
                item, full = (op, number), len(model) == capacity
                model.append(item)
                if full:
                    model.remove(_victim(policy, model, item))
                assert held.offer(item) is (item in model)
            model.sort(key=lambda each: (-each[0], each[1]))
            assert held.depth == len(model)
        assert await drain(held) == model

    run_virtual(main())


def _inside(held: Queue[Any]) -> list[Any]:
    return [item for level in held._levels.values() for item, _ in level]


def _victim(
    policy: QueuePolicy, model: list[tuple[int, int]], item: tuple[int, int]
) -> tuple[int, int]:
    if policy is QueuePolicy.BLOCK:
        return item
    least = [each for each in model if each[0] == min(model)[0]]
    return min(least) if policy is QueuePolicy.DROP_OLDEST else max(least)


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.floats(0, 3), st.booleans()), min_size=1, max_size=20),
    st.lists(st.tuples(st.floats(0, 3), st.booleans()), max_size=30),
)
def test_blocking_loses_nothing_even_when_cancelled(
    capacity: int, puts: list[tuple[float, bool]], gets: list[tuple[float, bool]]
) -> None:
    """Every accepted item comes out once, in the order of acceptance, whoever is cancelled."""

    async def main() -> None:
        held = queue(capacity)
        accepted, refused, got = list[int](), set[int](), list[int]()

        async def put(number: int, hurry: bool) -> None:
            try:
                async with asyncio.timeout(0.5 if hurry else None):
                    await held.put(number)
                accepted.append(number)
            except TimeoutError:
                refused.add(number)
            except QueueClosedError:
                refused.add(number)

        async def get(hurry: bool) -> None:
            try:
                async with asyncio.timeout(0.5 if hurry else None):
                    got.append(await held.get())
            except (TimeoutError, QueueClosedError):
                pass

        async with asyncio.TaskGroup() as tasks:

            async def later(moment: float, what: Any) -> None:
                await asyncio.sleep(moment)
                await what

            for number, (moment, hurry) in enumerate(puts):
                tasks.create_task(later(moment, put(number, hurry)))
            for moment, hurry in gets:
                tasks.create_task(later(moment, get(hurry)))
            await asyncio.sleep(5.0)
            assert held.depth <= capacity
            held.close()
        got += await drain(held)
        assert sorted(got) == sorted(set(accepted) | (set(got) & refused))
        assert set(accepted) <= set(got)
        assert len(got) == len(set(got))
        assert held.dropped == 0

    run_virtual(main())


def test_waiting_puts_are_served_in_turn() -> None:
    """First come, first served, and a newcomer does not jump in."""

    async def main() -> list[int]:
        held = queue(1)
        async with asyncio.TaskGroup() as tasks:
            for number in range(5):
                tasks.create_task(held.put(number))
            await asyncio.sleep(1)
            assert held.depth == 1
            assert held.offer(9) is False
            return [await held.get() for _ in range(5)]

    assert run_virtual(main()) == [0, 1, 2, 3, 4]


def test_a_cancelled_getter_passes_its_turn_on() -> None:
    """A wake-up is not lost with the one who got it."""

    async def main() -> Any:
        held = queue(2)
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(held.get())
            second = tasks.create_task(held.get())
            await asyncio.sleep(0)
            held.offer("item")  # wakes the first
            first.cancel()
            async with asyncio.timeout(1):
                return await second

    assert run_virtual(main()) == "item"


def test_a_cancelled_put_took_nothing() -> None:
    """Its item is not in the queue, and its place is free."""

    async def main() -> list[Any]:
        held = queue(1)
        await held.put("a")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await held.put("b")
        return await drain(held)

    assert run_virtual(main()) == ["a"]


def test_closing_drains() -> None:
    """What is inside still comes out; nothing more goes in; who waits is told."""

    async def main() -> None:
        held = queue(2)
        await held.put(1)
        await held.put(2)
        async with asyncio.TaskGroup() as tasks:
            blocked = tasks.create_task(_refused(held.put(3)))
            await asyncio.sleep(0)
            held.close()
            assert await blocked
        with pytest.raises(QueueClosedError):
            held.offer(4)
        assert await drain(held) == [1, 2]
        empty = queue(1)
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(_refused(empty.get()))
            await asyncio.sleep(0)
            empty.close()
            assert await waiting

    run_virtual(main())


async def _refused(call: Any) -> bool:
    try:
        await call
    except QueueClosedError:
        return True
    return False


def test_the_wait_of_each_item_is_told() -> None:
    """From being put to being got, also for one that had to wait for room."""

    async def main(policy: QueuePolicy, items: list[Any]) -> list[float]:
        waits: list[float] = []
        held = queue(5, policy, waited=waits.append)
        for item in items:
            await held.put(item)
            await asyncio.sleep(1.0)
        while held.depth:
            await held.get()
        return waits

    assert run_virtual(main(QueuePolicy.BLOCK, [1, 2])) == [2.0, 1.0]


def test_absurd_queues_are_refused() -> None:
    """No room, or a policy for frames: said at once."""
    with pytest.raises(ValueError, match="capacity of at least 1"):
        queue(0)
    for policy in (QueuePolicy.SPILL, QueuePolicy.COALESCE):
        with pytest.raises(ValueError, match="in memory cannot"):
            queue(1, policy)


# --- tests of the tests ---------------------------------------------------------------------------


def _overfull(self: Queue[Any], item: Any) -> bool:
    self.capacity += 1  # one more than allowed
    try:
        return _offer(self, item)
    finally:
        self.capacity -= 1


def _drops_quietly(self: Queue[Any], item: Any) -> bool:
    before = self.dropped
    taken = _offer(self, item)
    self.dropped = before
    return taken


def _admits_nobody(self: Queue[Any]) -> None:
    """A lost wake-up: whoever waits for room waits for ever."""


def _admits_all(self: Queue[Any]) -> None:
    while self._blocked:
        turn, _ = self._blocked.popitem(last=False)
        self._promised += 1
        turn.set_result(None)


def _wakes_nobody(self: Queue[Any]) -> None:
    """A lost wake-up: whoever waits for an item waits for ever."""
    if self._getters:
        self._getters.popitem(last=False)


def _drops_the_urgent(self: Queue[Any], priority: int) -> bool:
    most = max(self._levels)
    self._levels[most].popleft()
    self._tidy(most)
    self.dropped += 1
    return True


def _pushes_equals_out(self: Queue[Any], priority: int) -> bool:
    return _make_room(self, priority + 1)


def _one_level(self: Queue[Any], item: Any) -> None:
    self._levels.setdefault(0, deque()).append((item, self._now()))
    self._wake_getter()


def _keeps_empty_levels(self: Queue[Any], priority: int) -> None:
    """A level without items stays, and is looked for them."""


PRIORITY_MUTANTS: list[tuple[str, Any]] = [
    ("_make_room", _drops_the_urgent),
    ("_make_room", _pushes_equals_out),
    ("_take_in", _one_level),
    ("_tidy", _keeps_empty_levels),
]


@pytest.mark.parametrize(
    ("name", "mutant"), PRIORITY_MUTANTS, ids=[m.__name__ for _, m in PRIORITY_MUTANTS]
)
def test_broken_priorities_are_caught(
    name: str, mutant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes out first, and what is dropped, is held against a sorted list."""
    monkeypatch.setattr(Queue, name, mutant)
    with pytest.raises((AssertionError, KeyError, IndexError)):
        _play_many(Random(7))


def _play_many(chance: Random) -> None:
    for _ in range(300):
        ops = [chance.choice(["get", ("remove", 1), -1, 0, 1, 2]) for _ in range(20)]
        _play_priorities(chance.choice([QueuePolicy.DROP_OLDEST, QueuePolicy.DROP_NEWEST]), 3, ops)


_offer, _make_room = Queue.offer, Queue._make_room
MUTANTS: list[tuple[str, Any]] = [
    ("offer", _overfull),
    ("offer", _drops_quietly),
    ("_admit", _admits_nobody),
    ("_admit", _admits_all),
    ("_wake_getter", _wakes_nobody),
]
PHASES = (Phase.explicit, Phase.generate)
FLOW = st.lists(
    st.tuples(st.sampled_from(("put", "put", "put", "get", "wait", "stop")), st.floats(0.0, 3.0)),
    max_size=40,
)


async def _play(policy: QueuePolicy, capacity: int, steps: list[tuple[str, float]]) -> None:
    """Many put and get at once, some are cancelled; every item that was taken in comes out once."""
    held = queue(capacity, policy)
    put: list[int] = []
    got: list[int] = []

    async def producer(number: int) -> None:
        await held.put((number, number))
        put.append(number)

    async def consumer() -> None:
        got.append((await held.get())[1])

    async with asyncio.TaskGroup() as tasks:
        running: list[asyncio.Task[None]] = []
        producers: list[asyncio.Task[None]] = []
        for number, (kind, value) in enumerate(steps):
            if kind == "put":
                running.append(tasks.create_task(producer(number)))
                producers.append(running[-1])
            elif kind == "get":
                running.append(tasks.create_task(consumer()))
            elif kind == "stop" and running:
                running.pop(int(value * len(running) / 3.01)).cancel()
            for wait in (value, 0.0, 0.0) if value > 1.0 or kind == "wait" else ():
                await asyncio.sleep(wait)
                assert held.depth <= capacity
        for _ in range(len(steps)):
            tasks.create_task(_settle(held, got))
        await asyncio.sleep(10.0)
        assert all(each.done() for each in producers), "there was room, and somebody still waits"
        for each in running:
            each.cancel()
        await asyncio.sleep(1.0)
        assert held.depth == 0
        held.close()
    dropped = held.dropped
    assert len(put) == len(got) + dropped
    assert len(set(got)) == len(got)
    assert set(got) <= set(put)


async def _settle(held: Queue[Any], got: list[int]) -> None:
    with suppress(QueueClosedError):
        got.append((await held.get())[1])


@given(st.sampled_from((QueuePolicy.BLOCK, *DROPPING)), st.integers(1, 3), FLOW)
def test_crowds_lose_and_double_nothing(
    policy: QueuePolicy, capacity: int, steps: list[tuple[str, float]]
) -> None:
    """However many put, get and are cancelled at once, taken in = came out + dropped."""
    run_virtual(_play(policy, capacity, steps))


@pytest.mark.parametrize(("name", "mutant"), MUTANTS, ids=[m.__name__ for _, m in MUTANTS])
def test_broken_variants_are_caught(
    name: str, mutant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The promise above would notice each mistake that one could make here."""
    monkeypatch.setattr(Queue, name, mutant)

    @settings(max_examples=300, deadline=None, database=None, phases=PHASES)
    @given(st.sampled_from((QueuePolicy.BLOCK, *DROPPING)), st.integers(1, 3), FLOW)
    @example(
        QueuePolicy.BLOCK, 1, [("put", 0.0)] * 4 + [("wait", 1.5), ("get", 1.5), ("wait", 1.5)]
    )
    def check(policy: QueuePolicy, capacity: int, steps: list[tuple[str, float]]) -> None:
        run_virtual(_play(policy, capacity, steps))

    with pytest.raises((AssertionError, ExceptionGroup, RuntimeError)):
        check()
