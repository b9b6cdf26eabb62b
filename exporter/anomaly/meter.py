"""What detectors say of signals, in the metrics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf

import numpy as np

from exporter.metrics import families as f
from exporter.metrics.registry import Registry
from exporter.signals import Floats, Scores, Series

_BITE = 500  # series


class AnomalyMeter:
    """One gauge for each series and detector, and whether the series can be judged at all.

    Series that are measured less often than judged keep their score in between, for
    ``stale_after`` seconds at most. ``baseline``: show what is expected, too.
    """

    def __init__(
        self,
        registry: Registry,
        series: Sequence[Series],
        detectors: Sequence[str],
        *,
        stale_after: float = inf,
        baseline: bool = False,
    ) -> None:
        self._stale_after = stale_after
        self._measured = np.full(len(series), -inf)  # monotonic seconds
        self._shown: set[int] = set()  # rows of series with a score on the page
        self._scores = [
            [registry.gauge(f.ANOMALY_SCORE, one.exchange, one.signal, name) for one in series]
            for name in detectors
        ]
        self._ready = [registry.gauge(f.ANOMALY_READY, one.exchange, one.signal) for one in series]
        for child in self._ready:
            child.set(0)
        self._opened = {
            one: registry.counter(f.ANOMALY_EVENTS, one.exchange, one.signal) for one in series
        }
        self._bounds = [
            [registry.gauge(f.ANOMALY_BASELINE, o.exchange, o.signal, bound) for bound in f.Bound]
            for o in (series if baseline else ())
        ]

    def show(self, scores: Scores, now: float = 0.0, band: Floats | None = None) -> None:
        """Show the scores of one tick; a detector that knows too little yet shows none.

        ``now`` is monotonic seconds. ``band`` has shape (3, n): lower, center, upper, in the
        signals' units, NaN where unknown.
        """
        for _ in self.steps(scores, now, band):
            pass

    def steps(self, scores: Scores, now: float, band: Floats | None) -> Iterator[None]:
        """Do the same in bites of a millisecond or two."""
        self._measured[scores.measured] = now
        measured = scores.measured.nonzero()[0].tolist()
        for start in range(0, len(measured), _BITE):
            self._renew(measured[start : start + _BITE], scores, band)
            yield
        self._forget(now)

    def _renew(self, fresh: list[int], scores: Scores, band: Floats | None) -> None:
        values, ready = scores.score[:, fresh].tolist(), scores.ready[:, fresh].tolist()
        for gauges, row, known in zip(self._scores, values, ready, strict=True):
            for place, column in enumerate(fresh):
                gauges[column].set(row[place] if known[place] else None)
        self._shown.update(fresh)
        judged = np.all(scores.ready[:, fresh], axis=0)
        for column, enough in zip(fresh, judged.tolist(), strict=True):
            self._ready[column].set(1 if enough else 0)
        if band is not None:
            for column in fresh:
                for gauge, value in zip(
                    self._bounds[column], band[:, column].tolist(), strict=True
                ):
                    gauge.set(value if value == value else None)

    def _forget(self, now: float) -> None:
        """Take the scores away that nothing has renewed for too long."""
        for column in np.flatnonzero(now - self._measured > self._stale_after).tolist():
            if column in self._shown:
                self._shown.discard(column)
                for gauges in self._scores:
                    gauges[column].set(None)
                for gauge in self._bounds[column] if self._bounds else ():
                    gauge.set(None)

    def opened(self, series: Series) -> None:
        """Count an incident that was opened."""
        self._opened[series].inc()
