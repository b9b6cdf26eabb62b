"""Who waits for a rate budget has a turn, in order, and a ban is kept to the second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.flow.rate_limit import (
    Ban,
    RateBudget,
)
from tests.fakes import FakeClock, run_virtual
from tests.flow.test_rate_limit import RULES

# --- those who wait -------------------------------------------------------------------------------


def test_line_is_fair_and_exact() -> None:
    """Served in order of coming, heavy ones too, and never more than the share in a window."""
    served: list[tuple[float, int]] = []

    async def one(budget: RateBudget, number: int) -> None:
        await budget.wait_acquired(1 + number % 4, 3600.0)
        served.append((asyncio.get_running_loop().time(), number))

    async def main() -> None:
        budget = RateBudget(RULES, FakeClock())
        async with asyncio.TaskGroup() as group:
            for number in range(60):
                group.create_task(one(budget, number))

    run_virtual(main())
    assert [number for _, number in served] == list(range(60))
    for begin, _ in served:
        assert sum(1 + n % 4 for t, n in served if begin <= t < begin + 60.0) <= 10


@given(
    st.lists(
        st.tuples(st.floats(0.0, 100.0), st.integers(1, 10), st.floats(0.1, 400.0)),
        min_size=1,
        max_size=25,
    ),
    st.lists(st.tuples(st.integers(0, 24), st.floats(0.0, 300.0)), max_size=12),
)
def test_nobody_is_forgotten_when_others_leave(
    asks: list[tuple[float, int, float]], cancels: list[tuple[int, float]]
) -> None:
    """However many are cancelled or too late, each of the rest is served in order or times out."""
    ends: dict[int, str] = {}
    order: list[int] = []
    arrived: list[int] = []

    async def one(budget: RateBudget, number: int) -> None:
        come, weight, patience = asks[number]
        await asyncio.sleep(come)
        arrived.append(number)
        try:
            await budget.wait_acquired(weight, patience)
        except TimeoutError:
            ends[number] = "late"
        except asyncio.CancelledError:
            ends[number] = "cancelled"
            raise
        else:
            ends[number] = "served"
            order.append(number)

    async def main() -> None:
        budget = RateBudget(RULES, FakeClock())
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(budget, number)) for number in range(len(asks))]
            for index, when in cancels:
                loop.call_later(when, tasks[index % len(tasks)].cancel)
        # The line is open again for the next one.
        await budget.wait_acquired(10, 62.0)

    run_virtual(main())
    assert order == [number for number in arrived if ends.get(number) == "served"]
    assert set(ends) >= set(arrived)
    assert set(range(len(asks))) - set(arrived) <= {index % len(asks) for index, _ in cancels}


def test_who_asks_at_once_does_not_overtake() -> None:
    """A stream of light probes cannot starve a heavy request that waits in line."""

    async def main() -> None:
        budget = RateBudget(RULES, FakeClock())
        for _ in range(6):
            assert budget.admit()
        async with asyncio.TaskGroup() as group:
            group.create_task(budget.wait_acquired(8, 100.0))
            await asyncio.sleep(0.0)
            assert not budget.admit()
        assert budget.admit()

    run_virtual(main())


def test_ban_holds_to_the_second_and_over_restarts() -> None:
    """Nothing is taken before the ban ends; a shorter ban never shortens it."""

    async def main() -> None:
        clock = FakeClock()
        noted = list[float]()
        ban = Ban(clock, on_ban=noted.append)
        budget = RateBudget(RULES, clock, ban)
        other = RateBudget(RULES, clock, ban)
        budget.ban(100.0)
        budget.ban(10.0)
        assert noted == [clock.epoch + 100.0]
        assert not other.admit()
        restarted = RateBudget(RULES, clock, Ban(clock, noted[0]))
        await clock.sleep(99.9)
        assert not budget.admit()
        assert not restarted.admit()
        await restarted.wait_acquired(1, 1.0)
        assert clock.monotonic() == pytest.approx(100.0)
        assert budget.admit()
        assert ban.admit()

    run_virtual(main())


def test_the_line_goes_on_when_its_head_leaves() -> None:
    """Whoever is cancelled or too late at the head of the line holds nobody up."""

    async def main() -> None:
        budget = RateBudget(RULES, FakeClock())
        assert budget.admit(10)
        async with asyncio.TaskGroup() as group:
            first = group.create_task(budget.wait_acquired(8, 100.0))
            await asyncio.sleep(1.0)
            first.cancel()
        with pytest.raises(TimeoutError):
            await budget.wait_acquired(8, 1.0)
        await budget.wait_acquired(10, 62.0)

    run_virtual(main())


def _overtakes(self: RateBudget, weight: int = 1) -> bool:
    return self._take(weight) == 0.0


async def _no_line(self: RateBudget, weight: int, timeout: float) -> None:
    async with asyncio.timeout(timeout):
        while (wait := self._take(weight)) > 0.0:
            await self._clock.sleep(wait)


async def _line_left_locked(self: RateBudget, weight: int, timeout: float) -> None:
    async with asyncio.timeout(timeout):
        await self._line.acquire()
        while (wait := self._take(weight)) > 0.0:
            await self._clock.sleep(wait)
        self._line.release()


def _counted_twice(self: RateBudget, weight: int) -> float:
    wait = _take(self, weight)
    return wait or _take(self, weight)


def _ban_forgotten(self: Ban) -> float:
    return 0.0


def _ban_cut_short(self: Ban, duration: float) -> None:
    self.until = self._clock.wall() + duration
    self._on_ban(self.until)


_take = RateBudget._take
LINE_MUTANTS: list[tuple[type, str, Callable[..., object], Callable[[], None]]] = [
    (RateBudget, "admit", _overtakes, test_who_asks_at_once_does_not_overtake),
    (RateBudget, "wait_acquired", _no_line, test_line_is_fair_and_exact),
    (RateBudget, "wait_acquired", _line_left_locked, test_the_line_goes_on_when_its_head_leaves),
    (RateBudget, "_take", _counted_twice, test_who_asks_at_once_does_not_overtake),
    (Ban, "left", _ban_forgotten, test_ban_holds_to_the_second_and_over_restarts),
    (Ban, "ban", _ban_cut_short, test_ban_holds_to_the_second_and_over_restarts),
]


@pytest.mark.parametrize(
    ("where", "name", "mutant", "story"),
    LINE_MUTANTS,
    ids=[m.__name__ for _, _, m, _ in LINE_MUTANTS],
)
def test_broken_lines_are_caught(
    where: type,
    name: str,
    mutant: Callable[..., object],
    story: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The tests of those who wait would notice each mistake that one could make here."""
    monkeypatch.setattr(where, name, mutant)
    with pytest.raises((AssertionError, TimeoutError, ExceptionGroup)):
        story()


def test_venue_figures_reach_the_gauge() -> None:
    """The used ratio is the venue's word while it is fresh, then our own count."""

    async def main() -> None:
        clock = FakeClock()
        budget = RateBudget(RULES, clock)
        assert budget.admit(5)
        assert budget.used_ratio() == 0.05
        budget.reconcile(42)
        assert budget.used_ratio() == 0.42
        await clock.sleep(59.0)
        assert budget.used_ratio() == 0.42
        await clock.sleep(3.0)
        assert budget.used_ratio() == 0.0

    run_virtual(main())
