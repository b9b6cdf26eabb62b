"""What one endpoint has done lately: latency statistics and error rate over a window."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import ceil, nan
from statistics import fmean


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Latency of the successful probes in seconds (NaN without any), and the share that failed.

    Quantiles are nearest-rank: a value that was measured, never one in between.
    """

    probes: int = 0
    mean: float = nan
    median: float = nan
    p95: float = nan
    p99: float = nan
    error_ratio: float = nan


@dataclass(slots=True)
class History:
    """The probes of one endpoint within ``window`` seconds, at most ``limit`` of them."""

    window: float = 300.0
    limit: int = 1000
    _probes: deque[tuple[float, float | None]] = field(init=False)

    def __post_init__(self) -> None:
        self._probes = deque(maxlen=self.limit)

    def add(self, now: float, duration: float | None) -> None:
        """Remember a probe that ended at ``now`` (monotonic); ``duration`` None: it failed."""
        self._probes.append((now, duration))

    def since(self, now: float, window: float) -> tuple[list[float], int]:
        """Give the durations of the successes within ``window`` seconds, and how many failed."""
        good, bad = [], 0
        for then, duration in reversed(self._probes):
            if now - then > window:
                break
            if duration is None:
                bad += 1
            else:
                good.append(duration)
        return good, bad

    def recent(self, most: int = 60) -> tuple[float | None, ...]:
        """Give the durations of the last probes, oldest first; None for those that failed."""
        return tuple(duration for _, duration in list(self._probes)[-most:])

    def statistics(self, now: float) -> Statistics:
        """Sum up the window that ends at ``now``."""
        good, bad = self.since(now, self.window)
        total = len(good) + bad
        if not total:
            return Statistics()
        if not good:
            return Statistics(probes=total, error_ratio=1.0)
        good.sort()
        return Statistics(
            probes=total,
            mean=fmean(good),
            median=rank(good, 0.5),
            p95=rank(good, 0.95),
            p99=rank(good, 0.99),
            error_ratio=bad / total,
        )


def rank(ordered: list[float], share: float) -> float:
    """Give the nearest-rank quantile of at least one sorted value."""
    return ordered[max(ceil(share * len(ordered)) - 1, 0)]
