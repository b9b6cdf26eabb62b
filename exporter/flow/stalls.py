"""When the event loop stood still: what is read then may have arrived at any time of that."""

from __future__ import annotations

import asyncio
from math import inf
from typing import Final

from exporter.model import TAINTED

BEAT = 0.025  # seconds between two beats


class LoopStalls:
    """Knows of each stall of the event loop while its traces are read, all times monotonic.

    A task calls `beat` every `BEAT` seconds. The loop may call readers before that task, or after
    it: hence a stall counts from when a beat is overdue until the loop has gone round twice. Who
    reads compares now with ``overdue`` first. Without beats nothing ever is.
    """

    __slots__ = ("_last", "_since", "overdue")

    def __init__(self) -> None:
        self.overdue = inf
        self._last = 0.0  # beat
        self._since: float | None = None

    async def beat(self, now: float) -> None:
        """Say that the loop goes round; return when the traces of a stall are read."""
        if now > self.overdue:
            self._since, self.overdue = self._last, -inf
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            self._since = None
        self._last, self.overdue = now, now + BEAT + TAINTED

    def since(self, now: float) -> float | None:
        """Return when a stall began, at the earliest, that ends now; None where there is none."""
        if now <= self.overdue:
            return None
        return self._last if self._since is None else self._since


UNWATCHED: Final = LoopStalls()
"""Where nothing beats: no stall is ever known of."""
