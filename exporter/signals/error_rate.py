"""The share of an exchange's recent probes that failed."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from exporter.model import Floats, Signal

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
        self._fresh: set[str] = set()
        self.keep(exchanges)

    def keep(self, exchanges: Sequence[str]) -> None:
        """Measure these from now on; those known already keep their outcomes."""
        known = self._recent
        self._recent = {name: known.get(name, deque(maxlen=self._limit)) for name in exchanges}
        self._fresh.intersection_update(exchanges)

    def observe(self, exchange: str, ok: bool, now: float) -> None:
        """Take in one probe that ended at ``now``."""
        self._recent[exchange].append((now, ok))
        self._fresh.add(exchange)

    def sample(self, now: float) -> Floats:
        """Give the share that failed by exchange; NaN where no probe ended since the last one."""
        values = np.full(len(self._recent), np.nan)
        for row, (exchange, recent) in enumerate(self._recent.items()):
            while recent and recent[0][0] < now - self._window:
                recent.popleft()
            if recent and exchange in self._fresh:
                values[row] = sum(not ok for _, ok in recent) / len(recent)
        self._fresh.clear()
        return values
