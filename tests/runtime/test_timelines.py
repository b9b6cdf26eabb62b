"""The last 24 hours of an exchange: what was seen, what was not, and after a restart too."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.runtime.timelines import CELL, CELLS, Timelines
from exporter.web.state import Health

NOW = 6_000_000 * CELL  # a cell begins
DAY = CELL * CELLS


def _noted(*cells: tuple[int, Health, float]) -> Timelines:
    """Return timelines of "a" with some seconds of a state, so many cells before the last."""
    found = Timelines()
    for before, health, seconds in sorted(cells, key=lambda each: -each[0]):
        found.note("a", health, seconds, NOW - before * CELL)
    return found


def test_a_day_in_spans() -> None:
    """Cells of one state are one span; half a minute of trouble makes a cell bad, less does not."""
    found = _noted(
        (4, Health.UP, 300.0),
        (3, Health.UP, 280.0), (3, Health.DOWN, 20.0),
        (2, Health.UP, 270.0), (2, Health.DOWN, 30.0),
        (1, Health.DEGRADED, 20.0), (1, Health.DOWN, 10.0),
        (0, Health.UP, 29.0),
    ).spans("a", NOW)  # fmt: skip
    assert [(round((NOW - each.start) / CELL), each.health) for each in found] == [
        (CELLS - 1, Health.PENDING), (4, Health.UP), (2, Health.DOWN), (1, Health.DEGRADED),
        (0, Health.PENDING),
    ]  # fmt: skip
    assert sum(each.end - each.start for each in found) == DAY


def test_an_unknown_exchange_was_not_seen() -> None:
    """It has one span of nothing."""
    (one,) = Timelines().spans("x", NOW)
    assert (one.health, one.end - one.start) == (Health.PENDING, DAY)


def test_what_is_older_than_a_day_goes() -> None:
    """However long a program runs, it keeps no more than a day."""
    found = Timelines()
    for cell in range(3 * CELLS):
        found.note("a", Health.UP, CELL, NOW + cell * CELL)
    kept = msgspec.json.decode(found.encode())["cells"]["a"]
    assert len(kept) == CELLS


def test_a_restart_goes_on() -> None:
    """What was saved comes back, and the time between is not seen; what is old or odd does not."""
    before = _noted((2, Health.DOWN, 300.0), (1, Health.UP, 300.0))
    after = Timelines()
    after.restore(before.encode(), NOW + 5 * CELL)
    after.note("a", Health.UP, 40.0, NOW + 5 * CELL)
    assert [each.health for each in after.spans("a", NOW + 5 * CELL)] == [
        Health.PENDING, Health.DOWN, Health.UP, Health.PENDING, Health.UP
    ]  # fmt: skip
    late = Timelines()
    late.restore(before.encode(), NOW + 2 * DAY)
    assert [each.health for each in late.spans("a", NOW + 2 * DAY)] == [Health.PENDING]
    late.note("a", Health.UP, 40.0, NOW + 2 * DAY)  # where nothing was kept it begins anew


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b"[]", b'{"version":2,"cells":{}}', b'{"version":1,"cells":{"a":{"x":1}}}']
)
def test_what_is_no_timeline_is_refused(raw: bytes) -> None:
    """Its reader sets it aside."""
    with pytest.raises(ValueError, match=r".+"):
        Timelines().restore(raw, NOW)


@given(
    looks=st.lists(
        st.tuples(st.integers(0, 2 * CELLS), st.sampled_from(Health), st.floats(0, 20)), max_size=60
    )
)
def test_it_is_a_day_whatever_was_seen(looks: list[tuple[int, Health, float]]) -> None:
    """In whatever order the clock has it, the spans are one day without a hole."""
    found = Timelines()
    for cell, health, seconds in looks:
        if health is not Health.PENDING:
            found.note("a", health, seconds, NOW - cell * CELL)
    spans = found.spans("a", NOW)
    assert spans[0].start == NOW - DAY + CELL
    assert spans[-1].end == NOW + CELL
    assert all(a.end == b.start for a, b in pairwise(spans))
