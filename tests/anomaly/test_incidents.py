"""Incidents: opened once, closed once, never by a gap, and told in words with units."""

from collections.abc import Mapping
from itertools import chain, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.anomaly.incidents import ROWS, VERDICTS, IncidentRule, IncidentTracker, fade
from exporter.anomaly.incidents.machine import QUIET, IncidentStage, IncidentState, step
from exporter.anomaly.incidents.wording import quantity, sentence, span
from exporter.signals import Change, Evidence, Floats, Series, Severity, Signal, Verdict

RULE = IncidentRule()
OPEN, CALM, BETWEEN, GRAVE = 1.1, 0.1, 0.8, 2.0
_score = st.none() | st.sampled_from([CALM, BETWEEN, OPEN, GRAVE]) | st.floats(0.0, 3.0)
_ticks = st.lists(st.tuples(_score, st.floats(0.1, 400.0)), max_size=60)
LATENCY = Signal(name="lat", title="probe latency", unit="s", effect=0.05, resolution=0.001)


def _walk(
    ticks: list[tuple[float | None, float]], rule: IncidentRule = RULE
) -> list[tuple[float, Change]]:
    state, now, said = QUIET, 0.0, list[tuple[float, Change]]()
    for score, wait in ticks:
        now += wait
        state, change = step(state, score, score or 0.0, now, rule)
        said += [(now, change)] if change else []
    return said


@given(_ticks)
def test_what_is_told_alternates(ticks: list[tuple[float | None, float]]) -> None:
    """An incident opens, may worsen once, and ends once; nothing ends that did not begin."""
    said = [change for _, change in _walk(ticks)]
    ends = (Change.CLOSED, Change.LOST)
    assert said[:1] in ([], [Change.OPENED])
    for before, after in pairwise(said):
        if before is Change.OPENED:
            assert after in (Change.WORSENED, *ends)
        elif before is Change.WORSENED:
            assert after in ends
        else:
            assert after is Change.OPENED


@given(_ticks)
def test_no_incident_opens_without_a_breach_that_lasted(
    ticks: list[tuple[float | None, float]],
) -> None:
    """A single value, however extreme, pages nobody: there are two, at least ``hold`` apart.

    Within the cooldown of another an incident is told later: when it is critical, by its score or
    by how long it has lasted.
    """
    now, breaches = 0.0, list[float]()
    rule = IncidentRule(cooldown=0.0)
    times = {time for time, change in _walk(ticks, rule) if change is Change.OPENED}
    for score, wait in ticks:
        now += wait
        if score is not None and score < RULE.close:
            breaches.clear()
        if score is not None and score >= RULE.open:
            breaches.append(now)
        if now in times:
            assert breaches
            assert breaches[-1] == now
            assert now - breaches[0] >= RULE.hold


@given(_ticks)
def test_no_incident_closes_before_calm_has_lasted(ticks: list[tuple[float | None, float]]) -> None:
    """From the last score at or over the lower threshold, ``clear`` seconds must pass."""
    now, last = 0.0, 0.0
    times = {time for time, change in _walk(ticks) if change is Change.CLOSED}
    for score, wait in ticks:
        now += wait
        if now in times:
            assert now - last >= RULE.clear
        if score is not None and score >= RULE.close:
            last = now


@given(_ticks)
def test_warnings_within_the_cooldown_are_one_incident(
    ticks: list[tuple[float | None, float]],
) -> None:
    """Who was just told that it ended is told again only of something critical."""
    mild = [(None if s is None else min(s, RULE.critical - 0.01), wait) for s, wait in ticks]
    rule = IncidentRule(critical_after=float("inf"))
    said = _walk(mild, rule)
    for (ended, before), (opened, after) in pairwise(said):
        if before is not Change.OPENED and after is Change.OPENED:
            assert opened - ended >= rule.cooldown


@given(_ticks, st.lists(st.floats(0.1, 5.0), max_size=60))
def test_short_gaps_change_nothing(
    ticks: list[tuple[float | None, float]], cuts: list[float]
) -> None:
    """A tick without a value is not calm, and no reason to end anything."""
    full = [(score, wait) for score, wait in ticks if score is not None]
    holed = list[tuple[float | None, float]]()
    for (score, wait), cut in zip(full, [*cuts, *[1.0] * len(full)], strict=False):
        part = min(cut, wait)
        holed += [(None, part), (score, wait - part)]
    patient = IncidentRule(lost=float("inf"))
    plain = _walk(list(full), patient)
    gapped = _walk(holed, patient)
    assert [change for _, change in gapped] == [change for _, change in plain]


