"""The detectors that run when asked for, by their definitions."""

import numpy as np
import pytest
from scipy.stats import genpareto, median_abs_deviation

from exporter.anomaly.bank import Bank
from exporter.anomaly.detectors.cusum import Cusum
from exporter.anomaly.detectors.ensemble import DETECTOR
from exporter.anomaly.detectors.ensemble.tails import Joint, Tail
from exporter.anomaly.detectors.rate_of_change import RateOfChange
from exporter.anomaly.detectors.robust_z import RobustZ
from exporter.anomaly.gauges import STREAM_LATENCY
from exporter.contracts import Detector
from exporter.signals import Floats, Series

NOISE = np.random.default_rng(17).normal(10.0, 2.0, size=400)


def _scores(detector: Detector, stream: Floats) -> Floats:
    memory, found = detector.begin(1), []
    for value in stream:
        values = np.array([value])
        found.append(detector.score(memory, values, now=0.0)[0])
        detector.learn(memory, values, now=0.0)
    return np.array(found)


def test_robust_z_is_the_distance_from_the_median_in_scaled_deviations() -> None:
    """As the textbook has it, by the 60 values before."""
    scores = _scores(RobustZ(), NOISE)
    for i in (60, 200, 399):
        past = NOISE[i - 60 : i]
        expected = 0.6745 * abs(NOISE[i] - np.median(past)) / median_abs_deviation(past) / 3.5
        assert scores[i] == pytest.approx(expected)


def test_robust_z_is_not_blinded_by_outliers_in_its_window() -> None:
    """A second outlier is judged as hard as the first."""
    stream = NOISE[:200].copy()
    stream[150] = stream[152] = 100.0
    scores = _scores(RobustZ(), stream)
    assert scores[152] == pytest.approx(scores[150], rel=0.2)
    assert scores[152] > 5.0


def test_rate_of_change_judges_the_jump_and_not_the_level() -> None:
    """The edge of a step is seen, its plateau is not."""
    scores = _scores(RateOfChange(), np.concatenate([NOISE[:200], NOISE[200:] + 40.0]))
    jumps = np.diff(NOISE[:200])[-60:]
    jump = NOISE[200] + 40.0 - NOISE[199]
    assert scores[200] == pytest.approx(abs(jump - jumps.mean()) / jumps.std() / 4.0)
    assert scores[200] > 1.0
    assert scores[201:260].max() < 1.0


def test_cusum_adds_up_what_no_single_value_shows() -> None:
    """A shift of one deviation and a half is found within a few tens of values."""
    scores = _scores(Cusum(), np.concatenate([NOISE[:300], NOISE[300:] + 3.0]))
    assert scores[:300].max() < 1.0
    assert scores[300:304].max() < 1.0
    assert scores[304:340].max() > 1.0


def test_cusum_is_not_decided_by_one_value() -> None:
    """However far an outlier lies, it counts for a bounded amount."""
    stream = NOISE[:300].copy()
    quiet = _scores(Cusum(), stream)[250]
    stream[250] = 1e9
    assert _scores(Cusum(), stream)[250] <= quiet + 0.8


