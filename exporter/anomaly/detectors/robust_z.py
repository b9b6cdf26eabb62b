"""How many robust deviations a value lies from the median of the values before it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exporter.anomaly.window import begin, push, quantiles
from exporter.signals import Floats, Memory

BY_DEFAULT = False
_FLAT = 1e-9  # deviation over magnitude below which a window counts as constant


@dataclass(frozen=True, slots=True, kw_only=True)
class RobustZ:
    """The modified z-score: distance from the median in median absolute deviations.

    Outliers among the last ``window`` values do not widen the scale by which the next is judged.
    A window of which half is constant offers no scale and stays silent.
    Source: Iglewicz and Hoaglin (1993), "How to Detect and Handle Outliers", modified z-score.
    """

    window: int = 60
    threshold: float = 3.5
    minimum: int = 20

    def begin(self, n: int) -> Memory:
        """Return the memory of n new series."""
        return begin(n, self.window)

    def score(self, memory: Memory, values: Floats, now: float) -> Floats:
        """Rate each value by its distance from the median; 1.0 is ``threshold``."""
        (median,) = quantiles(memory, 0.5)
        offsets = {"seen": memory["seen"], "ring": np.abs(memory["ring"] - median[:, None])}
        (spread,) = quantiles(offsets, 0.5)
        judged = (memory["seen"] >= self.minimum) & (values == values)
        judged &= spread > _FLAT * np.abs(median)
        scores = np.zeros_like(values)
        np.divide(
            0.6745 * np.abs(values - median), spread * self.threshold, out=scores, where=judged
        )
        return scores

    def learn(self, memory: Memory, values: Floats, now: float) -> None:
        """Append the values to the windows."""
        push(memory, values)


DETECTOR = RobustZ()
