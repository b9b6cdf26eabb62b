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
