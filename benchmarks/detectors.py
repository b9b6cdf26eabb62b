"""What a tick of detectors costs per series, beside a deque and numpy per value, as articles do it.

Times are of this thread's CPU, which other programs on the machine change less than the clock.

Run: python benchmarks/detectors.py
"""

from __future__ import annotations

from collections import deque
from statistics import median
from time import thread_time

import numpy as np

from exporter.anomaly.bank import Bank
from exporter.anomaly.detectors import load
from exporter.anomaly.detectors.ensemble import DETECTOR
from exporter.anomaly.detectors.ensemble.lone import ScalarEnsemble
from exporter.signals import Floats, Series

WARM_UP, TICKS = 130, 40  # the windows are full and the ensemble is ready after the warm-up
ALONE = 1728  # values
SETS = {
    "zscore, rolling mean": ("zscore", "rolling_mean"),
    "zscore, iqr, rolling mean": ("zscore", "iqr", "rolling_mean"),
    "these and the ensemble": ("zscore", "iqr", "rolling_mean", "ensemble"),
}


class Naive:
    """One series: two deques, whose moments and percentiles are computed anew for each value."""

    def __init__(self) -> None:
        self.long: deque[float] = deque(maxlen=60)
        self.short: deque[float] = deque(maxlen=15)

    def step(self, value: float) -> tuple[float, float, float]:
        """Score one value by z-score, IQR and rolling mean, then keep it."""
        scores = (0.0, 0.0, 0.0)
        if len(self.long) == 60:
            past = np.array(self.long)
            z = abs(value - np.mean(past)) / np.std(past) / 3.0
            low, high = np.percentile(past, [25, 75])
            fence = max(low - value, value - high) / (1.5 * (high - low))
            recent = np.array(self.short)
            band = abs(value - np.mean(recent)) / np.std(recent) / 2.0
            scores = (float(z), float(fence), float(band))
        self.long.append(value)
        self.short.append(value)
        return scores


def naive(n: int) -> float:
    """Return the median seconds per series and tick of the naive form over n series."""
    several = [Naive() for _ in range(n)]
    values = np.random.default_rng(1).normal(size=(60, n))
    for row in values:
        for series, value in zip(several, row.tolist(), strict=True):
            series.long.append(value)
            series.short.append(value)
    spent = []
    for row in values[: max(3, 2000 // n)]:
        start = thread_time()
        for series, value in zip(several, row.tolist(), strict=True):
            series.step(value)
        spent.append((thread_time() - start) / n)
    return median(spent)


def ours(n: int, names: tuple[str, ...]) -> tuple[float, float]:
    """Return the median seconds per series and tick of the bank, and of its longest bite."""
    bank = Bank([Series("bench", str(i)) for i in range(n)], {name: load(name) for name in names})
    values = np.random.default_rng(1).normal(size=(WARM_UP + TICKS, n))
    spent, longest = [], []
    for number, row in enumerate(values):
        bites = _bites(bank, row, float(number))
        if number >= WARM_UP:
            spent.append(sum(bites) / n)
            longest.append(max(bites))
    return median(spent), median(longest)


def _bites(bank: Bank, values: Floats, now: float) -> list[float]:
    bites, start = [], thread_time()
    for _ in bank.steps(values, now):
        end = thread_time()
        bites.append(end - start)
        start = thread_time()
    return bites


def alone() -> float:
    """Return the median seconds per value of the ensemble over one series on its own."""
    one = ScalarEnsemble(DETECTOR)
    spent = []
    # Six days of a value every 5 min: the season, too, has something to say.
    for number, value in enumerate(np.random.default_rng(1).normal(size=ALONE).tolist()):
        now = 300.0 * number
        start = thread_time()
        one.score(value, now)
        one.learn(value, now)
        spent.append(thread_time() - start)
    return median(spent[ALONE // 2 :])


def main() -> None:
    """Print cost per series and tick, and the ratio to the naive form in the same run."""
    print(f"the ensemble on one series alone: {1e6 * alone():.1f} µs per value, at most 20")
    for n in (1, 100, 10_000):
        peer = naive(n)
        print(f"{n} series: deque and numpy per value {1e6 * peer:.1f} µs per series and tick")
        for label, names in SETS.items():
            cost, bite = ours(n, names)
            print(
                f"  {label:27s} {1e6 * cost:9.3f} µs, {peer / cost:7.1f} times less; "
                f"a tick {1e3 * cost * n:.2f} ms, its longest bite {1e3 * bite:.2f} ms"
            )


if __name__ == "__main__":
    main()