def test_the_life_of_an_incident() -> None:
    """Held, opened, critical by duration, calm for long enough, closed."""
    ticks: list[tuple[float | None, float]] = [(CALM, 1.0), (OPEN, 1.0), (OPEN, 1.0), (OPEN, 1.0)]
    assert _walk(ticks) == [(4.0, Change.OPENED)]
    ticks += [(BETWEEN, 300.0), (BETWEEN, 300.0)]
    assert _walk(ticks)[1:] == [(604.0, Change.WORSENED)]
    ticks += [(CALM, 1.0), (CALM, 59.0), (CALM, 1.0)]
    assert _walk(ticks)[2:] == [(665.0, Change.CLOSED)]


def test_an_incident_no_longer_measured_is_closed_as_lost() -> None:
    """Nothing fires for ever because its exchange left the config or fell silent."""
    ticks: list[tuple[float | None, float]] = [(OPEN, 1.0), (OPEN, 2.0), (None, 500.0)]
    assert _walk(ticks) == [(3.0, Change.OPENED)]
    assert _walk([*ticks, (None, 100.0)])[1:] == [(603.0, Change.LOST)]


def test_a_grave_breach_is_critical_at_once() -> None:
    """Severity comes from the score, or from the duration."""
    state = IncidentState(stage=IncidentStage.PENDING, since=0.0, breached=0.0)
    after, change = step(state, GRAVE, GRAVE, 5.0, RULE)
    assert change is Change.OPENED
    assert after.severity is Severity.CRITICAL
    after, change = step(state, OPEN, OPEN, 5.0, RULE)
    assert after.severity is Severity.WARNING


@given(
    st.lists(st.floats(0.0, 3.0), min_size=1, max_size=50),
)
def test_news_never_exceeds_the_score_and_a_record_is_all_news(scores: list[float]) -> None:
    """Damping takes away from repetitions only."""
    peaks, highest = np.zeros(1), 0.0
    for score in scores:
        news, peaks = fade(np.array([score]), peaks, 200.0)
        assert 0.0 <= news[0] <= score
        if score >= highest:
            assert news[0] == score
        highest = max(highest, score)


def _judge(rule: IncidentRule = RULE) -> IncidentTracker:
    return IncidentTracker([Series("acme", "lat"), Series("bolt", "lat")], [LATENCY], rule)


def _explain(row: int) -> tuple[Floats, Mapping[str, float]]:
    return np.array([0.0, 0.042, 0.061]), {"ensemble": 1.3, "zscore": 4.0, "iqr": 0.2}


def _feed(judge: IncidentTracker, scores: list[float], start: float = 0.0) -> list[Verdict]:
    verdicts = list[Verdict]()
    for i, score in enumerate(scores):
        steps = judge.steps(
            np.array([0.412, 0.04]),
            np.array([score, 0.0]),
            np.array([True, True]),
            now=start + i,
            wall=1e9 + start + i,
            explain=_explain,
        )
        verdicts += chain.from_iterable(steps)
    return verdicts


def test_a_verdict_carries_its_evidence_and_a_sentence() -> None:
    """Who is woken learns what, how much, how unusual, since when, and who says so."""
    verdict = _feed(_judge(), [0.0, 1.3, 1.3, 1.3])[0]
    assert verdict == Verdict(
        series=Series("acme", "lat"),
        change=Change.OPENED,
        severity=Severity.WARNING,
        time=1e9 + 3.0,
        since=1e9 + 1.0,
        evidence=Evidence(
            value=0.412,
            center=0.042,
            lower=0.0,
            upper=0.061,
            score=1.3,
            detectors={"ensemble": 1.3, "zscore": 4.0},
        ),
        sentence=("acme: probe latency is 412 ms, usually 42 ms and at most 61 ms, for 2 s"),
    )


def test_open_incidents_are_listed() -> None:
    """The page and the pusher see what is under way."""
    judge = _judge()
    _feed(judge, [0.0, 1.3, 1.3, 1.3])
    assert [series.exchange for series in judge.incidents()] == ["acme"]


def test_a_restart_tells_nobody_twice() -> None:
    """Incidents under way survive as bytes, across a clock that begins anew."""
    first, second = _judge(), _judge()
    assert len(_feed(first, [1.3] * 10)) == 1
    second.restore(first.dump(now=9.0), now=1009.0)
    said = _feed(second, [1.3] * 10 + [0.0] * 70, start=1010.0)
    assert [verdict.change for verdict in said] == [Change.CLOSED]
    assert said[0].since == pytest.approx(1e9 + 1000.0)


