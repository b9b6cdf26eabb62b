"""Probe latency as a signal."""

import numpy as np
import pytest

from exporter.signals.probe_latency import ProbeLatency


def test_it_gives_a_quantile_of_the_window_by_exchange() -> None:
    """Each exchange by itself, in the order given."""
    tracker = ProbeLatency(["a", "b"], probability=0.95)
    for i in range(1, 21):
        tracker.observe("b", i / 1000, now=0.1 * i)
    a, b = tracker.sample(now=2.0)
    assert np.isnan(a)
    assert b == pytest.approx(np.percentile(np.arange(1, 21) / 1000, 95))


def test_nothing_new_is_a_gap_and_not_the_old_value() -> None:
    """A line that stands still because nobody measures must not look healthy."""
    tracker = ProbeLatency(["a"], probability=0.5)
    tracker.observe("a", 0.2, now=1.0)
    assert tracker.sample(now=1.0).tolist() == [0.2]
    assert np.isnan(tracker.sample(now=2.0)).all()


def test_old_probes_leave_the_window() -> None:
    """After ``window`` seconds a probe no longer counts."""
    tracker = ProbeLatency(["a"], probability=0.5, window=30.0)
    tracker.observe("a", 9.0, now=0.0)
    tracker.observe("a", 0.1, now=31.0)
    assert tracker.sample(now=31.0).tolist() == [0.1]
