"""How rare an age is, by the gaps that ended before: an age is not a level.

The age of the newest message grows until a message arrives. So it is judged by the gaps
between messages, each of which counts once, however many values it lasted; a silence, which
is a gap that has not ended, is not learnt.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exporter.signals import Floats

LAST, COUNT, TOTAL, SQUARES = range(4)
_LEAST = 1e-3  # shape: of an exponential distribution, or one that is taken for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaps:
    """Gaps with a Pareto tail: exponential at random arrivals, heavier where they come in bursts.

    Arrays of sums have shape (n, 4): `LAST` age, then forgetting sums over gaps that ended. At
    random arrivals the age before a gap's end is distributed as the ages are, however seldom it
    is looked at, so no correction is needed for the time between two looks.

    Source for shape and scale by moments: Hosking and Wallis (1987), "Parameter and Quantile
    Estimation for the Generalized Pareto Distribution", section 3.
    """

    half_life: float = 400.0  # in gaps
    doubt: float = 1.2  # standard errors by which the mean of the gaps seen may be too short
    few: float = 20.0  # gaps to see before an age is judged
    heaviest: float = 0.35
    clip: float = 10.0  # mean gaps that one gap may count

    def decades(self, sums: Floats, ages: Floats) -> Floats:
        """Return -log10 of the share of time in which the age is larger; shape (n,).

        A gap is over a with probability (1 + shape a / scale)**(-1 / shape), and the age, which
        finds long gaps more often, with that to the power of 1 - shape.
        """
        shape, scale = self._fit(sums)
        decades = (1.0 / shape - 1.0) * np.log10(1.0 + shape * ages / scale)
        known: Floats = np.where(sums[:, COUNT] >= self.few, decades, 0.0)
        return known

    def reach(self, sums: Floats, decades: Floats) -> Floats:
        """Return the age that is so rare: `decades` read backwards; NaN where nothing is known."""
        shape, scale = self._fit(sums)
        reach = scale / shape * (10.0 ** (decades * shape / (1.0 - shape)) - 1.0)
        known: Floats = np.where(sums[:, COUNT] >= self.few, reach, np.nan)
        return known

    def learn(self, sums: Floats, ages: Floats, elapsed: Floats) -> None:
        """Take in the ages; a gap ended where one grew less than the ``elapsed`` seconds."""
        last, count, total, squares = sums.T
        ended = ages < last + 0.99 * elapsed
        mean = total / np.maximum(count, 1.0)
        gap = np.where(count >= self.few, np.minimum(last, self.clip * mean), last)
        gap = np.where(ended, gap, 0.0)
        keep = np.where(ended, 0.5 ** (1.0 / self.half_life), 1.0)
        for part, more in ((count, ended), (total, gap), (squares, gap * gap)):
            part *= keep
            part += more
        last[:] = ages

    def _fit(self, sums: Floats) -> tuple[Floats, Floats]:
        count = np.maximum(sums[:, COUNT], 1.0)
        mean = np.maximum(sums[:, TOTAL] / count, 1e-9)
        variance = np.maximum(sums[:, SQUARES] / count - mean * mean, 1e-18)
        shape = np.clip(0.5 * (1.0 - mean * mean / variance), _LEAST, self.heaviest)
        return shape, mean * (1.0 + self.doubt / np.sqrt(count)) * (1.0 - shape)