def test_a_reload_keeps_incidents_by_series() -> None:
    """Rows move, incidents stay with their series."""
    judge = _judge()
    _feed(judge, [1.3] * 5)
    judge.keep([Series("new", "lat"), Series("acme", "lat")])
    assert judge.incidents().keys() == {Series("acme", "lat")}


@pytest.mark.parametrize("blob", [b"", b"[]", b'{"version": 0}', b'{"version": 1, "rows": [{}]}'])
def test_unreadable_states_are_refused(blob: bytes) -> None:
    """Old or torn bytes change nothing."""
    judge = _judge()
    _feed(judge, [1.3] * 5)
    with pytest.raises(ValueError, match="incident state"):
        judge.restore(blob, now=0.0)
    assert len(judge.incidents()) == 1


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.0421, "s", "42.1 ms"),
        (0.0, "s", "0 s"),
        (-2.5, "s", "-2.5 s"),
        (0.000031, "s", "31 µs"),
        (0.125, "ratio", "12.5 %"),
        (12345.6, "1/s", "12,346/s"),
        (0.1, "1/s", "0.1/s"),
        (5.5e-7, "1/s", "0/s"),
        (3.0, "", "3"),
    ],
)
def test_numbers_come_with_the_unit_a_person_would_use(
    value: float, unit: str, expected: str
) -> None:
    """Nobody reads 0.0421 s at night."""
    assert quantity(value, unit) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.0, "0 s"), (59.4, "59 s"), (60.0, "1 min"), (3725.0, "1 h 2 min"), (90000.0, "1 d 1 h")],
)
def test_durations_are_rounded_to_two_units(seconds: float, expected: str) -> None:
    """An incident's age at a glance."""
    assert span(seconds) == expected


def test_the_end_and_the_loss_are_told_too() -> None:
    """Every change has its words, also for a signal without a title."""
    evidence = Evidence(
        value=0.04, center=float("nan"), lower=0.0, upper=1.0, score=0.0, detectors={}
    )
    series = Series("acme", "lat_x")
    assert (
        sentence(series, LATENCY, Change.CLOSED, evidence, 61.0)
        == "acme: probe latency is back at 40 ms after 1 min 1 s"
    )
    assert (
        sentence(series, None, Change.LOST, evidence, 5.0)
        == "acme: lat x is no longer measured, 5 s after it began"
    )
    assert (
        sentence(series, None, Change.WORSENED, evidence, 5.0)
        == "acme: lat x is still 0.04, for 5 s"
    )


@pytest.mark.parametrize(
    ("aspect", "apart", "once", "said"),
    [
        ("level", 0.37, 1e6, "370 ms above usual, expected once in about 12 days"),
        ("jump", -0.02, 7200.0, "a jump down by 20 ms, expected once in about 2 hours"),
        (
            "shift",
            0.1,
            1e5,
            "the mean of the last values is 100 ms above usual, expected once in about 1 day",
        ),
        (
            "season",
            -0.1,
            1e9,
            "100 ms below what is usual at this hour, expected less than once in a year",
        ),
    ],
)
def test_a_sentence_names_what_is_off_by_how_much_and_how_rare_that_is(
    aspect: str, apart: float, once: float, said: str
) -> None:
    """In words and units, without a score that one would have to look up."""
    evidence = Evidence(
        value=0.412,
        center=0.042,
        lower=0.0,
        upper=0.061,
        score=1.3,
        detectors={"ensemble": 1.3},
        aspect=aspect,
        apart=apart,
        once=once,
    )
    assert sentence(Series("acme", "lat"), LATENCY, Change.OPENED, evidence, 2.0) == (
        f"acme: probe latency is 412 ms, usually 42 ms and at most 61 ms; {said}, for 2 s"
    )


def test_a_bad_day_is_judged_and_kept_in_bites() -> None:
    """When every series has an incident at once, a bite holds some verdicts, not thousands."""
    n = 2 * ROWS + 1
    judge = IncidentTracker(
        [Series(f"x{i}", "lat") for i in range(n)], [LATENCY], IncidentRule(hold=1.0)
    )
    high, measured = np.full(n, 1.3), np.ones(n, dtype=np.bool_)
    list(judge.steps(high, high, measured, 0.0, 1e9, _explain))
    bites = list(judge.steps(high, high, measured, 2.0, 1e9 + 2.0, _explain))
    assert sum(map(len, bites)) == n
    assert max(map(len, bites)) == VERDICTS
    pieces = list(judge.pieces(2.0))
    assert max(piece.count(b"\n") for piece in pieces) == ROWS
    again = IncidentTracker(judge.series, [LATENCY], judge.rule)
    again.restore(b"".join(pieces), 2.0)
    assert again.incidents() == judge.incidents()
