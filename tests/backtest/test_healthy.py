"""Healthy series with real tails and memory: no page, and a score that means what it says."""

import numpy as np
import pytest

from exporter.backtest import healthy
from exporter.backtest.backtest import _intervals


def test_healthy_noise_opens_no_incident() -> None:
    """Three hours of ages, counts, latencies, seasons and walks in live mode, with the guard."""
    found = healthy.run(0.125)
    assert len(found) == 1 + len(healthy.KINDS)
    for name, figures in found.items():
        assert figures["critical"] == 0.0, name
        assert figures["incidents_per_series_day"] == 0.0, name
        assert figures["observed_over_promised_3"] < 4.0, name


@pytest.mark.parametrize("kind", healthy.KINDS, ids=lambda kind: kind.name)
def test_the_same_seed_gives_the_same_healthy_series(kind: healthy.Noise) -> None:
    """A figure that is reported can be had again."""
    one, other = (kind.draw(2000, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert np.isfinite(one).all()
    assert one.shape == (2000,)


def test_ages_of_a_poisson_stream_are_exponential() -> None:
    """The age of the newest of 0.2 messages a second is longer than 11.5 s one time in ten."""
    ages = healthy.KINDS[0].draw(200_000, np.random.default_rng(4))
    assert (ages >= 0.0).all()
    assert np.mean(ages) == pytest.approx(5.0, rel=0.05)
    assert np.mean(ages > 5.0 * np.log(10.0)) == pytest.approx(0.1, rel=0.1)


def test_intervals_are_the_exact_ones() -> None:
    """Textbook values: none of 10 found, all of 10, and no false alarm in a day."""
    assert _intervals(0, 10, 0, 1.0)["recall_high"] == pytest.approx(0.3085, abs=1e-4)
    assert _intervals(10, 10, 0, 1.0)["recall_low"] == pytest.approx(0.6915, abs=1e-4)
    assert _intervals(0, 10, 0, 1.0)["false_alarms_per_series_day_high"] == pytest.approx(
        3.6889, abs=1e-4
    )
    assert _intervals(0, 0, 0, 0.0) == dict.fromkeys(
        (
            "recall_low",
            "recall_high",
            "false_alarms_per_series_day_low",
            "false_alarms_per_series_day_high",
        )
    )
