"""Who knew first of a trouble, the venue or we, in whatever order we hear of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from exporter.exchange.lead import MEMORY, IncidentLead, step
from exporter.maintenance import Notice, NoticeKind

T = 1_800_000_000.0


def incident(declared: float, name: str = "k1") -> Notice:
    return Notice(kind=NoticeKind.INCIDENT, title=name, id=name, declared=T + declared)


def _run(*looks: tuple[float, bool, tuple[Notice, ...]]) -> IncidentLead:
    state = IncidentLead()
    for at, troubled, said in looks:
        state = step(state, troubled, said, T + at)
    return state


def test_we_were_first() -> None:
    """The page admits it four minutes after our alert, and is read a minute later."""
    said = (incident(250.0),)
    state = _run((0.0, False, ()), (10.0, True, ()), (11.0, True, ()), (310.0, True, said))
    assert state.newest == 240.0
    (found,) = state.standing.values()
    assert (found.noticed, found.lead) == (T + 10.0, 240.0)


def test_they_were_first() -> None:
    """An incident that we notice later has a negative lead; one that we never notice has none."""
    said = (incident(50.0),)
    state = _run((0.0, False, ()), (60.0, False, said))
    assert state.newest is None
    state = step(state, True, said, T + 80.0)
    assert state.newest == -30.0


def test_what_is_admitted_after_its_end_counts() -> None:
    """Venues may tell when all is over: half an hour later it still is that trouble's, then not."""
    over = ((0.0, False, ()), (10.0, True, ()), (20.0, True, ()), (21.0, False, ()))
    soon, late = 20.0 + MEMORY, 21.0 + MEMORY
    assert _run(*over, (soon, False, (incident(soon),))).newest == soon - 10.0
    assert _run(*over, (late, False, (incident(late),))).newest is None


def test_before_we_looked_nobody_was_first() -> None:
    """An incident that stands at our start says nothing, whatever we see then."""
    said = (incident(-5.0),)
    state = _run((0.0, True, said), (1.0, True, said))
    assert state.newest is None
    assert [each.lead for each in state.standing.values()] == [None]


def test_each_incident_counts_once_and_the_newest_stands() -> None:
    """A second one has a lead of its own, and what went stays shown until the next."""
    first, second = incident(30.0), incident(5000.0, "k2")
    state = _run((0.0, False, ()), (10.0, True, ()), (30.0, True, (first,)))
    assert state.newest == 20.0
    state = step(state, False, (), T + 4000.0)
    assert (state.newest, dict(state.standing)) == (20.0, {})
    state = step(state, True, (), T + 4900.0)
    state = step(state, True, (second,), T + 5001.0)
    assert state.newest == 100.0


def test_maintenance_is_no_incident() -> None:
    """What is planned is not admitted."""
    planned = Notice(kind=NoticeKind.MAINTENANCE, title="x", declared=T + 5.0)
    assert _run((0.0, False, ()), (1.0, True, ()), (6.0, True, (planned,))).newest is None


@given(
    looks=st.lists(
        st.tuples(st.floats(0.1, 3000.0), st.booleans(), st.sets(st.integers(0, 3), max_size=3)),
        max_size=40,
    )
)
def test_a_lead_is_never_longer_than_we_looked(
    looks: list[tuple[float, bool, set[int]]],
) -> None:
    """Whatever comes in whatever order, nobody knew before the first look."""
    state, now, first_seen = IncidentLead(), 0.0, dict[int, float]()
    for wait, troubled, standing in looks:
        now += wait
        for name in standing:
            first_seen.setdefault(name, now)
        said = [incident(first_seen[name], str(name)) for name in standing]
        state = step(state, troubled, said, T + now)
        if state.newest is not None:
            assert abs(state.newest) <= now
        assert len(state.standing) == len(standing)
