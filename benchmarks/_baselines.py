"""The textbook detectors that the ensemble is held against, as the scorers drive them.

Each has ``update(timestamp, value) -> score in [0, 1]`` and one threshold for all series.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import exp, fabs, sqrt
from typing import Protocol


class Streaming(Protocol):
    """A detector of one series."""

    def update(self, timestamp: float, value: float) -> float: ...


def squash(size: float) -> float:
    """Return a score in [0, 1) that grows with a size from zero on."""
    return size / (1.0 + size)


class ZScore:
    """Deviations from the mean of the last 60 values."""

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=60)

    def update(self, timestamp: float, value: float) -> float:
        """Return the score of one value."""
        past = self._last
        score = 0.0
        if len(past) == 60:
            mean = sum(past) / 60.0
            spread = sqrt(sum((one - mean) ** 2 for one in past) / 60.0)
            if spread > 1e-9 * fabs(mean):
                score = squash(fabs(value - mean) / spread)
        past.append(value)
        return score


class Residual:
    """Distance from an exponential mean over the mean distance so far, in exponential decades."""

    def __init__(self, half_life: float, memory: float = 2000.0) -> None:
        self._pace = 1.0 - 0.5 ** (1.0 / half_life)
        self._memory = memory
        self._mean = self._size = 0.0
        self._count = 0

    def update(self, timestamp: float, value: float) -> float:
        """Return the score of one value."""
        self._count += 1
        if self._count == 1:
            self._mean = value
        away = fabs(value - self._mean)
        least = max(self._size, 1e-9 * fabs(value))
        score = squash(away / least) if self._count > 100 and least > 0.0 else 0.0
        # One outlier counts for no more than five: it must not hide the next.
        clipped = min(away, 5.0 * self._size) if self._count > 20 and self._size else away
        self._size += (clipped - self._size) / min(self._count, self._memory)
        self._mean += (value - self._mean) * self._pace
        return score


class DayProfile:
    """Distance from the mean of the same ten minutes on earlier days, over the mean distance."""

    def __init__(self) -> None:
        self._means: dict[int, float] = {}
        self._size, self._count = 0.0, 0

    def update(self, timestamp: float, value: float) -> float:
        """Return the score of one value."""
        slot = int(timestamp // 600.0) % 144
        usual = self._means.get(slot)
        self._means[slot] = value if usual is None else usual + (value - usual) * 0.02
        if usual is None:
            return 0.0
        away = fabs(value - usual)
        least = max(self._size, 1e-9 * fabs(value))
        score = squash(away / least) if self._count > 100 and least > 0.0 else 0.0
        self._count += 1
        clipped = min(away, 5.0 * self._size) if self._count > 20 and self._size else away
        self._size += (clipped - self._size) / min(self._count, 2000)
        return score


class NewExtreme:
    """How far a value lies outside all before it, over their range."""

    def __init__(self) -> None:
        self._low = self._high = 0.0
        self._count = 0

    def update(self, timestamp: float, value: float) -> float:
        """Return the score of one value."""
        self._count += 1
        if self._count == 1:
            self._low = self._high = value
        outside = max(value - self._high, self._low - value, 0.0)
        width = self._high - self._low
        self._low, self._high = min(self._low, value), max(self._high, value)
        if self._count <= 100 or width <= 0.0:
            return 0.0
        return 1.0 - exp(-outside / width)


BASELINES: dict[str, Callable[[], Streaming]] = {
    "z-score over 60 values": ZScore,
    "distance from an EWMA (half-life 200)": lambda: Residual(200.0),
    "residual of a short mean (half-life 3)": lambda: Residual(3.0),
    "profile of the day": DayProfile,
    "new extreme": NewExtreme,
}
