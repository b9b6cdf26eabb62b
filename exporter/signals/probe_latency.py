"""Request to reply, seconds: median and 95th percentile of an exchange's recent probes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from exporter.model import Floats, Signal

SIGNALS = (
    Signal(
        name="probe_latency",
        title="median probe latency",
        unit="s",
        effect=0.05,
        resolution=0.001,
    ),
    Signal(
        name="probe_latency_p95",
        title="95th percentile of probe latency",
        unit="s",
        effect=0.1,
        resolution=0.001,
    ),
)


class ProbeLatency:
    """The durations of successful probes of the last ``window`` seconds, by exchange.

    A failed probe has no latency (a timeout is an error, not a slow success): it belongs to the
    error rate. At most ``limit`` durations are kept per exchange, the newest.
    """

    def __init__(
        self,
        exchanges: Sequence[str],
        probability: float,
        window: float = 30.0,
        limit: int = 256,
    ) -> None:
        self._probability = probability
        self._window, self._limit = window, limit
        self._recent: dict[str, tuple[deque[float], deque[float]]] = {}  # moments, durations
        self._fresh: set[str] = set()
        self.keep(exchanges)

    def keep(self, exchanges: Sequence[str]) -> None:
        """Measure these from now on; those known already keep their durations."""
        known = self._recent
        self._recent = {name: known.get(name) or self._begin() for name in exchanges}
        self._fresh.intersection_update(exchanges)

    def _begin(self) -> tuple[deque[float], deque[float]]:
        return deque(maxlen=self._limit), deque(maxlen=self._limit)

    def observe(self, exchange: str, duration: float, now: float) -> None:
        """Take in one successful probe that took ``duration`` seconds and ended at ``now``."""
        moments, durations = self._recent[exchange]
        moments.append(now)
        durations.append(duration)
        self._fresh.add(exchange)

    def sample(self, now: float) -> Floats:
        """Give the quantile over the window by exchange; NaN where no probe ended meanwhile."""
        values = np.full(len(self._recent), np.nan)
        for row, (exchange, (moments, durations)) in enumerate(self._recent.items()):
            if exchange not in self._fresh:
                continue
            while moments and moments[0] < now - self._window:
                moments.popleft()
                durations.popleft()
            if durations:
                values[row] = _quantile(sorted(durations), self._probability)
        self._fresh.clear()
        return values


def _quantile(ordered: list[float], probability: float) -> float:
    # Plain Python: for the few probes of a window it is ten times faster than numpy.
    position = probability * (len(ordered) - 1)
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)
