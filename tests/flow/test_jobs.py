"""Every job ends once, in its turn and its time, whatever happens around it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from exporter.flow import backoff, jobs
from exporter.flow.jobs import ENDED, Job, Jobs, JobsFullError, JobStatus, Work
from exporter.flow.queue import Queue
from tests.fakes import FakeClock, run_virtual

RULES = backoff.BackoffRules(base=1.0, cap=4.0)


class WrongError(Exception):
    """What a try may end in."""


@dataclass
class Tried:
    """What a job is to do at each try, and what it has done."""

    priority: int
    retries: int
    plan: list[tuple[str, float]]
    began: list[float] = field(default_factory=list)
    running: int = 0

    async def __call__(self) -> object:
        loop = asyncio.get_running_loop()
        kind, duration = self.plan[min(len(self.began), len(self.plan) - 1)]
        self.began.append(loop.time())
        self.running += 1
        try:
            await asyncio.sleep(duration)
        finally:
            self.running -= 1
        if kind == "bad":
            raise WrongError("bad luck")
        return {"tries": len(self.began)}


TRIED = st.builds(
    Tried,
    priority=st.integers(0, 2),
    retries=st.integers(0, 3),
    plan=st.lists(
        st.tuples(st.sampled_from(("good", "bad")), st.floats(0.0, 8.0)), min_size=1, max_size=4
    ),
)
# What happens to the whole: time passes, a job comes, a job (by number) is cancelled.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.floats(0.0, 5.0)),
        st.tuples(st.just("come"), TRIED),
        st.tuples(st.just("cancel"), st.integers(1, 12)),
    ),
    max_size=25,
)


class BrokenPromiseError(AssertionError):
    """A promise was not kept."""


def promise(kept: bool, what: str) -> None:
    if not kept:
        raise BrokenPromiseError(what)


async def _play(steps: list[tuple[str, object]], workers: int) -> None:
    told: Counter[JobStatus] = Counter()

    def heard(status: JobStatus) -> None:
        told[status] += 1

    pool = Jobs(clock=FakeClock(), chance=lambda: 0.5, expected=(WrongError,), workers=workers,
                waiting=5, kept=100, rules=RULES, heard=heard)  # fmt: skip
    known: dict[int, tuple[Job, Tried]] = {}

    def look() -> None:
        alive = [job for job, _ in known.values() if job.status not in ENDED]
        running = [job for job in alive if job.status is JobStatus.RUNNING]
        promise(len(running) <= workers, "no more run than there are workers")
        promise(all(tried.running <= 1 for _, tried in known.values()), "one try at a time")
        promise(all(job.tries <= job.retries + 1 for job, _ in known.values()), "tries are counted")

    async with asyncio.TaskGroup() as tasks:
        owner = tasks.create_task(pool.run())
        for kind, value in steps:
            if isinstance(value, float):
                await asyncio.sleep(value)
            elif isinstance(value, Tried):
                one = Tried(value.priority, value.retries, value.plan)
                line = sum(job.status is JobStatus.PENDING for job, _ in known.values())
                try:
                    job = pool.submit("x", None, one, priority=one.priority, timeout=5.0,
                                      retries=one.retries)  # fmt: skip
                except JobsFullError:
                    promise(line >= 5, "refused only when full")
                else:
                    promise(line < 5, "no more wait than there is room for")
                    known[job.id] = (job, one)
            elif isinstance(value, int):
                found = known.get(value)
                could = found is not None and found[0].status not in ENDED
                promise(pool.cancel(value) is could, f"{kind} says whether it could")
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                promise(found is None or found[0].status in ENDED, "cancelled means ended")
            look()
        await asyncio.sleep(500.0)
        look()
        owner.cancel()
    for job, tried in known.values():
        _judge(job, tried)
    ends = Counter(job.status for job, _ in known.values())
    promise(all(told[status] == ends[status] for status in ENDED), "each end is told once")


def _judge(job: Job, tried: Tried) -> None:
    promise(job.status in ENDED, "every job ends")
    outcomes = [tried.plan[min(n, len(tried.plan) - 1)] for n in range(len(tried.began))]
    good = [kind == "good" and duration < 5.0 for kind, duration in outcomes]
    promise(not any(good[:-1]), "no try after a success")
    promise(
        (job.result is not None) is (job.status is JobStatus.COMPLETED), "results are of successes"
    )
    match job.status:
        case JobStatus.COMPLETED:
            promise(good[-1], "success is success")
        case JobStatus.FAILED:
            promise(len(good) == job.retries + 1 and not any(good), "all tries were used")
            promise(bool(job.error), "a failure says why")
    for before, after in zip(tried.began, tried.began[1:], strict=False):
        promise(after > before, "a retry waits")


@settings(max_examples=150, deadline=None)
@given(steps=STEPS, workers=st.integers(1, 3))
def test_promises_hold_whatever_happens(steps: list[tuple[str, object]], workers: int) -> None:
    """Jobs come, fail, are cancelled and time out in any order."""
    run_virtual(_play(steps, workers))


def _lines_up_anything(self: Jobs, job: Job) -> None:
    self._line.offer(job)  # one that was cancelled while it waited for its next try, too


def _lines_up_nobody_again(self: Jobs, job: Job) -> None:
    if job.tries == 0:
        self._line.offer(job)


def _leaves_it_in_line(self: Queue[Job], item: Job) -> bool:
    return True


def _retry_at_once(job: Job, now: float, rules: backoff.BackoffRules, chance: float) -> bool:
    if job.tries > job.retries:
        return False
    job.status, job.due = JobStatus.PENDING, now
    return True


def _retry_more(job: Job, now: float, rules: backoff.BackoffRules, chance: float) -> bool:
    if job.tries > job.retries + 1:
        return False
    job.status, job.due = JobStatus.PENDING, now + 1.0
    return True


def _retry_less(job: Job, now: float, rules: backoff.BackoffRules, chance: float) -> bool:
    if job.tries >= job.retries:
        return False
    job.status, job.due = JobStatus.PENDING, now + 1.0
    return True


def _retry_forgets(job: Job, now: float, rules: backoff.BackoffRules, chance: float) -> bool:
    return job.tries <= job.retries  # and leaves it running: nobody takes it up again


CANCELLED_BETWEEN_TRIES: list[tuple[str, object]] = [
    ("come", Tried(0, 2, [("bad", 1.0)])), ("wait", 1.2), ("cancel", 1), ("wait", 5.0),
]  # fmt: skip
MUTANTS: list[tuple[object, str, Callable[..., object]]] = [
    (Jobs, "_line_up", _lines_up_anything),
    (Jobs, "_line_up", _lines_up_nobody_again),
    (Queue, "remove", _leaves_it_in_line),
    (jobs, "retry", _retry_at_once),
    (jobs, "retry", _retry_more),
    (jobs, "retry", _retry_less),
    (jobs, "retry", _retry_forgets),
]


@pytest.mark.parametrize(
    ("where", "name", "mutant"), MUTANTS, ids=[m.__name__ for *_, m in MUTANTS]
)
def test_broken_variants_are_caught(
    where: object, name: str, mutant: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The promises above would notice each mistake that one could make here."""
    monkeypatch.setattr(where, name, mutant)

    phases = (Phase.explicit, Phase.generate)

    @settings(max_examples=300, deadline=None, database=None, phases=phases)
    @given(steps=STEPS, workers=st.integers(1, 3))
    @example(steps=CANCELLED_BETWEEN_TRIES, workers=1)
    def check(steps: list[tuple[str, object]], workers: int) -> None:
        run_virtual(_play(steps, workers))

    with pytest.raises((BrokenPromiseError, ExceptionGroup, RuntimeError)):
        check()


