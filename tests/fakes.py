"""Stand-ins for the world at its boundaries: time, and what travels over it."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

# --- time ---------------------------------------------------------------------------------------


class _Instant(selectors.DefaultSelector):
    """A selector that never waits: it winds the loop's clock on instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("everything waits for something that no timer will bring")
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose hours pass in milliseconds: every wait ends at once, in due order."""

    def __init__(self) -> None:
        self._instant = _Instant()
        super().__init__(self._instant)

    def time(self) -> float:
        return self._instant.now


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` like asyncio.run, in virtual time. Not for sockets or threads."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


class FakeClock:
    """``contracts.Clock`` in virtual time: ``wall`` begins at ``epoch`` when the loop begins.

    Use it inside `run_virtual`; ``monotonic`` begins at zero.
    """

    def __init__(self, epoch: float = 1_700_000_000.0) -> None:
        self.epoch = epoch

    def wall(self) -> float:
        return self.epoch + self.monotonic()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, duration: float) -> None:
        await asyncio.sleep(max(0.0, duration))
