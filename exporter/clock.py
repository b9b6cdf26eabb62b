"""The real clock."""

from __future__ import annotations

import asyncio
import time


class SystemClock:
    """Time as this machine tells it: ``contracts.Clock`` for the running program."""

    def wall(self) -> float:
        """Return the wall clock in epoch seconds."""
        return time.time()  # noqa: TID251 - this is the Clock that everyone else takes it from

    def monotonic(self) -> float:
        """Return the monotonic clock in seconds."""
        return time.monotonic()

    async def sleep(self, duration: float) -> None:
        """Wait for ``duration`` seconds; not at all when it is zero or less."""
        await asyncio.sleep(max(0.0, duration))
