"""Requests to a task that owns its state: bounded, in order, each with a deadline."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class MailboxFullError(Exception):
    """Too many requests wait already; this one was not queued."""


class UnansweredError(Exception):
    """The owner ended before it answered."""


class Mailbox(Generic[Q, A]):
    """At most ``capacity`` questions wait, whoever owns this answers them one by one in `serve`.

    ``expected`` are the errors that are answers: they reach who asked and nobody else. Any other
    error ends `serve`, for it is a fault of ours, and who asked gets UnansweredError.
    """

    def __init__(
        self, capacity: int = 16, expected: tuple[type[Exception], ...] = (ValueError,)
    ) -> None:
        if capacity < 1:
            raise ValueError(f"expected a capacity of at least 1, got {capacity}")
        self.capacity = capacity
        self._expected = expected
        self._waiting: deque[tuple[Q, asyncio.Future[A] | None]] = deque()
        self._news = asyncio.Event()

    @property
    def depth(self) -> int:
        """How many questions wait."""
        return len(self._waiting)

    async def ask(self, question: Q, timeout: float) -> A:
        """Return the answer; ``timeout`` in seconds.

        A question that nobody waits for any more is not looked at; one that is being answered is
        answered to its end. Raises MailboxFullError, TimeoutError, UnansweredError and what the
        owner raises.
        """
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._put(question, answer)
        async with asyncio.timeout(timeout):
            return await answer

    def post(self, question: Q) -> None:
        """Ask without waiting for the answer. Raises MailboxFullError."""
        self._put(question, None)

    def _put(self, question: Q, answer: asyncio.Future[A] | None) -> None:
        # Those whose asker has gone hold no place.
        self._waiting = deque(each for each in self._waiting if not _abandoned(each[1]))
        if len(self._waiting) >= self.capacity:
            raise MailboxFullError(f"{len(self._waiting)} questions wait already")
        self._waiting.append((question, answer))
        self._news.set()

    async def serve(self, reply: Callable[[Q], Awaitable[A]]) -> None:
        """Answer until cancelled. Whoever still waits then is told so. Raises what is our fault."""
        try:
            while True:
                while not self._waiting:
                    self._news.clear()
                    await self._news.wait()
                question, answer = self._waiting.popleft()
                if not _abandoned(answer):
                    await self._reply(question, answer, reply)
        finally:
            while self._waiting:
                _, answer = self._waiting.popleft()
                _fail(answer, UnansweredError())

    async def _reply(
        self, question: Q, answer: asyncio.Future[A] | None, reply: Callable[[Q], Awaitable[A]]
    ) -> None:
        try:
            given = await reply(question)
        except self._expected as error:
            _fail(answer, error)
        except BaseException:
            _fail(answer, UnansweredError())
            raise
        else:
            if answer is not None and not answer.done():
                answer.set_result(given)


def _abandoned(answer: asyncio.Future[A] | None) -> bool:
    return answer is not None and answer.done()


def _fail(answer: asyncio.Future[A] | None, error: Exception) -> None:
    if answer is not None and not answer.done():
        answer.set_exception(error)
