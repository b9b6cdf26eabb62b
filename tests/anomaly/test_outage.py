"""When an exchange is out: what agrees decides soon, what stands alone decides late."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.anomaly.outage import Look, Outage, OutageRule, step

RULE = OutageRule(agreed=1.0, alone=20.0, clear=60.0)


def _noticed_after(look: Look, most: float = 100.0) -> float | None:
    state, now = Outage(), 0.0
    while now <= most:
        state = step(state, look, now, RULE)
        if state.out:
            assert state.began == 0.0
            return now
        now += 0.5
    return None


@pytest.mark.parametrize(
    ("look", "after"),
    [
        (Look(answers=False, twice=False, streams=False), 1.0),
        (Look(answers=False, twice=True, streams=None), 1.0),
        (Look(answers=False, twice=True, streams=True), 20.0),
        (Look(answers=False, twice=False, streams=None), None),
        (Look(answers=False, twice=False, streams=True), None),
        (Look(answers=True, twice=False, streams=False), None),
        (Look(answers=None, twice=True, streams=False), None),
    ],
)
def test_an_outage_needs_two_facts_that_agree(look: Look, after: float | None) -> None:
    """Streams and endpoints, or endpoints twice, tell it in a second; streams alone never do."""
    assert _noticed_after(look) == after


def test_it_is_over_when_it_answers_for_a_while() -> None:
    """An answer now and then during an outage does not end it."""
    out, up = Look(answers=False, twice=True, streams=False), Look(
        answers=True, twice=False, streams=True
    )  # fmt: skip
    state = step(step(Outage(), out, 0.0, RULE), out, 1.0, RULE)
    for now in range(2, 300):
        state = step(state, up if now % 50 else out, float(now), RULE)
        assert state.out
    for now in range(300, 361):
        state = step(state, up, float(now), RULE)
    assert not state.out


@given(
    looks=st.lists(
        st.tuples(
            st.sampled_from([None, True, False]),
            st.booleans(),
            st.sampled_from([None, True, False]),
            st.floats(0, 30),
        )
    )
)
def test_it_begins_only_when_nothing_answers_and_ends_only_when_something_does(
    looks: list[tuple[bool | None, bool, bool | None, float]],
) -> None:
    """Whatever is seen in whatever order, each change has its reason at that moment."""
    state, now = Outage(), 0.0
    for answers, twice, streams, wait in looks:
        now += wait
        before, state = state, step(
            state, Look(answers=answers, twice=twice, streams=streams), now, RULE
        )  # fmt: skip
        if state.out and not before.out:
            assert answers is False
        if before.out and not state.out:
            assert answers is True
