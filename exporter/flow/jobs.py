"""Jobs on demand: bounded, by priority, with retries and timeouts; results are kept for a while.

A job waits, runs, and ends once: completed, failed or cancelled. Waiting jobs are in a `Queue`
from which the workers take them; a job that is to be retried returns to it after its delay.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias, TypedDict, Unpack

import msgspec

from exporter.contracts import Clock
from exporter.flow import backoff
from exporter.flow.queue import Queue
from exporter.flow.stage import PipelineStage


class JobStatus(StrEnum):
    """The state of a job."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)


class JobsFullError(Exception):
    """Too many jobs wait already."""


Work: TypeAlias = Callable[[], Awaitable[object]]
"""One try of a job; what it gives must be fit for JSON."""


class JobOptions(TypedDict, total=False):
    """What a job may be given; `Job` has the defaults."""

    priority: int  # the highest is run first
    timeout: float  # of one try, seconds
    retries: int


@dataclass(slots=True, kw_only=True)
class Job:
    """One job. Times in epoch seconds; ``due`` (monotonic) is before when it is not run."""

    id: int
    kind: str
    what: object  # the request, as it is shown
    work: Work
    priority: int = 0
    timeout: float = 30.0
    retries: int = 0
    status: JobStatus = JobStatus.PENDING
    created: float = 0.0
    started: float | None = None
    ended: float | None = None
    tries: int = 0
    error: str = ""
    result: msgspec.Raw | None = None
    due: float = 0.0
    waiting: backoff.BackoffState = field(default_factory=backoff.BackoffState)
    scope: asyncio.Timeout | None = None  # of the try that runs
    unwanted: bool = False  # it was cancelled while it ran


def retry(job: Job, now: float, rules: backoff.BackoffRules, chance: float) -> bool:
    """Schedule the retry of a failed job; return False if no attempt is left."""
    if job.tries > job.retries:
        return False
    job.waiting, wait = backoff.step(job.waiting, 0.0, rules, chance)
    if wait is None:
        return False
    job.status, job.due = JobStatus.PENDING, now + wait
    return True


def _silent(_: JobStatus) -> None:
    """Notify nobody."""


