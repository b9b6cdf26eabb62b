"""The worst of late is remembered for long enough, and not for ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from exporter.anomaly.worst import Worst


@given(
    steps=st.lists(st.tuples(st.floats(0.0, 30.0), st.floats(0.0, 5.0)), min_size=1),
    wait=st.floats(0.0, 100.0),
)
def test_between_one_and_two_windows(steps: list[tuple[float, float]], wait: float) -> None:
    """What is younger than a window counts, what is older than two does not."""
    worst, now, seen = Worst(window=10.0), 1000.0, list[tuple[float, float]]()
    for passed, value in steps:
        now += passed
        worst.observe(value, now)
        seen.append((now, value))
    now += wait
    young = max((value for then, value in seen if now - then < 10.0), default=0.0)
    old = max((value for then, value in seen if now - then <= 20.0), default=0.0)
    assert young <= worst.read(now) <= old
