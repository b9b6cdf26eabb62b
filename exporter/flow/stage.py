"""One stage of a pipeline: its own workers, a bounded queue before it, and a place for failures."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from exporter.flow.queue import Queue, QueueClosedError

T = TypeVar("T")


class PipelineStage(Generic[T]):
    """Takes items from its queue and works on them, one a worker at a time.

    ``work`` hands on by putting into the next stage's queue, which makes it wait when that is
    full. An ``expected`` error, and taking longer than ``timeout`` seconds, is told to ``dead``
    with its item and stops nothing; any other error is told too, and then ends `run`: it is an
    internal error. Without a ``timeout`` the work bounds itself.
    """

    def __init__(
        self,
        name: str,
        queue: Queue[T],
        work: Callable[[T], Awaitable[None]],
        *,
        dead: Callable[[T, BaseException], None],
        expected: tuple[type[Exception], ...] = (),
        workers: int = 1,
        timeout: float | None = None,
    ) -> None:
        if workers < 1:
            raise ValueError(f"expected at least 1 worker, got {workers}")
        self.name, self.queue = name, queue
        self._work, self._dead, self._workers, self._timeout = work, dead, workers, timeout
        self._failures: tuple[type[Exception], ...] = (TimeoutError, *expected)

    async def run(self) -> None:
        """Work until the queue is closed and empty. Raises what is a fault of ours, in a group.

        Cancelled, what was being worked on is told to ``dead``: it was accepted, and not done.
        """
        async with asyncio.TaskGroup() as tasks:
            for number in range(self._workers):
                tasks.create_task(self._serve(), name=f"{self.name} {number + 1}")

    async def _serve(self) -> None:
        while True:
            try:
                item = await self.queue.get()
            except QueueClosedError:
                return
            try:
                async with asyncio.timeout(self._timeout):
                    await self._work(item)
            except self._failures as error:
                self._dead(item, error)
            except BaseException as error:
                self._dead(item, error)
                raise