@pytest.mark.parametrize(("shape", "scale"), [(0.1, 1.0), (0.15, 3.0), (0.3, 0.5)])
def test_the_tail_gives_the_probabilities_of_the_pareto_distribution(
    shape: float, scale: float
) -> None:
    """For excesses of its shape, rarity is the distribution's survival function in decades."""
    tail = Tail(shape=shape)
    excesses = genpareto.rvs(shape, scale=scale, size=4000, random_state=3)
    sums = np.array([80000.0, 4000.0, excesses.sum(), 1.0])
    for far in (0.5 * scale, 2.0 * scale, 10.0 * scale):
        rarity = tail.rarity(sums[None], np.array([1.0 + far]), 100.0)[0]
        exact = -np.log10(0.05 * genpareto.sf(far, shape, scale=scale))
        assert rarity == pytest.approx(exact, rel=0.05)
        assert tail.reach(sums[None], np.array([rarity]))[0] == pytest.approx(1.0 + far)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_the_scale_of_the_tail_is_the_one_that_scipy_fits(scale: float) -> None:
    """From a stream, by its mean excess, within a tenth of maximum likelihood over the same."""
    tail = Tail(clip=1e9)
    sizes = genpareto.rvs(tail.shape, scale=scale, size=20000, random_state=5)
    sums = np.zeros((1, 1, 4))
    for size in sizes:
        tail.learn(sums, np.array([[size]]), np.ones(1))
    count, many, total, start = sums[0, 0]
    assert many / count == pytest.approx(tail.share, rel=0.1)
    assert start == pytest.approx(np.quantile(sizes, 1.0 - tail.share), rel=0.1)
    _, _, fitted = genpareto.fit(sizes[sizes > start] - start, fix_c=tail.shape, floc=0.0)
    assert total / many * (1.0 - tail.shape) == pytest.approx(fitted, rel=0.1)


JOINED = {  # how far the members together go, in decades, by how rare it is
    "as promised": lambda decades: decades,
    "lighter, as of normal noise": lambda decades: 1.22 * decades**0.7,
    "heavier": lambda decades: 1.3 * decades,
}


@pytest.mark.parametrize("kind", ["lighter, as of normal noise", "heavier"])
def test_the_joined_tail_keeps_its_promise_whatever_its_weight(kind: str) -> None:
    """Once in a thousand and in ten thousand values is what it says, within a factor of three.

    After an hour of a value a second, in which it has seen three that are so rare.
    """
    joint, chance = Joint(), np.random.default_rng(11)
    sums, n, ticks = joint.begin(80), 80, 12000
    reached = np.zeros(2)
    for tick in range(ticks):
        joined = JOINED[kind](-np.log10(chance.random(n)))
        decades = joint.decades(sums, joined)
        joint.learn(sums, joined, np.ones(n))
        if tick >= 3600:
            reached += [(decades >= 3.0).sum(), (decades >= 4.0).sum()]
    promised = n * (ticks - 3600) * np.array([1e-3, 1e-4])
    assert (reached > promised / 3.0).all(), reached / promised
    assert (reached < promised * 3.0).all(), reached / promised


@pytest.mark.parametrize("kind", JOINED)
def test_the_joined_tail_is_read_backwards(kind: str) -> None:
    """What is so many decades rare is that rare, before, between and beyond the starts."""
    joint, chance = Joint(), np.random.default_rng(12)
    sums = joint.begin(1)
    for _ in range(3000):
        joint.learn(sums, JOINED[kind](-np.log10(chance.random(1))), np.ones(1))
    for decades in (0.5, 2.0, 3.5, 5.0, 7.0):
        far = joint.joined(sums, np.array([decades]))
        assert joint.decades(sums, far)[0] == pytest.approx(decades)


def test_a_step_over_a_young_series_is_heard() -> None:
    """Thirty times the latency half a minute after the start, at ten values a second."""
    n, chance = 40, np.random.default_rng(13)
    values = 0.02 * np.exp(chance.normal(scale=0.3, size=(340, n)))
    values[300:] += 0.6
    series = [Series(f"e{place}", STREAM_LATENCY.name) for place in range(n)]
    bank = Bank(series, {"ensemble": DETECTOR}, [STREAM_LATENCY], guard="ensemble")
    scores = np.array([bank.tick(row, 0.1 * i).score[0] for i, row in enumerate(values)])
    assert (scores[:300] < 1.0).all()
    # 0.42 of them before young tails were kept from learning a step at once
    heard = np.lib.stride_tricks.sliding_window_view(scores[300:] >= 1.0, 3, axis=0).all(axis=2)
    assert heard.any(axis=0).mean() > 0.7
