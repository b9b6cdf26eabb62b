"""What detectors say of signals, in the metrics."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import inf, nan

import numpy as np

from exporter.metrics import families as f
from exporter.metrics.registry import Registry
from exporter.signals import Floats, Scores, Series

_BITE = 32  # series whose gauges are moved at once, before a scrape


class AnomalyMeter:
    """One gauge for each series and detector, and whether the series can be judged at all.

    Series that are measured less often than judged keep their score in between, for
    ``stale_after`` seconds at most. ``baseline``: show what is expected, too. A tick keeps its
    scores in arrays; the gauges move before each scrape, in bites.
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
        bounds = [
            [registry.gauge(f.ANOMALY_BASELINE, o.exchange, o.signal, bound) for bound in f.Bound]
            for o in (series if baseline else ())
        ]
        # All that the page may show, row by row; NaN: absent.
        self._gauges = [*self._scores, self._ready, *map(list, zip(*bounds, strict=True))]
        self._values = np.full((len(self._gauges), len(series)), nan)
        self._values[len(detectors)] = 0.0
        self._shown = self._values.copy()
        for start in range(0, len(series), _BITE):
            registry.refresh(partial(self._refresh, slice(start, start + _BITE)))

    def show(self, scores: Scores, now: float = 0.0, band: Floats | None = None) -> None:
        """Show the scores of one tick; a detector that knows too little yet shows none.

        ``now`` is monotonic seconds. ``band`` has shape (3, n): lower, center, upper, in the
        signals' units, NaN where unknown.
        """
        fresh, detectors = scores.measured, len(self._scores)
        self._measured[fresh] = now
        scored, ready = self._values[:detectors], self._values[detectors]
        np.copyto(scored, np.where(scores.ready, scores.score, nan), where=fresh)
        np.copyto(ready, scores.ready.all(axis=0), where=fresh)
        bounds = self._values[detectors + 1 :]
        if band is not None and len(bounds):
            np.copyto(bounds, band, where=fresh)
        # What nothing has renewed for too long leaves the page.
        old = now - self._measured > self._stale_after
        scored[:, old] = bounds[:, old] = nan

    def _refresh(self, part: slice) -> None:
        """Move the gauges of some series to what the last tick saw."""
        values, shown = self._values[:, part], self._shown[:, part]
        moved = (values != shown) & ~(np.isnan(values) & np.isnan(shown))
        for row, column in zip(*(place.tolist() for place in moved.nonzero()), strict=True):
            value = values[row, column].item()
            gauge = self._gauges[row][part.start + column]
            if row == len(self._scores):
                gauge.set(int(value))
            else:
                gauge.set(value if value == value else None)
        shown[:] = values

    def opened(self, series: Series) -> None:
        """Count an incident that was opened."""
        self._opened[series].inc()
