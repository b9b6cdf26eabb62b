"""Probe latency as a signal."""

import numpy as np
import pytest

from exporter.probes.latency import ProbeLatency


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


def test_a_tick_sorts_nothing() -> None:
    """However many probes a window holds, a tick looks its quantiles up: it compares none."""
    compared = 0

    class Duration(float):
        def __lt__(self, other: float) -> bool:
            nonlocal compared
            compared += 1
            return float(self) < float(other)

    tracker = ProbeLatency(["a", "b"], probability=0.95, limit=256)
    durations = np.random.default_rng(1).random(400).tolist()
    for i, duration in enumerate(durations):
        tracker.observe("a", Duration(duration), now=0.01 * i)
    assert compared > 256
    compared = 0
    assert tracker.sample(now=4.0)[0] == pytest.approx(np.percentile(durations[-256:], 95))
    assert compared == 0


def test_every_sample_is_the_quantile_of_what_the_window_then_holds() -> None:
    """Equal durations, uneven moments, pauses and a full window: as if sorted anew each time."""
    rng = np.random.default_rng(2)
    tracker = ProbeLatency(["a"], probability=0.5, window=30.0, limit=40)
    seen, now = list[tuple[float, float]](), 0.0
    for _ in range(500):
        now += float(rng.choice([0.1, 1.0, 12.0, 70.0], p=[0.5, 0.4, 0.08, 0.02]))
        duration = float(rng.integers(1, 20)) / 100.0
        seen.append((now, duration))
        tracker.observe("a", duration, now)
        now += 0.05
        held = [took for ended, took in seen[-40:] if ended >= now - 30.0]
        assert tracker.sample(now)[0] == pytest.approx(np.median(held))
