"""Healthy series with real tails and memory: no page, and a score that means what it says."""

import numpy as np
import pytest

from exporter.backtest import healthy
from exporter.backtest.backtest import _intervals
from exporter.simulator.rehearsal.traffic import TRAFFIC


def test_healthy_noise_opens_no_incident_and_scores_keep_their_promise() -> None:
    """Three hours of ages, counts, latencies, seasons and walks in live mode, with the guard.

    A score of 3 decades comes once in about a thousand values, of every kind, after the first hour:
    within a factor of three, as far as so few values can tell.
    """
    found = healthy.run(0.125)
    assert len(found) == 1 + len(healthy.KINDS)
    for name, figures in found.items():
        assert figures["critical"] == 0.0, name
        assert figures["false_alarms_per_series_week"] == 0.0, name
        key = "observed_over_promised_3 to 16 h"
        assert figures[f"{key}, most"] > 1 / 3, name
        assert figures[f"{key}, least"] < 3.0, name


def test_traffic_as_the_simulator_sends_it_is_what_the_signals_measure() -> None:
    """Latencies, rates and ages of a healthy exchange lie where its noise puts them."""
    drawn = {kind.signal.name: kind.draw(3600, np.random.default_rng(2)) for kind in TRAFFIC}
    middle = {name: float(np.nanmedian(values)) for name, values in drawn.items()}
    assert 0.02 < middle["probe_latency"] < 0.06
    assert middle["probe_latency"] < middle["probe_latency_p95"]
    assert 0.005 < middle["stream_latency"] < 0.02
    assert 3.0 < middle["message_rate"] < 10.0
    assert 0.0 < middle["inter_arrival"] < 0.3
    assert middle["error_rate"] == middle["reconnect_rate"] == 0.0
    for values in drawn.values():
        assert values.shape == (3600,)
        assert np.nanmin(values) >= 0.0


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
