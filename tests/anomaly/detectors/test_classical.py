"""The three tests everybody knows, exactly as classically defined."""

import numpy as np
import pytest

from exporter.anomaly.detectors.iqr import Iqr
from exporter.anomaly.detectors.rolling_mean import RollingMean
from exporter.anomaly.detectors.zscore import ZScore
from exporter.signals import Floats

NOISE = np.random.default_rng(7).normal(10.0, 2.0, size=300)


def _scores(detector: ZScore | Iqr | RollingMean, stream: Floats) -> list[float]:
    memory, found = detector.begin(1), []
    for value in stream:
        values = np.array([value])
        found.append(float(detector.score(memory, values, now=0.0)[0]))
        detector.learn(memory, values, now=0.0)
    return found


def test_zscore_is_the_distance_in_deviations_over_three() -> None:
    """A value is judged by the 60 values before it, and 1.0 means three deviations."""
    for i in (60, 100, 299):
        past = NOISE[i - 60 : i]
        expected = abs(NOISE[i] - past.mean()) / past.std() / 3.0
        assert _scores(ZScore(), NOISE)[i] == pytest.approx(expected)


def test_rolling_mean_is_the_distance_in_deviations_over_two() -> None:
    """A value is judged by the 15 values before it, and 1.0 means two deviations."""
    for i in (15, 100, 299):
        past = NOISE[i - 15 : i]
        expected = abs(NOISE[i] - past.mean()) / past.std() / 2.0
        assert _scores(RollingMean(), NOISE)[i] == pytest.approx(expected)


def test_iqr_is_the_distance_outside_the_quartiles() -> None:
    """1.0 lies on a fence, 1.5 interquartile ranges outside; within the quartiles it is 0."""
    stream = np.append(NOISE, [30.0, -10.0])
    for i in (60, 100, 300, 301):
        past = stream[i - 60 : i]
        low, high = np.percentile(past, [25, 75])
        expected = max(low - stream[i], stream[i] - high, 0.0) / (1.5 * (high - low))
        assert _scores(Iqr(), stream)[i] == pytest.approx(expected)


@pytest.mark.parametrize("detector", [ZScore(), Iqr(), RollingMean()])
def test_nothing_is_judged_before_the_minimum(detector: ZScore | Iqr | RollingMean) -> None:
    """Warm-up is silent, and ends exactly after ``minimum`` values."""
    m = detector.minimum
    stream = np.append(NOISE[:m], 1000.0)
    assert _scores(detector, stream)[:m] == [0.0] * m
    assert _scores(detector, stream)[m] > 1.0
    assert _scores(detector, np.append(NOISE[: m - 1], 1000.0))[m - 1] == 0.0
