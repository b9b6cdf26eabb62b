"""Probes on their schedule: in time, in turn, and skipped where a gate or a breaker says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.flow import breaker, rate_limit
from exporter.model import Answer, Circuit, Probed, Reason, Skip, Target
from exporter.probes.probe import Gates, Listeners, Readers, phase, run
from tests.fakes import FakeClock, run_virtual
from tests.probes.test_probe import TARGET, ScriptedFetch, answer

# --- the schedule -------------------------------------------------------------------------------


@dataclass
class Ran:
    """What a schedule did."""

    fetch: ScriptedFetch
    reports: list[Probed] = field(default_factory=list)
    skips: list[tuple[float, Skip]] = field(default_factory=list)


def scheduled(
    fetch: ScriptedFetch,
    duration: float,
    gates: Callable[[FakeClock], Gates] = lambda clock: Gates(
        breaker=breaker.Breaker(breaker.BreakerRules(failures=None))
    ),
    targets: tuple[Target, ...] = (TARGET,),
    slots: int = 10,
) -> Ran:
    """Run schedules for so many seconds of virtual time."""
    ran = Ran(fetch)

    async def main() -> None:
        clock = FakeClock()
        loop = asyncio.get_running_loop()
        listeners = Listeners(
            report=ran.reports.append,
            skipped=lambda target, skip: ran.skips.append((loop.time(), skip)),
        )
        semaphore, opened = asyncio.Semaphore(slots), gates(clock)
        try:
            async with asyncio.timeout(duration), asyncio.TaskGroup() as group:
                for target in targets:
                    group.create_task(
                        run(
                            target,
                            fetch=fetch,
                            clock=clock,
                            readers=Readers(),
                            slots=semaphore,
                            gates=opened,
                            listeners=listeners,
                        )
                    )
        except TimeoutError:
            pass

    run_virtual(main())
    return ran


def due_times(target: Target, duration: float) -> list[float]:
    """Return the steady due times of a schedule that starts at zero, without the first round."""
    first = phase(target.exchange, target.endpoint) * target.interval
    count = int((duration - first) / target.interval) + 1
    return [first + n * target.interval for n in range(count)]


def test_schedule_keeps_time() -> None:
    """Whatever a probe takes, the next one starts when it is due, and the first one soon."""
    fetch = ScriptedFetch(lambda number: answer(), takes=lambda number: (number % 7) * 1.3)
    ran = scheduled(fetch, 1000.0)
    steady = due_times(TARGET, 1000.0)
    assert fetch.begun[0] <= 1.0
    assert fetch.begun[1:] == pytest.approx(steady[-len(fetch.begun) + 1 :])
    assert len(steady) - len(fetch.begun) in (-1, 0)
    assert all(done.late == pytest.approx(0.0, abs=1e-6) for done in ran.reports)


def test_stall_is_late_once_and_no_burst() -> None:
    """Missed turns are not made up for, and the first one missed tells how late it got."""
    fetch = ScriptedFetch(lambda number: answer(), takes=lambda number: 0.1 if number else 47.0)
    ran = scheduled(fetch, 100.0)
    first, second, third = fetch.begun[:3]
    due = [time for time in due_times(TARGET, 100.0) if time >= first + TARGET.interval / 2]
    assert second == pytest.approx(first + 47.0)
    assert ran.reports[1].late == pytest.approx(second - due[0])
    assert third == pytest.approx(min(time for time in due if time > second))
    assert all(b - a > 9.9 for a, b in zip(fetch.begun[2:], fetch.begun[3:], strict=False))


@given(takes=st.lists(st.floats(0.0, 60.0), min_size=1, max_size=8))
def test_schedule_invariants(takes: list[float]) -> None:
    """Never two at once, never before due, never more probes than turns, and late adds up."""
    fetch = ScriptedFetch(lambda number: answer(), takes=lambda n: takes[n % len(takes)])
    ran = scheduled(fetch, 300.0)
    turns = due_times(TARGET, 300.0)
    assert fetch.most == 1
    assert len(fetch.begun) <= len(turns) + 1
    for begun, done in zip(fetch.begun[1:], ran.reports[1:], strict=False):
        promised = begun - done.late
        assert min(abs(promised - turn) for turn in turns) < 1e-6
        assert done.late >= 0.0
    # In any interval at most two begin: the late one and the one whose turn it is.
    assert all(b - a >= 9.999 for a, b in zip(fetch.begun[1:], fetch.begun[3:], strict=False))


def test_targets_are_spread() -> None:
    """Endpoints of equal interval do not go off together, and not elsewhere after a restart."""
    places = [phase("acme", f"endpoint{n}") for n in range(200)]
    assert places == [phase("acme", f"endpoint{n}") for n in range(200)]
    quarters = [sum(1 for p in places if q / 4 <= p < (q + 1) / 4) for q in range(4)]
    assert sum(quarters) == 200
    assert min(quarters) >= 30


def test_concurrency_is_bounded_and_waiting_counts_as_late() -> None:
    """With two slots no third probe runs, and what waited for a slot says so."""
    targets = tuple(replace(TARGET, endpoint=f"e{n}") for n in range(10))
    fetch = ScriptedFetch(lambda number: answer(), takes=lambda number: 1.5)
    ran = scheduled(fetch, 60.0, targets=targets, slots=2)
    assert fetch.most == 2
    assert max(done.late for done in ran.reports) > 1.0


@pytest.mark.parametrize(
    ("online", "maintenance", "skip"),
    [
        (False, False, Skip.LOCAL_NETWORK),
        (True, True, Skip.MAINTENANCE),
        (False, True, Skip.LOCAL_NETWORK),
    ],
)
def test_gates_skip_with_reason(online: bool, maintenance: bool, skip: Skip) -> None:
    """What stands in the way is named, and nothing is sent."""

    def gates(clock: FakeClock) -> Gates:
        gate = breaker.Breaker(breaker.BreakerRules())
        return Gates(breaker=gate, online=lambda: online, maintenance=lambda: maintenance)

    fetch = ScriptedFetch(lambda number: answer())
    ran = scheduled(fetch, 35.0, gates)
    assert fetch.begun == []
    assert {said for _, said in ran.skips} == {skip}
    assert len(ran.skips) >= 3


def test_breaker_opens_and_skips_are_counted() -> None:
    """An outage is met by a few probes and many skips, which never pass for successes."""
    entered: list[Circuit] = []
    rules = breaker.BreakerRules(failures=3, recovery=50.0, growth=1.0, jitter=0.0)
    fetch = ScriptedFetch(lambda n: answer(503) if n < 4 else answer())
    ran = scheduled(
        fetch, 300.0, lambda clock: Gates(breaker=breaker.Breaker(rules, entered.append))
    )
    assert [done.ok for done in ran.reports[:5]] == [False] * 4 + [True]
    assert entered == [
        Circuit.OPEN,
        Circuit.HALF_OPEN,
        Circuit.OPEN,
        Circuit.HALF_OPEN,
        Circuit.CLOSED,
    ]
    assert {skip for _, skip in ran.skips} == {Skip.BREAKER_OPEN}
    assert len(ran.skips) + len(ran.reports) in (30, 31)


@pytest.mark.parametrize(
    ("said", "rest"),
    [
        (answer(429, retry_after="45"), 45.0),
        (answer(429), 30.0),
        (answer(418, retry_after="200"), 200.0),
        (answer(418), 120.0),
        (answer(503, retry_after="33"), 33.0),
    ],
)
def test_refusals_are_respected(said: Answer, rest: float) -> None:
    """After 429, 418 or a 503 that names its time nothing is sent before that time is over."""
    fetch = ScriptedFetch(lambda number: said if number == 0 else answer())
    readers = Readers(fault=lambda reply: Reason.BANNED if reply.status == 418 else None)
    ran = Ran(fetch)

    async def main() -> None:
        clock = FakeClock()
        slots = asyncio.Semaphore(1)
        shared = rate_limit.RateBudget(rate_limit.RateLimitRules(weight=6000, window=60.0), clock)
        gates = Gates(breaker=breaker.Breaker(breaker.BreakerRules()), budgets=(shared,))
        listeners = Listeners(
            report=ran.reports.append,
            skipped=lambda target, skip: ran.skips.append((clock.monotonic(), skip)),
        )
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(300.0):
                await run(
                    TARGET,
                    fetch=fetch,
                    clock=clock,
                    readers=readers,
                    slots=slots,
                    gates=gates,
                    listeners=listeners,
                )

    run_virtual(main())
    refused = fetch.begun[0] + 0.1
    assert refused + rest <= fetch.begun[1] < refused + rest + 2 * TARGET.interval
    assert {skip for _, skip in ran.skips} == {Skip.BANNED}
    assert all(refused < time < refused + rest for time, _ in ran.skips)


@pytest.mark.parametrize("limited", [True, False])
def test_ban_rests_the_whole_exchange(limited: bool) -> None:
    """A ban is of our address: the other endpoints stop asking too, with and without limits."""
    targets = tuple(replace(TARGET, endpoint=f"e{n}") for n in range(5))
    fetch = ScriptedFetch(
        lambda number: answer(429, retry_after="100") if number == 9 else answer()
    )

    def gates(clock: FakeClock) -> Gates:
        ban = rate_limit.Ban(clock)
        limit = rate_limit.RateBudget(
            rate_limit.RateLimitRules(weight=6000, window=60.0), clock, ban
        )
        shared = limit if limited else ban
        return Gates(breaker=breaker.Breaker(breaker.BreakerRules()), budgets=(shared,))

    scheduled(fetch, 300.0, gates, targets=targets)
    banned = fetch.begun[9] + 0.1
    assert not [time for time in fetch.begun if banned < time < banned + 99.9]
    assert [time for time in fetch.begun if time > banned + 99.9]


def test_exhausted_budget_skips() -> None:
    """Probes beyond our share are skipped, and the share comes back as the window moves on."""
    fetch = ScriptedFetch(lambda number: answer())

    def gates(clock: FakeClock) -> Gates:
        shared = rate_limit.RateBudget(rate_limit.RateLimitRules(weight=20, window=60.0), clock)
        return Gates(breaker=breaker.Breaker(breaker.BreakerRules()), budgets=(shared,))

    ran = scheduled(fetch, 600.0, gates)
    assert {skip for _, skip in ran.skips} == {Skip.RATE_BUDGET}
    for begun in fetch.begun:
        assert sum(1 for other in fetch.begun if begun <= other < begun + 60.0) <= 2
    assert len(fetch.begun) >= 15


@settings(max_examples=100, deadline=None)
@given(
    intervals=st.lists(st.sampled_from((5.0, 10.0, 15.0, 30.0)), min_size=1, max_size=8),
    weights=st.lists(st.integers(1, 10), min_size=12, max_size=12),
    paced=st.booleans(),
    name=st.text(min_size=1, max_size=12),
)
def test_every_endpoint_has_its_turn(
    intervals: list[float], weights: list[int], paced: bool, name: str
) -> None:
    """While all that is due fits the limit, each endpoint is probed within two intervals.

    Whatever their names make of their places in the interval, and however tight the limit is.
    """
    targets = tuple(
        replace(TARGET, exchange=name, endpoint=f"e{n}", interval=interval, weight=weights[n])
        for n, interval in enumerate(intervals)
    )
    window = 10.0
    demand = sum(target.weight / target.interval for target in targets) * window
    # One slice of the window is not yet free when it is counted again, and the heaviest must fit.
    room = ceil(1.1 * demand) + max(target.weight for target in targets)
    begun: dict[str, list[float]] = {target.endpoint: [0.0] for target in targets}
    lasting = 6 * max(intervals)

    async def main() -> None:
        clock = FakeClock()
        start = clock.monotonic()

        def budget(weight: int, seconds: float) -> rate_limit.RateBudget:
            return rate_limit.RateBudget(
                rate_limit.RateLimitRules(weight=weight, window=seconds, share=1.0, ceiling=1.0),
                clock,
            )

        shared = budget(room, window)

        async def watch(target: Target) -> None:
            async def fetch(*_: object, **__: object) -> Answer:
                begun[target.endpoint].append(clock.monotonic() - start)
                return answer()

            own = (budget(target.weight, target.interval / 1.1),) if paced else ()
            await run(
                target,
                fetch=fetch,
                clock=clock,
                readers=Readers(),
                slots=asyncio.Semaphore(1),
                gates=Gates(
                    breaker=breaker.Breaker(breaker.BreakerRules()), budgets=(shared, *own)
                ),
                listeners=Listeners(report=lambda done: None, skipped=lambda target, skip: None),
            )

        with suppress(TimeoutError):
            async with asyncio.timeout(lasting), asyncio.TaskGroup() as group:
                for target in targets:
                    group.create_task(watch(target))

    run_virtual(main())
    for target in targets:
        times = [*begun[target.endpoint], lasting]
        longest = max(later - earlier for earlier, later in pairwise(times))
        # A sliding window is kept in slices of a sixtieth, and every wait in line may cost one.
        assert longest <= 2 * target.interval + window / 10, (target.endpoint, longest)


def test_cancelled_probe_gives_its_trial_back() -> None:
    """A probe that is cancelled while half-open does not lock the breaker."""
    gate = breaker.Breaker(breaker.BreakerRules(failures=1, recovery=5.0, jitter=0.0))
    fetch = ScriptedFetch(lambda n: answer(503), takes=lambda n: 0.1 if n == 0 else 1000.0)
    scheduled(fetch, 25.0, lambda clock: Gates(breaker=gate))
    assert len(fetch.begun) == 2
    assert gate.state.circuit is Circuit.HALF_OPEN
    assert gate.acquire(25.0) is not None
