"""How large the difference to the previous value is, compared with earlier differences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exporter.anomaly.window import begin_moments, moments, push_moments
from exporter.signals import Floats, Memory

BY_DEFAULT = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RateOfChange:
    """The z-score of first differences over ``window`` jumps.

    It sees edges whatever the level, and nothing of what stays. A series that jumps by the same
    amount every time stays silent.
    """

    window: int = 60
    threshold: float = 4.0
    minimum: int = 21

    def begin(self, n: int) -> Memory:
        """Return the memory of n new series."""
        jumps = begin_moments(n, self.window)
        # `seen` of the window counts jumps, one less than values.
        return jumps | {"seen": np.zeros(n), "jumps": jumps["seen"], "latest": np.full(n, np.nan)}

    def score(self, memory: Memory, values: Floats, now: float) -> Floats:
        """Rate each value's jump by the jumps before; 1.0 is ``threshold`` deviations."""
        mean, deviation = moments(memory | {"seen": memory["jumps"]})
        jump = values - memory["latest"]
        judged = (deviation > 0.0) & (memory["seen"] >= self.minimum) & (jump == jump)
        scores = np.zeros_like(values)
        np.divide(np.abs(jump - mean), deviation * self.threshold, out=scores, where=judged)
        return scores

    def learn(self, memory: Memory, values: Floats, now: float) -> None:
        """Let the jumps to the values enter the windows; a gap is jumped over."""
        here = values == values
        push_moments(memory | {"seen": memory["jumps"]}, values - memory["latest"])
        np.copyto(memory["latest"], values, where=here)
        memory["seen"] += here


DETECTOR = RateOfChange()
