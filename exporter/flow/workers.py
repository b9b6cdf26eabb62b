"""Threads for calls that block, a set for each kind of call: none waits behind another's."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from threading import Condition, Thread
from typing import Any, Final, TypeVar

T = TypeVar("T")

_PATIENCE: Final = 30.0  # seconds after which a thread that nobody needs ends


class WorkersBusyError(OSError):
    """More waits for these threads than may."""


class Workers:
    """At most ``limit`` threads, started when they are needed, and ``waiting`` calls in line.

    They are daemons: the program ends in time, whatever call hangs. A call that is not awaited
    any more is left out if it has not begun; one that has begun keeps its thread until it returns.
    """

    def __init__(self, name: str, limit: int, waiting: int = 1000) -> None:
        self.name, self.limit, self.waiting = name, limit, waiting
        self._line: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._changed = Condition()
        self._threads = 0
        self._free = 0

    async def run(self, call: Callable[[], T]) -> T:
        """Return what a call returns, or raise what it raises. Raises WorkersBusyError."""
        future = self.submit(call)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            with self._changed:
                self._line = deque(task for task in self._line if task[0] is not future)
            raise

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Begin a call as soon as a thread is free. Raises WorkersBusyError."""
        future: Future[T] = Future()
        with self._changed:
            if len(self._line) >= self.waiting:
                raise WorkersBusyError(f"{self.waiting} calls wait for threads of {self.name}")
            self._line.append((future, call))
            if self._free >= len(self._line):
                self._changed.notify()
            elif self._threads < self.limit:
                self._start_thread()
        return future

    def _start_thread(self) -> None:
        """Start one more thread. Raises WorkersBusyError where the system has none for us."""
        name = f"{self.name}-{self._threads + 1}"
        try:
            Thread(target=self._work, name=name, daemon=True).start()
        except RuntimeError as error:
            if not self._threads:  # else those that there are come round to it
                self._line.pop()
                raise WorkersBusyError(f"no thread for {self.name}: {error}") from error
        else:
            self._threads += 1

    def _work(self) -> None:
        while (task := self._next()) is not None:
            future, call = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 - it is the caller's, as a whole
                future.set_exception(error)
            else:
                future.set_result(result)
            del task, future, call  # nothing is kept alive while waiting

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._changed:
            self._free += 1
            try:
                if not self._changed.wait_for(lambda: self._line, _PATIENCE):
                    self._threads -= 1
                    return None
                return self._line.popleft()
            finally:
                self._free -= 1
