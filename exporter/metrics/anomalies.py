"""What detectors say of signals, in the metrics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from exporter.metrics import families as f
from exporter.metrics.registry import Registry
from exporter.model import Scores, Series


class AnomalyMeter:
    """One gauge for each series and detector, and whether the series can be judged at all."""

    def __init__(
        self, registry: Registry, series: Sequence[Series], detectors: Sequence[str]
    ) -> None:
        self._scores = [
            [registry.gauge(f.ANOMALY_SCORE, one.exchange, one.signal, name) for one in series]
            for name in detectors
        ]
        self._ready = [registry.gauge(f.ANOMALY_READY, one.exchange, one.signal) for one in series]
        for child in self._ready:
            child.set(0)

    def show(self, scores: Scores) -> None:
        """Show the scores of one tick; a detector that knows too little yet shows none."""
        values, ready, measured = scores.score.tolist(), scores.ready.tolist(), scores.measured
        for row, gauges in enumerate(self._scores):
            for column in measured.nonzero()[0].tolist():
                gauges[column].set(values[row][column] if ready[row][column] else None)
        for column, judged in enumerate(np.all(scores.ready, axis=0).tolist()):
            self._ready[column].set(1 if judged else 0)
