"""How far a value lies outside the band around a short rolling mean."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.anomaly.window import begin_moments, deviations, push_moments
from exporter.signals import Floats, Memory


@dataclass(frozen=True, slots=True, kw_only=True)
class RollingMean:
    """The classical band: mean of the last ``window`` values, plus or minus ``width`` deviations.

    With 15 values it follows the series quickly and alarms often (about one value in twenty of
    pure noise). A constant window stays silent.
    Source: Bollinger (1992), "Using Bollinger Bands", with the value left out of its own band.
    """

    window: int = 15
    width: float = 2.0
    minimum: int = 15

    def begin(self, n: int) -> Memory:
        """Return the memory of n new series."""
        return begin_moments(n, self.window)

    def score(self, memory: Memory, values: Floats, now: float) -> Floats:
        """Rate each value by its distance from the mean; 1.0 is the edge of the band."""
        return deviations(memory, values, self.minimum) / self.width

    def learn(self, memory: Memory, values: Floats, now: float) -> None:
        """Append the values to the windows."""
        push_moments(memory, values)


DETECTOR = RollingMean()
