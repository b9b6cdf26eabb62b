"""Score the shipped ensemble on labelled metrics of web services, beside textbook detectors.

    python -m benchmarks.kpi                     # figures with standard errors, ensemble and others
    python ../shared/kpi/score.py --root ../shared/kpi/dev --detector benchmarks.kpi:make_detector

The series and the scorer lie in the folder that EXCHANGE_EXPORTER_SHARED names, by default
``../shared`` beside this repository, under ``kpi/``. The judge's damping is left out: the scorer
joins alarms that lie close together into episodes itself.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from benchmarks._baselines import BASELINES, Streaming, squash
from benchmarks.nab import folder_of, load_scorer
from exporter.anomaly.detectors.ensemble import DETECTOR
from exporter.anomaly.detectors.ensemble.lone import ScalarEnsemble


class Stream:
    """One series under the shipped ensemble, as the scorer drives it."""

    def __init__(self) -> None:
        self._ensemble = ScalarEnsemble(DETECTOR)

    def update(self, timestamp: float, value: float) -> float:
        """Return a score in [0, 1]; 0.5 is the ensemble's own threshold."""
        score = self._ensemble.score(value, timestamp)
        self._ensemble.learn(value, timestamp)
        return squash(score)


def make_detector(min_value: float | None, max_value: float | None) -> Stream:
    """Return a fresh detector. The range is not used: a live stream does not know it."""
    return Stream()


def main() -> int:
    """Print recall at bearable rates of false alarms, by detector."""
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    folder, named = folder_of("kpi")
    try:
        kpi = load_scorer(folder, "kpi_score")
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2 if named else 0  # without the series there is nothing to measure
    corpus = kpi.load_corpus(str(folder / "dev"))
    print(f"{'':40s} figure         1 a week       1 a day        threshold  µs a row")
    _row(kpi, corpus, "ensemble, as shipped", Stream)
    for name, make in BASELINES.items():
        _row(kpi, corpus, name, make)
    print(
        "figure: mean recall by series over rates from 1 false alarm in 4 series-weeks to 1 a day;"
    )
    print("± is the standard error over sources of series, thresholds chosen on the same series.")
    return 0


def _row(kpi: Any, corpus: Any, name: str, make: Callable[[], Streaming]) -> None:
    scores, spent = kpi.stream(lambda low, high: make(), corpus)
    kpi.check(corpus, scores)
    found, _ = kpi.evaluate(corpus, scores)
    week, day = found["points"]["per_week"], found["points"]["per_day"]
    print(
        f"{name:40s} {found['figure']:.3f} ± {found['figure_error']:.3f}"
        f"  {week['recall_series']:.3f} ± {week['recall_series_error']:.3f}"
        f"  {day['recall_series']:.3f} ± {day['recall_series_error']:.3f}"
        f"  {week['threshold']:.4f}     {spent:.1f}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
