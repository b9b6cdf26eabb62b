"""Threads of one kind of call: bounded, and nobody waits for what hangs."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from operator import mul

import pytest

from exporter.flow.workers import Workers, WorkersBusyError


def test_results_and_errors_come_back() -> None:
    """What a call gives or raises is the caller's."""

    async def run() -> None:
        workers = Workers("test", limit=2)
        doubled = await asyncio.gather(*(workers.run(partial(mul, n, 2)) for n in range(50)))
        assert doubled == [2 * n for n in range(50)]
        with pytest.raises(ZeroDivisionError):
            await workers.run(lambda: 1 // 0)

    asyncio.run(run())


def test_threads_and_line_are_bounded() -> None:
    """Two hang, three wait, the sixth is refused; one that nobody awaits any more never begins."""
    begun: list[int] = []
    hang = threading.Event()

    def call(number: int) -> int:
        begun.append(number)
        assert hang.wait(10)
        assert threading.current_thread().daemon
        return number

    async def run() -> None:
        workers = Workers("test", limit=2, waiting=3)
        tasks: list[asyncio.Task[int]] = []
        async with asyncio.TaskGroup() as group:
            for number in range(5):
                tasks.append(group.create_task(workers.run(partial(call, number))))
                await asyncio.sleep(0)
                while len(begun) < min(number + 1, 2):  # noqa: ASYNC110 - other threads begin
                    await asyncio.sleep(0.001)
            with pytest.raises(WorkersBusyError, match="3 calls wait for threads of test"):
                await workers.run(lambda: 0)
            tasks[2].cancel()
            await asyncio.wait([tasks[2]])
            tasks.append(group.create_task(workers.run(partial(call, 5))))  # in its place
            await asyncio.sleep(0)
            hang.set()
        assert [each.result() for each in tasks if not each.cancelled()] == [0, 1, 3, 4, 5]
        assert sorted(begun) == [0, 1, 3, 4, 5]

    asyncio.run(run())
