"""The share of an exchange's recent probes that failed."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from exporter.signals import Floats, Signal

SIGNAL = Signal(
    name="error_rate", title="share of failed probes", unit="ratio", effect=0.1, resolution=0.01
)


class ErrorRate:
    """The outcomes of the probes of the last ``window`` seconds, by exchange.

    At most ``limit`` outcomes are kept per exchange, the newest. A probe that was skipped is no
    outcome: it is not observed.
    """

    def __init__(self, exchanges: Sequence[str], window: float = 60.0, limit: int = 1024) -> None:
        self._window, self._limit = window, limit
        self._recent: dict[str, deque[tuple[float, bool]]] = {}
        self._failed: dict[str, int] = {}  # how many of those did
        self._fresh: set[str] = set()
        self.keep(exchanges)

    def keep(self, exchanges: Sequence[str]) -> None:
        """Measure these from now on; those known already keep their outcomes."""
        known = self._recent
        self._recent = {name: known.get(name, deque()) for name in exchanges}
        self._failed = {name: self._failed.get(name, 0) for name in exchanges}
        self._fresh.intersection_update(exchanges)

    def observe(self, exchange: str, ok: bool, now: float) -> None:
        """Take in one probe that ended at ``now``."""
        recent = self._recent[exchange]
        if len(recent) == self._limit:
            self._leave(exchange)
        recent.append((now, ok))
        self._failed[exchange] += not ok
        self._fresh.add(exchange)

    def sample(self, now: float) -> Floats:
        """Return the share that failed by exchange; NaN where no probe ended since the last one."""
        values = np.full(len(self._recent), np.nan)
        for row, (exchange, recent) in enumerate(self._recent.items()):
            while recent and recent[0][0] < now - self._window:
                self._leave(exchange)
            if recent and exchange in self._fresh:
                values[row] = self._failed[exchange] / len(recent)
        self._fresh.clear()
        return values

    def _leave(self, exchange: str) -> None:
        _, ok = self._recent[exchange].popleft()
        self._failed[exchange] -= not ok
