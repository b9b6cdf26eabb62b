"""Trackers: what they measure, and that nothing new is a gap."""

import numpy as np
import pytest

from exporter.anomaly.gauges import SignalGauge
from exporter.anomaly.rates import Rate
from exporter.probes.error_rate import ErrorRate


def test_error_rate_is_the_share_of_failures_in_the_window() -> None:
    """Old outcomes leave, and an exchange without a new probe is a gap."""
    tracker = ErrorRate(["a", "b"], window=60.0)
    tracker.observe("a", ok=False, now=0.0)
    for i in range(1, 5):
        tracker.observe("a", ok=i != 2, now=float(i))
    np.testing.assert_array_equal(tracker.sample(now=5.0), [0.4, np.nan])
    np.testing.assert_array_equal(tracker.sample(now=6.0), [np.nan, np.nan])
    tracker.observe("a", ok=True, now=61.5)
    np.testing.assert_array_equal(tracker.sample(now=61.5), [0.25, np.nan])


def test_a_rate_is_a_counters_rise_over_the_window() -> None:
    """Known once a window has passed, smooth over uneven ticks."""
    tracker = Rate(["a", "b"], window=10.0)
    for now, total in [(0.0, 100.0), (4.0, 140.0), (10.0, 160.0), (15.0, 260.0)]:
        tracker.set("a", total)
        rates = tracker.sample(now)
        expected = {10.0: 6.0, 15.0: (260.0 - 140.0) / 11.0}.get(now, np.nan)
        np.testing.assert_array_equal(rates, [expected, np.nan])


def test_a_counter_that_starts_anew_is_a_gap_and_no_negative_rate() -> None:
    """A reconnect must not look like a collapse."""
    tracker = Rate(["a"], window=2.0)
    seen = []
    for now, total in enumerate([10.0, 20.0, 30.0, 1.0, 11.0, 21.0]):
        tracker.set("a", total)
        seen.append(float(tracker.sample(float(now))[0]))
    assert seen == pytest.approx([np.nan, np.nan, 10.0, np.nan, np.nan, 10.0], nan_ok=True)


def test_a_counter_at_rest_has_rate_zero_and_one_not_read_has_none() -> None:
    """Silence is a measurement, not asking is not."""
    tracker = Rate(["a"], window=1.0)
    tracker.set("a", 5.0)
    tracker.sample(0.0)
    tracker.set("a", 5.0)
    assert tracker.sample(1.0).tolist() == [0.0]
    assert np.isnan(tracker.sample(2.0)).all()


def test_a_gauge_is_sampled_once() -> None:
    """The newest value counts, and it counts for one tick."""
    tracker = SignalGauge(["a", "b"])
    tracker.set("b", 1.0)
    tracker.set("b", 2.0)
    np.testing.assert_array_equal(tracker.sample(0.0), [np.nan, 2.0])
    assert np.isnan(tracker.sample(1.0)).all()
