"""How far a value lies outside the quartiles of the values before it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exporter.anomaly.window import begin, push, quantiles
from exporter.signals import Floats, Memory

_FLAT = 1e-9  # interquartile range over magnitude below which a window counts as constant


@dataclass(frozen=True, slots=True, kw_only=True)
class Iqr:
    """The classical fences: ``fence`` interquartile ranges below and above the quartiles.

    A window whose middle half is constant offers no scale to judge by and stays silent.
    Source: Tukey (1977), "Exploratory Data Analysis", section 2E.
    """

    window: int = 60
    fence: float = 1.5
    minimum: int = 20

    def begin(self, n: int) -> Memory:
        """Return the memory of n new series."""
        return begin(n, self.window)

    def score(self, memory: Memory, values: Floats, now: float) -> Floats:
        """Rate each value by its distance outside the quartiles; 1.0 is on a fence."""
        low, high = quantiles(memory, 0.25, 0.75)
        spread = high - low
        judged = (memory["seen"] >= self.minimum) & (values == values)
        judged &= spread > _FLAT * (np.abs(low) + np.abs(high))
        outside = np.maximum(low - values, values - high)
        scores = np.zeros_like(values)
        np.divide(outside, spread * self.fence, out=scores, where=judged)
        return np.maximum(scores, 0.0)

    def learn(self, memory: Memory, values: Floats, now: float) -> None:
        """Append the values to the windows."""
        push(memory, values)


DETECTOR = Iqr()