def test_priority_then_age() -> None:
    """The more urgent first, of equals the older."""
    done: list[str] = []

    def work(name: str) -> jobs.Work:
        async def run() -> object:
            await asyncio.sleep(1.0)
            done.append(name)
            return name

        return run

    async def main() -> None:
        pool = Jobs(clock=FakeClock(), chance=lambda: 0.5, expected=(), workers=1)
        for name, priority in (("a", 0), ("b", 1), ("c", 0), ("d", 2), ("e", 1)):
            pool.submit("x", None, work(name), priority=priority)
        async with asyncio.TaskGroup() as tasks:
            owner = tasks.create_task(pool.run())
            await asyncio.sleep(10.0)
            owner.cancel()

    run_virtual(main())
    assert done == ["d", "b", "e", "a", "c"]


def test_timeouts_and_large_results_fail() -> None:
    """Both are said in words, and a result beyond the bound is not tried again."""

    async def main() -> list[tuple[JobStatus, str, int]]:
        pool = Jobs(clock=FakeClock(), chance=lambda: 0.5, expected=(), largest=1000)

        async def large() -> object:
            return "x" * 2000

        slow = pool.submit("x", None, lambda: asyncio.sleep(100.0), timeout=2.0, retries=1)
        big = pool.submit("x", None, large, retries=3)
        async with asyncio.TaskGroup() as tasks:
            owner = tasks.create_task(pool.run())
            await asyncio.sleep(60.0)
            owner.cancel()
        return [(job.status, job.error, job.tries) for job in (slow, big)]

    assert run_virtual(main()) == [
        (JobStatus.FAILED, "not done within 2 s", 2),
        (JobStatus.FAILED, "a result of 2002 bytes, 1000 at most", 1),
    ]


