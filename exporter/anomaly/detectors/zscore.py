"""How many standard deviations a value lies from the mean of the values before it."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.anomaly.window import begin_moments, deviations, push_moments
from exporter.signals import Floats, Memory


@dataclass(frozen=True, slots=True, kw_only=True)
class ZScore:
    """The classical test: |value - mean| / deviation over ``window`` values against ``threshold``.

    A score of ``critical / threshold`` (1.33) is what the test calls critical. A constant window
    offers no scale to judge by and stays silent.
    Source: Grubbs (1950), "Sample Criteria for Testing Outlying Observations".
    """

    window: int = 60
    threshold: float = 3.0
    critical: float = 4.0
    minimum: int = 20

    def begin(self, n: int) -> Memory:
        """Return the memory of n new series."""
        return begin_moments(n, self.window)

    def score(self, memory: Memory, values: Floats, now: float) -> Floats:
        """Rate each value by its distance from the mean; 1.0 is ``threshold`` deviations."""
        return deviations(memory, values, self.minimum) / self.threshold

    def learn(self, memory: Memory, values: Floats, now: float) -> None:
        """Append the values to the windows."""
        push_moments(memory, values)


DETECTOR = ZScore()
