"""The ensemble: one meaning of score for all series, and silence where nothing matters."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from exporter.anomaly.bank import Bank
from exporter.anomaly.detectors.ensemble import ASPECTS, DETECTOR, Ensemble
from exporter.anomaly.detectors.ensemble.lone import ScalarEnsemble
from exporter.signals import Floats, Series, Signal

TICK = 300.0  # seconds between values here
LATENCY = Signal(name="s", title="latency", unit="s", effect=0.05, resolution=0.001)


def _bank(signal: Signal | None = None, n: int = 1) -> Bank:
    series = [Series(f"e{i}", "s") for i in range(n)]
    return Bank(series, {"ensemble": DETECTOR}, [signal] if signal else [])


def _scores(stream: Floats, signal: Signal | None = None) -> Floats:
    """Score a stream of shape (t,) or (t, n), learning all of it."""
    rows = stream.reshape(len(stream), -1)
    bank = _bank(signal, rows.shape[1])
    return np.array([bank.tick(row, TICK * i).score[0] for i, row in enumerate(rows)])


def _noise(seed: int, size: int = 2000) -> Floats:
    return np.random.default_rng(seed).normal(size=size)


@settings(max_examples=8, deadline=None)
@given(
    scale=st.sampled_from([1e-6, 0.01, 3.0, 1e9]),
    shift=st.floats(-100.0, 100.0),
    seed=st.integers(0, 99),
)
def test_scale_and_shift_change_no_score(scale: float, shift: float, seed: int) -> None:
    """Milliseconds or seconds, with or without an offset: the judgement is the same."""
    stream = _noise(seed, 250)
    stream[200] += 12.0
    np.testing.assert_allclose(
        _scores((stream + shift) * scale), _scores(stream), rtol=1e-3, atol=1e-6
    )


def test_a_score_means_the_same_for_every_shape_of_noise() -> None:
    """One threshold serves all: even, normal and heavy-tailed noise exceed it equally rarely."""
    rng = np.random.default_rng(1)
    t, n = 2000, 60
    kinds = [
        rng.uniform(size=(t, n)),
        rng.normal(size=(t, n)),
        rng.lognormal(sigma=0.7, size=(t, n)),
        rng.standard_t(4.0, size=(t, n)),
        rng.poisson(50.0, size=(t, n)).astype(float),
    ]
    shares = [float((_scores(kind)[500:] >= 3.0 / DETECTOR.decades).mean()) for kind in kinds]
    # Three decades: once in a thousand, give or take. An even distribution has an end.
    assert all(1e-4 < share < 3e-3 for share in shares), shares


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_step_is_seen_at_once(sign: float) -> None:
    """Five times the spread in one step crosses the threshold with its first value."""
    stream = _noise(2, 1000)
    stream[900:] += sign * 12.0
    scores = _scores(stream)[:, 0]
    assert scores[900] > 1.0
    assert scores[500:900].max() < 1.0


def test_a_small_lasting_shift_is_seen_by_its_mean() -> None:
    """A shift too small for any single value is seen once the short mean has moved."""
    stream = _noise(3, 2200)
    stream[2000:] += 3.0
    bank = Bank([Series("e", "s")], {"ensemble": DETECTOR}, guard="ensemble")
    ticks = [bank.tick(np.array([value]), TICK * i) for i, value in enumerate(stream)]
    scores = np.array([tick.score[0, 0] for tick in ticks])
    assert scores[2000] < 1.0
    assert scores[2000:2040].max() > 1.0


def test_the_missing_peak_of_a_day_is_seen() -> None:
    """A value that is normal at night is anomalous at noon: the season knows the hour."""
    day = int(86400 / TICK)
    t = np.arange(12 * day)
    wave = 10.0 + 5.0 * np.sign(np.sin(2 * np.pi * t / day)) + 0.1 * _noise(4, len(t))
    missing = wave.copy()
    missing[10 * day : 10 * day + day // 2] -= 10.0
    scores = _scores(np.stack([wave, missing], axis=1))[3 * day :]
    assert scores[:, 1].max() > 1.2 * scores[:, 0].max()
    assert scores[: 7 * day, 1].max() < scores[7 * day :, 1].max()


def test_a_step_below_the_smallest_effect_pages_nobody() -> None:
    """Two milliseconds on top of three may be most improbable, and matter to no one."""
    stream = 0.003 + 0.0001 * _noise(5, 800)
    stream[700:750] += 0.002
    assert _scores(stream)[700] > 1.0
    assert not _scores(stream, LATENCY).any()
    stream[780] += 0.1
    assert _scores(stream, LATENCY)[780] > 1.0


def test_a_step_below_the_smallest_share_pages_nobody() -> None:
    """A market that slows down by a third is no broken stream, however steady it was."""
    rate = Signal(name="s", title="x", unit="1/s", effect=1.0, resolution=0.1, share=0.6, low=True)
    stream = 100.0 + _noise(11, 800)
    stream[700:] -= 35.0
    assert _scores(stream)[700] > 1.0
    assert not _scores(stream, rate).any()
    stream[700:] -= 40.0
    assert _scores(stream, rate)[700] > 1.0


def test_a_series_that_wiggles_within_its_resolution_is_flat() -> None:
    """The last digit of a measurement is not news."""
    coarse = Signal(name="s", title="x", unit="s", effect=0.0, resolution=0.002, low=True)
    stream = np.where(np.random.default_rng(6).random(800) < 0.01, 0.031, 0.030)
    assert _scores(stream).any()
    assert not _scores(stream, coarse).any()


def test_only_the_direction_that_matters_counts() -> None:
    """Latency that falls is good news."""
    stream = 0.2 + 0.01 * _noise(7, 900)
    stream[800] = 0.0
    assert _scores(stream)[800] > 1.0
    assert _scores(stream, LATENCY)[800] == 0.0


def test_the_band_is_where_the_level_reaches_the_threshold() -> None:
    """What evidence shows as the bounds is what the score is made of."""
    bank = _bank()
    for i, value in enumerate(_noise(8, 1000)):
        bank.tick(np.array([value]), TICK * i)
    now = TICK * 1000
    lower, center, upper = bank.band("ensemble", now)[:, 0]
    assert lower < center < upper
    for value in (lower, upper):
        memory = {key: array.copy() for key, array in bank._memories["ensemble"].items()}
        DETECTOR.score(memory, np.array([value]), now)
        level = np.array([memory["aspects"][0, ASPECTS.index("level")]])
        decades = DETECTOR.joint.decades(bank._memories["ensemble"]["joint"], level)
        assert decades[0] == pytest.approx(DETECTOR.decades, rel=1e-6)


def test_an_unready_series_has_no_band() -> None:
    """No bounds are drawn from nothing."""
    assert np.isnan(_bank().band("ensemble", 0.0)).all()
    with pytest.raises(KeyError):
        _bank().band("zscore", 0.0)


_finite = st.floats(-1e6, 1e6, allow_subnormal=False) | st.sampled_from([0.0, 1.0, 2.0])


@settings(max_examples=30, deadline=None)
@given(
    stream=arrays(np.float64, st.integers(1, 120), elements=_finite),
    seed=st.integers(0, 9),
    hours=st.booleans(),
)
def test_a_series_alone_scores_as_in_company(stream: Floats, seed: int, hours: bool) -> None:
    """The form for one series and the form for all are the same arithmetic."""
    ensemble = Ensemble(minimum=20)
    whole = np.concatenate([np.random.default_rng(seed).normal(size=60), stream])
    memory, lone = ensemble.begin(1), ScalarEnsemble(ensemble)
    for i, value in enumerate(whole):
        now = i * (7200.0 if hours else 1.0)
        values = np.array([value])
        expected = ensemble.score(memory, values, now)[0]
        assert lone.score(float(value), now) == pytest.approx(expected, rel=1e-9, abs=1e-9)
        ensemble.learn(memory, values, now)
        lone.learn(float(value), now)


@settings(max_examples=12, deadline=None)
@given(stream=arrays(np.float64, st.integers(1, 60), elements=_finite), seed=st.integers(0, 99))
def test_only_the_past_matters(stream: Floats, seed: int) -> None:
    """No look-ahead: what comes later changes no score given before."""
    past = np.random.default_rng(seed).normal(size=150)
    assume(len(stream) > 1)
    whole = _scores(np.concatenate([past, stream]))
    np.testing.assert_array_equal(_scores(past), whole[:150])


def _size(thing: object) -> int:
    """Return the bytes of an object and of all that it holds, without the shared settings."""
    if isinstance(thing, Ensemble):
        return 0
    parts: list[object] = list(thing) if isinstance(thing, list | tuple) else []
    names = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
    parts += [getattr(thing, name) for name in names]
    if hasattr(thing, "__dict__"):
        parts += [vars(thing), *vars(thing).values()]
    return sys.getsizeof(thing) + sum(map(_size, parts))


def test_a_series_alone_fits_in_four_kilobytes() -> None:
    """As plain objects too, after weeks in which every hour of the day was seen."""
    lone = ScalarEnsemble(DETECTOR)
    sizes = []
    for i, value in enumerate(_noise(3, 6000)):
        lone.score(float(value), TICK * i)
        lone.learn(float(value), TICK * i)
        if i % 500 == 499:
            sizes.append(_size(lone))
    assert 1024 < sizes[-1] <= 4096
    assert max(sizes) <= 4096


def test_what_is_off_is_named_with_its_size_and_its_rarity() -> None:
    """A step of 12 on noise of 1 is a jump of about 12, expected once in years of ticks."""
    bank = _bank()
    for i, value in enumerate(_noise(9, 1000)):
        bank.tick(np.array([value]), TICK * i)
    score = bank.tick(np.array([12.0]), TICK * 1000).score[0, 0]
    seen = bank.aspect("ensemble", 0, score)
    assert seen is not None
    assert seen.name in ("level", "jump")
    assert seen.apart == pytest.approx(12.0, abs=1.5)
    assert seen.once == pytest.approx(TICK * 10.0 ** (score * DETECTOR.decades), rel=1e-6)


def test_a_lost_stream_is_told_from_a_slow_one() -> None:
    """An age is judged by the gaps before: ten mean gaps are no news, a hundred are."""
    age = Signal(name="s", title="age", unit="s", effect=1.0, resolution=0.001, age=True)
    chance = np.random.default_rng(5)
    arrivals = np.cumsum(chance.exponential(20.0, 2000))
    looks = np.arange(12_000.0)
    ages = looks - np.maximum.accumulate(
        np.concatenate([[0.0], arrivals])[np.searchsorted(arrivals, looks, side="right")]
    )
    silence = ages[-1] + np.arange(1.0, 2001.0)
    bank = Bank([Series("e0", "s")], {"ensemble": DETECTOR}, [age], guard="ensemble")
    calm = [bank.tick(ages[i : i + 1], float(i)).score[0, 0] for i in range(len(ages))]
    assert max(calm) < 1.0
    upper = bank.band("ensemble", 0.0)[2, 0]
    scores = np.array(
        [bank.tick(silence[i : i + 1], 12_000.0 + i).score[0, 0] for i in range(len(silence))]
    )
    told = silence[np.flatnonzero(scores >= 1.0)[0]]
    assert 10.0 * 20.0 < told < 16.0 * 20.0  # at random 11.5 mean gaps are once in 10^5 seconds
    assert (scores[silence > 320.0] > 1.0).all()
    # The band is where it is told.
    assert upper == pytest.approx(told, abs=2.0)


def test_what_varies_by_factors_is_judged_by_factors() -> None:
    """A rate that wanders by a third falls to a tenth: so far below is no wandering."""
    rate = Signal(name="s", title="x", unit="1/s", effect=1.0, resolution=0.1, low=True, high=False)
    relative = replace(rate, relative=True)
    stream = 100.0 * np.exp(0.35 * _noise(12, 2000))
    stream[1500] = 3.0
    assert _scores(stream, rate)[1500] < _scores(stream, relative)[1500]
    assert _scores(stream, relative)[1500] > 1.0
    assert _scores(stream, relative)[:1500].max() < 1.0


def test_sensitivity_moves_scores_and_band() -> None:
    """Twice as sensitive: every score doubles, and the band is narrower."""
    keen = replace(LATENCY, sensitivity=2.0)
    stream = 0.2 + 0.02 * _noise(13, 900)
    stream[800] = 0.5
    np.testing.assert_allclose(_scores(stream, keen)[:801], 2.0 * _scores(stream, LATENCY)[:801])
