"""Statistics of the probes of one endpoint."""

from __future__ import annotations

from math import isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.probes.history import History, rank


def test_hand_worked_window() -> None:
    """100 successes of 1 to 100 ms and 25 failures: every figure by nearest rank."""
    history = History()
    for i in range(1, 101):
        history.add(float(i), i / 1000)
    for i in range(25):
        history.add(101.0 + i / 100, None)
    seen = history.statistics(120.0)
    assert (seen.probes, seen.error_ratio) == (125, 0.2)
    assert (seen.median, seen.p95, seen.p99) == (0.050, 0.095, 0.099)
    assert seen.mean == pytest.approx(0.0505)


def test_an_idle_endpoint_has_no_figures() -> None:
    """No probe gives no number: neither zero errors nor zero latency is claimed."""
    history = History(window=60.0)
    history.add(0.0, 0.1)
    seen = history.statistics(100.0)
    assert seen.probes == 0
    assert isnan(seen.error_ratio)
    assert isnan(seen.median)


def test_failures_alone_have_no_latency() -> None:
    """A total outage is an error ratio of one and no latency."""
    history = History()
    history.add(0.0, None)
    seen = history.statistics(1.0)
    assert seen.error_ratio == 1.0
    assert isnan(seen.p99)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=50), st.floats(0.01, 1.0))
def test_a_quantile_was_measured(values: list[float], share: float) -> None:
    """At least the share of values is at or below the quantile, and it is one of them."""
    ordered = sorted(values)
    found = rank(ordered, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9


def test_memory_is_bounded() -> None:
    """However fast probes come, no more than the limit is kept."""
    history = History(limit=10)
    for i in range(100):
        history.add(float(i), 0.1)
    assert history.statistics(100.0).probes == 10


def test_slowness_began_with_the_first_slow_answer() -> None:
    """Single quick answers and failures do not end it, two quick ones in a row do."""
    history = History(limit=50)
    assert history.slow_since(1.0) is None
    for now, took in enumerate((2.0, 0.1, 0.1, 1.5, None, 0.1, 1.0, 3.0, 0.2), 10):
        history.add(float(now), took)
    assert history.slow_since(1.0) == 13.0 - 1.5
    assert history.slow_since(2.5) == 17.0 - 3.0
    history.add(19.0, 0.2)
    assert history.slow_since(1.0) is None


def test_failures_began_with_the_oldest_of_the_window() -> None:
    """Older ones do not count, and what never failed has no such time."""
    history = History(window=10.0, limit=50)
    history.add(1.0, 0.1)
    assert history.failing_since(1.0) is None
    for now in (2.0, 5.0, 9.0):
        history.add(now, None)
    assert (history.failing_since(9.0), history.failing_since(13.0)) == (2.0, 5.0)
    assert history.failing_since(30.0) is None