def test_only_so_many_results_are_kept() -> None:
    """The oldest is forgotten first."""

    async def main() -> list[int]:
        pool = Jobs(clock=FakeClock(), chance=lambda: 0.5, expected=(), kept=3)
        async with asyncio.TaskGroup() as tasks:
            owner = tasks.create_task(pool.run())
            for _ in range(7):
                pool.submit("x", None, lambda: asyncio.sleep(0.1))
                await asyncio.sleep(1.0)
            owner.cancel()
        assert pool.find(4) is None
        return [job.id for job in pool.all()]

    assert run_virtual(main()) == [7, 6, 5]


def test_a_fault_of_ours_fails_the_job_and_is_raised() -> None:
    """The supervisor hears of it; the job does not hang."""

    async def main() -> None:
        pool = Jobs(clock=FakeClock(), chance=lambda: 0.5, expected=())

        async def broken() -> object:
            raise ZeroDivisionError

        job = pool.submit("x", None, broken)
        with pytest.raises(ExceptionGroup):
            await pool.run()
        assert (job.status, job.error) == (JobStatus.FAILED, "internal error, see the log")

    run_virtual(main())


def test_who_waits_for_room_is_taken_in_turn() -> None:
    """With the line full, a job waits for room, in turn; cancelled, it never runs."""

    async def main() -> list[str]:
        done: list[str] = []

        def work(name: str) -> Work:
            async def run() -> None:
                await asyncio.sleep(1.0)
                done.append(name)

            return run

        pool = Jobs(clock=FakeClock(), chance=lambda: 0.5, expected=(), workers=1, waiting=1)
        pool.submit("x", None, work("first"))
        with pytest.raises(JobsFullError):
            pool.submit("x", None, work("refused"))
        async with asyncio.TaskGroup() as tasks:
            second = await pool.submit_when_room("x", None, work("second"))  # a worker is idle yet
            third = tasks.create_task(pool.submit_when_room("x", None, work("third")))
            fourth = tasks.create_task(pool.submit_when_room("x", None, work("fourth")))
            fifth = tasks.create_task(pool.submit_when_room("x", None, work("fifth")))
            await asyncio.sleep(0.1)
            fourth.cancel()
            owner = tasks.create_task(pool.run())
            await asyncio.sleep(10.0)
            owner.cancel()
        assert (second.status, third.done(), fourth.cancelled()) == (
            JobStatus.COMPLETED,
            True,
            True,
        )
        assert fifth.result().status is JobStatus.COMPLETED
        assert [job.error for job in pool.all() if job.status is JobStatus.CANCELLED] == [
            "there was no room in line"
        ]
        return done

    assert run_virtual(main()) == ["first", "second", "third", "fifth"]
