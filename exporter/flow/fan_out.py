"""The same work for many items concurrently: bounded, with failures as results."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Done(Generic[T, R]):
    """The result for one item."""

    item: T
    result: R


@dataclass(frozen=True, slots=True)
class Failed(Generic[T]):
    """Why there is no result for one item; TimeoutError when it took too long."""

    item: T
    error: Exception


async def fan_out(
    items: Iterable[T],
    work: Callable[[T], Awaitable[R]],
    *,
    concurrency: int,
    timeout: float,
    expected: tuple[type[Exception], ...] = (),
    each: Callable[[Done[T, R] | Failed[T]], None] = lambda outcome: None,
) -> list[Done[T, R] | Failed[T]]:
    """Do ``work`` for each item and return the outcomes in the items' order.

    At most ``concurrency`` run at a time, and no more items than that are consumed in advance;
    each has ``timeout`` seconds. An ``expected`` error is an outcome. Any other error, and
    cancellation, cancels the rest, and is raised in a group. ``each`` is called with every
    outcome when it is known.
    """
    if concurrency < 1:
        raise ValueError(f"expected a concurrency of at least 1, got {concurrency}")
    source = iter(enumerate(items))
    outcomes: tuple[type[Exception], ...] = (TimeoutError, *expected)
    found: dict[int, Done[T, R] | Failed[T]] = {}

    async def draw() -> None:
        for index, item in source:
            outcome: Done[T, R] | Failed[T]
            try:
                async with asyncio.timeout(timeout):
                    outcome = Done(item, await work(item))
            except outcomes as error:
                outcome = Failed(item, error)
            found[index] = outcome
            each(outcome)

    async with asyncio.TaskGroup() as tasks:
        for number in range(concurrency):
            tasks.create_task(draw(), name=f"fan-out {number + 1}")
    return [found[index] for index in sorted(found)]


def batches(items: Iterable[T], size: int) -> Iterator[Sequence[T]]:
    """Cut items into batches of ``size``, the last one shorter."""
    if size < 1:
        raise ValueError(f"expected a size of at least 1, got {size}")
    source = iter(items)
    while batch := tuple(islice(source, size)):
        yield batch
