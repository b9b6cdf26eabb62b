"""Score the shipped ensemble on the Numenta Anomaly Benchmark, beside textbook and published ones.

    python -m benchmarks.nab                     # three profiles, and the others' tables
    python ../shared/nab/score.py --detector benchmarks.nab:make_detector --blind-range

The series and the scorer lie in the folder that EXCHANGE_EXPORTER_SHARED names, by default
``../shared`` beside this repository, under ``nab/``.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks._baselines import BASELINES, Streaming, squash
from exporter.anomaly.detectors.ensemble import DETECTOR
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
# The threshold for series that were never seen: 3.0 decades, in the middle of the flat top of the
# score over thresholds on the development half. The ensemble's own, 5 decades, is for a value a
# second; NAB's values come every five minutes, and it forgives one false alarm in a few days.
THRESHOLD = squash(3.0 / DETECTOR.decades)
SPLITS = 20  # random halves of the series

RULE = IncidentRule()
KEEP = 0.5 ** (1.0 / RULE.fade)


class Stream:
    """One series under the shipped ensemble and the judge's damping, as the scorer drives it."""

    def __init__(self) -> None:
        self._ensemble = ScalarEnsemble(DETECTOR)
        self._peaks = np.zeros(1)

    def update(self, timestamp: float, value: float) -> float:
        """Return a score in [0, 1]; 0.5 is the ensemble's own threshold."""
        score = self._ensemble.score(value, timestamp)
        self._ensemble.learn(value, timestamp)
        if score == 0.0:  # most rows: there is nothing to damp
            self._peaks *= KEEP
            return 0.0
        news, self._peaks = fade(np.array([score]), self._peaks, RULE.fade)
        return squash(float(news[0]))


class Damped:
    """A detector of one series under the judge's damping."""

    def __init__(self, detector: Streaming) -> None:
        self._detector = detector
        self._peaks = np.zeros(1)

    def update(self, timestamp: float, value: float) -> float:
        """Return the score of one value, damped after alarms."""
        scores = np.array([self._detector.update(timestamp, value)])
        news, self._peaks = fade(scores, self._peaks, RULE.fade)
        return float(news[0])


def make_detector(min_value: float | None, max_value: float | None) -> Stream:
    """Return a fresh detector. The range is not used: a live stream does not know it."""
    return Stream()


def folder_of(name: str) -> tuple[Path, bool]:
    """Return where a labelled corpus lies, and whether someone said so."""
    named = os.environ.get("EXCHANGE_EXPORTER_SHARED")
    return Path(named or Path(__file__).resolve().parents[2] / "shared") / name, bool(named)


def load_scorer(folder: Path, name: str) -> ModuleType:
    """Load the scorer that lies beside the series. Raises FileNotFoundError."""
    path = folder / "score.py"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: name its folder in EXCHANGE_EXPORTER_SHARED")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where its dataclasses look their annotations up
    spec.loader.exec_module(module)
    return module


def scorer(folder: Path) -> ModuleType:
    """Load NAB's scorer. Raises FileNotFoundError."""
    return load_scorer(folder, "nab_score")


def near(nab: Any, corpus: Any, scores: Any, threshold: float) -> float:
    """Return the standard score averaged over thresholds within a tenth of one, in raw size."""
    size = threshold / (1.0 - threshold) if threshold < 1.0 else 1e9
    found = []
    for factor in (0.9, 0.95, 1.0, 1.05, 1.1):
        fixed = dict.fromkeys(nab.PROFILES, squash(factor * size))
        found.append(nab.score(corpus, scores, fixed)["standard"]["score"])
    return float(np.mean(found))


def halves(nab: Any, corpus: Any, scores: Any) -> tuple[float, float]:
    """Choose the threshold on random halves and score the others; mean and deviation."""
    chance, names, found = np.random.default_rng(1), sorted(corpus), []
    for _ in range(SPLITS):
        drawn = chance.permutation(len(names))
        parts = drawn[: len(names) // 2], drawn[len(names) // 2 :]
        for one, other in (parts, parts[::-1]):
            train = {names[i]: corpus[names[i]] for i in one}
            test = {names[i]: corpus[names[i]] for i in other}
            best = nab.score(train, scores)["standard"]["threshold"]
            found.append(near(nab, test, scores, best))
    return float(np.mean(found)), float(np.std(found))


def main() -> int:
    """Print the ensemble's three profiles, textbook detectors, and the published scores."""
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    folder, named = folder_of("nab")
    try:
        nab = scorer(folder)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2 if named else 0  # without the benchmark's series there is nothing to measure
    corpus = nab.load_corpus([str(folder)])
    scores, spent = nab.run_detector(make_detector, corpus, blind_range=True)
    rows = sum(len(series.times) for series in corpus.values())
    print(f"{len(corpus)} series, {rows} rows, {spent:.1f} µs per row and series, one at a time")
    for name, found in nab.score(corpus, scores).items():
        print(
            f"  {name:20s} {found['score']:5.1f}   threshold {found['threshold']:.4f}   "
            f"{found['windows_hit']}/{found['windows']} windows, "
            f"{found['false_positive_rows']} false-positive rows"
        )
    print(f"  standard, averaged over a tenth around {THRESHOLD:.4f}, the threshold for series")
    print(f"  that were never seen: {near(nab, corpus, scores, THRESHOLD):.1f}")
    print("Threshold chosen on random halves of the series, scored on the others, and averaged")
    print(
        "over a tenth around it (mean and deviation over halves); the best of all for comparison:"
    )
    _row(nab, corpus, "ensemble, as shipped", Stream)
    for name, make in BASELINES.items():
        _row(nab, corpus, f"{name}, damped", partial(_damped, make))
    print("Published detectors, standard profile, threshold fixed on these series and scored on")
    print("the other half of the benchmark:")
    for name, value in PUBLISHED.items():
        print(f"  {name:20s} {value:5.1f}")
    return 0


def _damped(make: Callable[[], Streaming]) -> Damped:
    return Damped(make())


def _row(nab: Any, corpus: Any, name: str, make: Callable[[], Streaming]) -> None:
    scores, _ = nab.run_detector(lambda low, high: make(), corpus, blind_range=True)
    mean, deviation = halves(nab, corpus, scores)
    best = nab.score(corpus, scores)["standard"]["score"]
    print(f"  {name:46s} {mean:6.1f} ± {deviation:4.1f}   best {best:6.1f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
