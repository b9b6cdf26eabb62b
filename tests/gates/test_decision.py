"""A gate never says "go" on what is bad, unknown, too old, or not decided for too long."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.gates.decision import Decision, GateFact, GateRule, begin, decide
from exporter.model import Need

RULE = GateRule(open_after=10.0, valid_for=3.0)


def fact(good: bool | None = True, until: float = 1e9, **more: object) -> GateFact:
    """Return a fact about an endpoint."""
    return GateFact(need=Need.PROBE, where="a time", good=good, until=until, **more)  # type: ignore[arg-type]


def lived(
    steps: list[tuple[float, list[GateFact]]], rule: GateRule = RULE, before: Decision | None = None
) -> list[Decision]:
    """Return the decisions at these moments, one after the other."""
    found, last = [], before or begin(0.0)
    for now, facts in steps:
        last = decide(last, facts, now, rule)
        found.append(last)
    return found


def test_it_opens_after_unbroken_health_and_no_sooner() -> None:
    """Ten seconds of good facts open it; one bad fact begins them anew."""
    well = lived([(now, [fact()]) for now in range(12)])
    assert [each.open for each in well] == [False] * 10 + [True] * 2
    assert well[-1].since == 10.0
    hurt = lived([(now, [fact(good=now != 5)]) for now in range(17)])
    assert [each.open for each in hurt].index(True) == 16


def test_a_bad_fact_closes_at_once_and_says_why() -> None:
    """The next decision after the fact is closed, with the fact as its reason."""
    steps = [(float(now), [fact()]) for now in range(12)]
    *_, last = lived([*steps, (12.0, [fact(), fact(good=False, why="down")])])
    assert not last.open
    assert [each.why for each in last.reasons] == ["down"]
    assert last.since == 12.0


def test_what_is_too_old_is_not_known() -> None:
    """A good fact counts until its bound; the decision does not outlive it either."""
    steps = [(float(now), [fact(until=12.5)]) for now in range(13)]
    opened = lived(steps)[-1]
    assert opened.open
    assert opened.valid_until == 12.5
    assert not opened.holds(12.5)
    closed = decide(opened, [fact(until=12.5)], 12.6, RULE)
    assert not closed.open
    assert closed.reasons[0].good is None


def test_silence_of_our_own_begins_health_anew() -> None:
    """After a decision ran out nobody knows what happened: it does not open again by itself."""
    opened = lived([(float(now), [fact()]) for now in range(12)])[-1]
    late = decide(opened, [fact()], 20.0, RULE)
    assert not late.open
    assert late.healthy_since == 20.0


def test_what_broke_and_was_mended_between_two_looks_counts() -> None:
    """A connection made half a second ago was lost before: ten seconds begin with it."""
    opened = lived([(float(now), [fact()]) for now in range(12)])[-1]
    again = decide(opened, [fact(since=11.5), fact()], 12.0, RULE)
    assert not again.open
    assert again.healthy_since == 11.5
    assert lived([(float(now), [fact(since=11.5)]) for now in range(12, 23)], before=again)[-1].open
    assert decide(opened, [fact(since=1e9)], 12.0, RULE).healthy_since == 12.0
    assert decide(opened, [fact(since=-1.0)], 12.0, RULE).open


def test_unknown_may_be_taken_for_open() -> None:
    """Who says so is not stopped by what nobody knows, but is by what is bad."""
    rule = GateRule(open_after=0.0, unknown_closes=False)
    assert lived([(0.0, [fact(good=None)]), (1.0, [fact(good=None)])], rule)[-1].open
    assert not lived([(0.0, [fact(good=False)])], rule)[-1].open


def test_cancel_outlives_quote_where_only_trading_is_restricted() -> None:
    """A restricted mode leaves cancelling; an endpoint that is down does not."""
    assert lived([(0.0, [fact(good=False)])])[0].cancel
    assert not lived([(0.0, [fact(good=False, bars_cancel=True)])])[0].cancel


MOMENTS = st.lists(
    st.tuples(
        st.floats(0.0, 6.0),  # since the one before
        st.lists(
            st.tuples(st.sampled_from([True, True, True, False, None]), st.floats(-2.0, 20.0)),
            max_size=3,
        ),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(MOMENTS, st.sampled_from([0.0, 1.0, 5.0]), st.sets(st.integers(0, 59), max_size=3))
def test_never_open_on_less_than_it_asks_for(
    moments: list[tuple[float, list[tuple[bool | None, float]]]],
    open_after: float,
    restarts: set[int],
) -> None:
    """Over any order of facts, pauses and restarts, by a record that knows nothing of states.

    Whenever the gate is open, every look of the last ``open_after`` seconds found all facts good
    and in time, no two of them lay further apart than a decision holds, and no reader may believe
    it longer than the youngest bound of its facts.
    """
    rule, now, last = GateRule(open_after=open_after, valid_for=3.0), 0.0, begin(0.0)
    looks: list[tuple[float, bool, float]] = []  # when, all good, how long believed
    for number, (pause, given_facts) in enumerate(moments):
        if number in restarts:
            last, looks = begin(now), []
        now += pause
        facts = [fact(good=good, until=now + left) for good, left in given_facts]
        last = decide(last, facts, now, rule)
        good = bool(facts) and all(each.good and each.until > now for each in facts)
        until = min([now + 3.0, *(each.until for each in facts if each.good)])
        looks.append((now, good, until))
        if not last.open:
            continue
        assert good
        assert last.valid_until <= until
        start = next(i for i in reversed(range(len(looks))) if i == 0 or not _linked(looks, i))
        assert now - looks[start][0] >= open_after


def _linked(looks: list[tuple[float, bool, float]], number: int) -> bool:
    """Return whether a look continues the health of the one before it."""
    (_, before, until), (now, good, _) = looks[number - 1], looks[number]
    return before and good and now < until
