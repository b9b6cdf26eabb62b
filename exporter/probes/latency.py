"""Request to reply, seconds: median and 95th percentile of an exchange's recent probes."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from exporter.signals import Floats, Signal

SIGNALS = (
    Signal(
        name="probe_latency",
        title="median probe latency",
        unit="s",
        effect=0.05,
        resolution=0.001,
        relative=True,
    ),
    Signal(
        name="probe_latency_p95",
        title="95th percentile of probe latency",
        unit="s",
        effect=0.1,
        resolution=0.001,
        relative=True,
    ),
)


@dataclass(slots=True)
class _LatencyWindow:
    """The durations of one exchange, in order of time and, kept up with each probe, of size.

    Sorting them anew at each tick took 14 ms for 830 exchanges: here a tick only looks up.
    """

    recent: deque[tuple[float, float]] = field(default_factory=deque)  # moment, duration
    ordered: list[float] = field(default_factory=list)

    def add(self, now: float, duration: float, since: float, limit: int) -> None:
        if self.recent and self.recent[-1][0] < since:  # a pause: all are too old, at one stroke
            self.recent.clear()
            self.ordered.clear()
        elif len(self.recent) == limit:
            self._leave()
        self.recent.append((now, duration))
        insort(self.ordered, duration)

    def forget(self, since: float) -> None:
        while self.recent and self.recent[0][0] < since:
            self._leave()

    def _leave(self) -> None:
        _, duration = self.recent.popleft()
        del self.ordered[bisect_left(self.ordered, duration)]


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
        of: ProbeLatency | None = None,
    ) -> None:
        """Prepare; ``of``: one that is told of the same probes, before; their windows are one."""
        self._probability = probability
        self._window, self._limit = window, limit
        self._windows: dict[str, _LatencyWindow] = {}
        self._of = of
        self._fresh: set[str] = set()
        self.keep(exchanges)

    def keep(self, exchanges: Sequence[str]) -> None:
        """Measure these from now on; those known already keep their durations."""
        known = self._windows
        self._windows = (
            {name: known.get(name) or _LatencyWindow() for name in exchanges}
            if self._of is None
            else self._of._windows
        )
        self._fresh.intersection_update(exchanges)

    def observe(self, exchange: str, duration: float, now: float) -> None:
        """Take in one successful probe that took ``duration`` seconds and ended at ``now``."""
        if self._of is None:
            window, since = self._windows[exchange], now - self._window
            window.add(now, duration, since, self._limit)
            window.forget(since)
        self._fresh.add(exchange)

    def sample(self, now: float) -> Floats:
        """Return the quantile over the window by exchange; NaN where no probe ended meanwhile."""
        values, since = np.full(len(self._windows), np.nan), now - self._window
        for row, (exchange, window) in enumerate(self._windows.items()):
            if exchange in self._fresh:
                window.forget(since)
                if window.ordered:
                    values[row] = _quantile(window.ordered, self._probability)
        self._fresh.clear()
        return values


def _quantile(ordered: list[float], probability: float) -> float:
    position = probability * (len(ordered) - 1)
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)
