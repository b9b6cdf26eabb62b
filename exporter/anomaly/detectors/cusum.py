"""Whether many small deviations in one direction add up to a change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exporter.signals import Floats, Memory

BY_DEFAULT = False
_FLAT = 1e-9  # deviation over magnitude below which a series counts as constant


@dataclass(frozen=True, slots=True, kw_only=True)
class Cusum:
    """Page's two cumulative sums of deviations beyond ``slack``; 1.0 is a sum of ``limit``.

    Deviations are from an exponentially forgetting mean and spread (``half_life`` in values),
    and count for ``most`` at a time, so that no single value decides.
    Source: Page (1954), "Continuous Inspection Schemes", Biometrika 41.
    """

    half_life: float = 200.0
    slack: float = 0.5
    limit: float = 10.0
    most: float = 4.0
    minimum: int = 60

    def begin(self, n: int) -> Memory:
        """Return the memory of n new series."""
        return {name: np.zeros(n) for name in ("seen", "weight", "mean", "variance")} | {
            "sums": np.zeros((n, 2))
        }

    def score(self, memory: Memory, values: Floats, now: float) -> Floats:
        """Add each value's deviation to the sums and rate the larger one."""
        deviation = np.sqrt(memory["variance"])
        judged = (memory["seen"] >= self.minimum) & (values == values)
        judged &= deviation > _FLAT * np.abs(memory["mean"])
        away = np.zeros_like(values)
        np.divide(values - memory["mean"], deviation, out=away, where=judged)
        away = np.clip(away, -self.most, self.most)
        both = memory["sums"] + np.stack([away, -away], axis=1) - self.slack
        # Sums end at twice the limit: what lasts must also be able to end.
        both = np.clip(both, 0.0, 2.0 * self.limit)
        np.copyto(memory["sums"], both, where=judged[:, None])
        return np.where(judged, memory["sums"].max(axis=1) / self.limit, 0.0)

    def learn(self, memory: Memory, values: Floats, now: float) -> None:
        """Move mean and variance by one value each; skip NaN."""
        here = values == values
        pace = 1.0 - 0.5 ** (1.0 / self.half_life)
        weight = memory["weight"] + (1.0 - memory["weight"]) * pace
        # Dividing by the weight so far makes young means plain averages.
        rate = pace / weight
        away = values - memory["mean"]
        np.copyto(memory["mean"], memory["mean"] + rate * away, where=here)
        spread = (1.0 - rate) * (memory["variance"] + rate * away * away)
        np.copyto(memory["variance"], spread, where=here)
        np.copyto(memory["weight"], weight, where=here)
        memory["seen"] += here


DETECTOR = Cusum()
