"""What a fault of ours costs: a log line, a count, a wait, and another try."""

from __future__ import annotations

import asyncio
import logging

import pytest

from exporter.flow import backoff
from exporter.flow.tasks import supervise
from tests.fakes import FakeClock, run_virtual

RULES = backoff.BackoffRules(base=1.0, cap=4.0)


class Fragile:
    """A task that fails as often as told, each time after living for a while."""

    def __init__(self, lives: list[float], error: BaseException | None = None) -> None:
        self.lives, self.error = lives, error
        self.started: list[float] = []
        self.restarts = 0

    async def run(self) -> None:
        self.started.append(asyncio.get_running_loop().time())
        if not self.lives:
            return
        await asyncio.sleep(self.lives.pop(0))
        raise self.error or RuntimeError("broken")

    def count(self) -> None:
        self.restarts += 1

    async def supervised(self, rules: backoff.BackoffRules = RULES) -> None:
        await supervise(
            "fragile",
            self.run,
            clock=FakeClock(),
            chance=lambda: 1.0,
            on_restart=self.count,
            rules=rules,
        )


def test_a_failing_task_is_restarted_ever_more_slowly() -> None:
    """Each restart is counted, and the waits grow to the cap."""
    task = Fragile([0.0, 0.0, 0.0, 0.0])
    run_virtual(task.supervised())
    assert task.started == [0.0, 1.0, 3.0, 7.0, 11.0]
    assert task.restarts == 4


def test_a_long_life_starts_the_count_anew() -> None:
    """After ten seconds without a fault the next one is the first."""
    task = Fragile([0.0, 0.0, 20.0])
    run_virtual(task.supervised())
    assert task.started == [0.0, 1.0, 3.0, 24.0]


def test_the_traceback_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever mends it finds where it broke."""
    with caplog.at_level(logging.ERROR):
        run_virtual(Fragile([0.0]).supervised())
    (record,) = caplog.records
    assert record.getMessage() == "task_failed task=fragile lived_s=0.0 retry_in_s=1.00"
    assert record.exc_info is not None
    assert record.exc_info[0] is RuntimeError


def test_a_group_of_faults_is_a_fault() -> None:
    """Tasks that hold tasks of their own are restarted too."""
    task = Fragile([0.0], ExceptionGroup("several", [ValueError(), KeyError()]))
    run_virtual(task.supervised())
    assert task.restarts == 1


def test_cancelling_passes() -> None:
    """Stopping is no fault: nothing is restarted, while it runs or while it waits."""

    async def main(lived: float) -> Fragile:
        task = Fragile([lived])
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(task.supervised())
            await asyncio.sleep(0.5)
            running.cancel()
        return task

    assert len(run_virtual(main(lived=10.0)).started) == 1
    assert len(run_virtual(main(lived=0.0)).started) == 1


def test_what_is_no_exception_passes() -> None:
    """An order to end the program is obeyed."""
    with pytest.raises(SystemExit):
        run_virtual(Fragile([0.0], SystemExit(3)).supervised())


def test_patience_can_end() -> None:
    """With a bound on the waiting, the last fault is raised when it is used up."""
    task = Fragile([0.0] * 9)
    with pytest.raises(RuntimeError, match="broken"):
        run_virtual(task.supervised(backoff.BackoffRules(base=1.0, cap=4.0, total=5.0)))
    assert task.restarts == 2
