"""Long work in small steps, so that other tasks of the event loop can run in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from exporter.contracts import Clock

T = TypeVar("T")

MOST = 64  # exchanges or alerts a bite, each some ten microseconds


async def in_cooperative_steps(items: Iterable[T], do: Callable[[T], object], clock: Clock) -> None:
    """Process each item; after every `MOST` of them yield to other tasks."""
    for number, item in enumerate(items, start=1):
        do(item)
        if number % MOST == 0:
            await clock.sleep(0.0)
