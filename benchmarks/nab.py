"""Score the shipped ensemble on the Numenta Anomaly Benchmark, beside published detectors.

    python benchmarks/nab.py                     # three profiles, with the score's own threshold
    python ../shared/nab/score.py --detector benchmarks.nab:make_detector --blind-range

The series and the scorer lie in the folder that EXCHANGE_EXPORTER_SHARED names, by default
``../shared`` beside this repository, under ``nab/``.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import numpy as np

from exporter.anomaly.detectors import load
from exporter.anomaly.detectors.ensemble import Ensemble
from exporter.anomaly.detectors.ensemble.lone import ScalarEnsemble
from exporter.anomaly.incidents import IncidentRule, fade

# Standard profile, threshold fixed on the development half and scored on the other half, by the
# maintainers of this project, from the scores that NAB publishes. "range": it was told each
# series' true minimum and maximum beforehand, which a live stream does not know.
PUBLISHED = {
    "ARTime": 71.6,
    "contextOSE": 69.6,
    "Numenta": 66.6,
    "Random Cut Forest": 49.5,
    "windowed Gaussian": 38.5,
}


RULE = IncidentRule()
KEEP = 0.5 ** (1.0 / RULE.fade)


class Stream:
    """One series under the shipped ensemble and the judge's damping, as the scorer drives it."""

    def __init__(self, ensemble: Ensemble) -> None:
        self._lone = ScalarEnsemble(ensemble)
        self._peaks = np.zeros(1)

    def update(self, timestamp: float, value: float) -> float:
        """Give a score in [0, 1]; 0.5 is the ensemble's own threshold."""
        score = self._lone.score(value, timestamp)
        self._lone.learn(value, timestamp)
        if score == 0.0:  # most rows: there is nothing to damp
            self._peaks *= KEEP
            return 0.0
        scores = np.array([score])
        news, self._peaks = fade(scores, self._peaks, RULE.fade)
        return float(news[0] / (1.0 + news[0]))


def make_detector(min_value: float | None, max_value: float | None) -> Stream:
    """Give a fresh detector. The range is not used: a live stream does not know it."""
    ensemble = load("ensemble")
    assert isinstance(ensemble, Ensemble)
    return Stream(ensemble)


def scorer(folder: Path) -> ModuleType:
    """Load the scorer that lies beside the series. Raises FileNotFoundError."""
    path = folder / "score.py"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: name its folder in EXCHANGE_EXPORTER_SHARED")
    spec = importlib.util.spec_from_file_location("nab_score", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> int:
    """Print the ensemble's three profiles and the published scores."""
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    named = os.environ.get("EXCHANGE_EXPORTER_SHARED")
    folder = Path(named or Path(__file__).resolve().parents[2] / "shared") / "nab"
    try:
        nab = scorer(folder)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2 if named else 0  # without the benchmark's series there is nothing to measure
    corpus = nab.load_corpus([str(folder)])
    scores, spent = nab.run_detector(make_detector, corpus, blind_range=True)
    profiles = nab.score(corpus, scores)
    rows = sum(len(series.times) for series in corpus.values())
    print(f"{len(corpus)} series, {rows} rows, {spent:.1f} µs per row and series, one at a time")
    for name, found in profiles.items():
        print(
            f"  {name:20s} {found['score']:5.1f}   threshold {found['threshold']:.4f}   "
            f"{found['windows_hit']}/{found['windows']} windows, "
            f"{found['false_positive_rows']} false-positive rows"
        )
    print(
        "The thresholds above are the best for these same series, so these scores are optimistic;"
    )
    print("docs/detection.md has the cross-validated ones. Published detectors, standard profile,")
    print("threshold fixed on these series and scored on the other half of the benchmark:")
    for name, value in PUBLISHED.items():
        print(f"  {name:20s} {value:5.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
