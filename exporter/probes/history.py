"""The recent probes of one endpoint: latency statistics and error rate over a window."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice, takewhile
from math import ceil, isnan, nan
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
    """The probes of one endpoint within ``window`` seconds, at most ``limit`` of them.

    Rings that are as large from the start as they will ever be: memory that fills for hours looks
    like a leak, and two small objects a probe in every endpoint's history leave holes behind.
    """

    window: float = 300.0
    limit: int = 1000
    _moments: array[float] = field(init=False)
    _durations: array[float] = field(init=False)  # NaN: it failed
    _count: int = 0  # probes ever added

    def __post_init__(self) -> None:
        self._moments = array("d", bytes(8 * self.limit))
        self._durations = array("d", bytes(8 * self.limit))

    def add(self, now: float, duration: float | None) -> None:
        """Remember a probe that ended at ``now`` (monotonic); ``duration`` None: it failed."""
        place = self._count % self.limit
        self._moments[place] = now
        self._durations[place] = nan if duration is None else duration
        self._count += 1

    def _backwards(self) -> Iterator[tuple[float, float]]:
        """Yield when each probe ended and how long it took, the newest first."""
        for number in range(self._count - 1, max(self._count - self.limit, 0) - 1, -1):
            yield self._moments[number % self.limit], self._durations[number % self.limit]

    def since(self, now: float, window: float) -> tuple[list[float], int]:
        """Return the durations of the successes within ``window`` seconds, and how many failed."""
        good, bad = [], 0
        for then, duration in self._backwards():
            if now - then > window:
                break
            if isnan(duration):
                bad += 1
            else:
                good.append(duration)
        return good, bad

    def quantiles(self, now: float, newest: float, oldest: float) -> tuple[float, float]:
        """Return median and 95th percentile of successes between two ages, in seconds.

        NaN without any.
        """
        ages = ((now - then, duration) for then, duration in self._backwards())
        found = takewhile(lambda each: each[0] <= oldest, ages)
        good = sorted(took for age, took in found if age >= newest and not isnan(took))
        return (rank(good, 0.5), rank(good, 0.95)) if good else (nan, nan)

    def recent(self, most: int = 60) -> tuple[float | None, ...]:
        """Return the durations of the last probes, oldest first; None for those that failed."""
        newest = [duration for _, duration in islice(self._backwards(), most)]
        return tuple(None if isnan(duration) else duration for duration in reversed(newest))

    def slow_since(self, limit: float) -> float | None:
        """Return when the successes began that took ``limit`` seconds or more (monotonic).

        The newest of them may be quick, and so may single ones between: two quick ones in a row
        end it. None: none is slow.
        """
        began, quick = None, 0
        for then, duration in self._backwards():
            if isnan(duration):
                continue
            quick = 0 if duration >= limit else quick + 1
            if quick == 2:
                break
            if not quick:
                began = then - duration
        return began

    def failing_since(self, now: float) -> float | None:
        """Return when the oldest failure within the window ended (monotonic), None without any."""
        oldest = None
        for then, duration in self._backwards():
            if now - then > self.window:
                break
            if isnan(duration):
                oldest = then
        return oldest

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
    """Return the nearest-rank quantile of at least one sorted value."""
    return ordered[max(ceil(share * len(ordered)) - 1, 0)]
