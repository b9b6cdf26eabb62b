"""The pager's whole chain, signals to incidents, on labelled cases from seeds."""

import pytest

from exporter.backtest.incidents import run


@pytest.mark.live
def test_incidents_are_found_fast_and_calm_is_left_alone() -> None:
    """On cases that no threshold was set on: found, within three ticks if sudden, without noise."""
    figures = run()
    reported = figures["reported"]
    assert reported["cases"] >= 200
    assert reported["recall"] >= 0.95
    assert reported["false_alarms_per_series_week"] <= 1.0
    assert figures["steps"]["delay_ticks"] <= 3.0