class Jobs:
    """Runs at most ``workers`` jobs at a time; ``waiting`` may wait, and ``kept`` results are kept.

    The highest priority is run first; equal ones in the order in which they were queued.
    A result of more than ``largest`` bytes as JSON is a failure. ``expected`` errors fail an
    attempt; any other one is an internal error, which fails the job and ends `run`. ``heard`` is
    called with each status that a job enters.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        chance: Callable[[], float],
        expected: tuple[type[Exception], ...],
        workers: int = 2,
        waiting: int = 20,
        kept: int = 50,
        largest: int = 1 << 20,
        rules: backoff.BackoffRules | None = None,
        heard: Callable[[JobStatus], None] = _silent,
    ) -> None:
        self._clock, self._chance = clock, chance
        self._failures: tuple[type[Exception], ...] = (TimeoutError, _TooLargeError, *expected)
        self._waiting, self._largest = waiting, largest
        self._rules = rules or backoff.BackoffRules()
        self._heard = heard
        self._live: dict[int, Job] = {}
        self._over: deque[Job] = deque(maxlen=kept)
        self._count = 0
        # Room for those too whose try failed while others took their places.
        self._line: Queue[Job] = Queue(
            waiting + workers, priority=lambda job: job.priority, now=clock.monotonic
        )
        self._stage = PipelineStage(
            "job worker", self._line, self._try, dead=self._broke, workers=workers
        )

    def submit(self, kind: str, what: object, work: Work, **options: Unpack[JobOptions]) -> Job:
        """Queue a job. Raises JobsFullError."""
        line = sum(job.status is JobStatus.PENDING for job in self._live.values())
        if line >= self._waiting:
            raise JobsFullError(f"{line} jobs wait already")
        job = self._job(kind, what, work, options)
        self._line_up(job)
        return job

    async def submit_when_room(
        self, kind: str, what: object, work: Work, **options: Unpack[JobOptions]
    ) -> Job:
        """Queue a job as soon as there is room, first come, first served.

        If this is cancelled, the job was not queued.
        """
        job = self._job(kind, what, work, options)
        try:
            await self._line.put(job)
        except BaseException:
            if job.id in self._live:
                self._end(job, JobStatus.CANCELLED, "there was no room in line")
            raise
        if job.id not in self._live:  # it was cancelled while it waited for room
            self._line.remove(job)
        return job

    def _job(self, kind: str, what: object, work: Work, options: JobOptions) -> Job:
        self._count += 1
        now = self._clock.wall()
        job = Job(id=self._count, kind=kind, what=what, work=work, created=now, **options)
        self._live[job.id] = job
        self._heard(JobStatus.PENDING)
        return job

    def _line_up(self, job: Job) -> None:
        # Else it was cancelled while it waited.
        if job.status is JobStatus.PENDING and not self._line.offer(job):
            self._end(job, JobStatus.FAILED, "no room in line to be tried again")

    def find(self, number: int) -> Job | None:
        """Return a job that waits, runs, or is still kept."""
        if number in self._live:
            return self._live[number]
        return next((job for job in self._over if job.id == number), None)

    def all(self) -> list[Job]:
        """Return all waiting, running and kept jobs, the newest first."""
        return sorted((*self._live.values(), *self._over), key=lambda job: -job.id)

    def cancel(self, number: int) -> bool:
        """Cancel a job that waits or runs; return whether there was anything to cancel."""
        job = self._live.get(number)
        if job is None or job.unwanted:
            return False
        if job.status is JobStatus.PENDING:
            self._line.remove(job)  # not there: it waits for room, or for another try
            self._end(job, JobStatus.CANCELLED)
        elif job.scope is not None:
            job.unwanted = True
            job.scope.reschedule(asyncio.get_running_loop().time())
        return True

    async def run(self) -> None:
        """Work until cancelled; what ran then is cancelled too, what waits stays in line."""
        await self._stage.run()

    async def _try(self, job: Job) -> None:
        job.status, job.tries, job.started = JobStatus.RUNNING, job.tries + 1, self._clock.wall()
        self._heard(JobStatus.RUNNING)
        try:
            async with asyncio.timeout(job.timeout) as job.scope:
                result = msgspec.json.encode(await job.work())
            if len(result) > self._largest:
                raise _TooLargeError(f"a result of {len(result)} bytes, {self._largest} at most")
        except self._failures as error:
            self._failed(job, error)
        else:
            job.result = msgspec.Raw(result)
            self._end(job, JobStatus.COMPLETED)

    def _broke(self, job: Job, error: BaseException) -> None:
        """End a job that was stopped, or that an internal error ended."""
        if isinstance(error, asyncio.CancelledError):
            self._end(job, JobStatus.CANCELLED, "stopped")
        else:
            self._end(job, JobStatus.FAILED, "internal error, see the log")

    def _failed(self, job: Job, error: Exception) -> None:
        if job.unwanted:
            self._end(job, JobStatus.CANCELLED)
            return
        late = isinstance(error, TimeoutError) and not str(error)
        job.error = f"not done within {job.timeout:g} s" if late else str(error)[:500]
        hopeless, now = isinstance(error, _TooLargeError), self._clock.monotonic()
        if not hopeless and retry(job, now, self._rules, self._chance()):
            self._heard(JobStatus.PENDING)
            asyncio.get_running_loop().call_later(job.due - now, self._line_up, job)
        else:
            self._end(job, JobStatus.FAILED, job.error)

    def _end(self, job: Job, status: JobStatus, error: str = "") -> None:
        job.status, job.ended, job.error, job.scope = status, self._clock.wall(), error, None
        del self._live[job.id]
        self._over.append(job)
        self._heard(status)


class _TooLargeError(Exception):
    """The result is larger than is kept."""
