"""What a month was like, from what is known of each step: cases worked out by hand, and edges."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from exporter.report import rendering
from exporter.report.availability import ExchangeReport, Known, OutageSpan, judge
from exporter.report.month import GateReport, MonthReport, Period, period_of
from exporter.report.samples import AnswerError, Steps, collect, query
from exporter.signals import Floats

NAN = float("nan")
COUNT = 10


def steps(count: int = COUNT) -> Steps:
    return Steps(start=1_800_000_000.0, length=60.0, count=count)


def known(**more: list[float]) -> Known:
    """Return what is known of ten steps: parts, maintenance, declared, lead, domains by name."""
    found = {name: np.array(values, dtype=np.float64) for name, values in more.items()}
    nothing = np.full(COUNT, NAN)
    return Known(
        parts={name: found[name] for name in ("probe", "feed", "book") if name in found},
        maintenance=found.get("maintenance", nothing),
        domains={name: found.get(name, nothing) for name in ("exchange", "path", "self")},
        declared=found.get("declared", nothing),
        lead=found.get("lead", nothing),
    )


def of(**more: list[float]) -> ExchangeReport:
    day = (steps().start, steps().start + 600.0)
    return judge("a", known(**more), steps(), [day])


UP, GONE = [1.0] * COUNT, [NAN] * COUNT


def test_the_worst_part_counts_and_none_twice() -> None:
    """Probes and books that fail together lose a minute once; a part that is unknown loses none."""
    found = of(probe=[0.5, *UP[1:]], book=[0.25, *UP[1:]], feed=GONE)
    assert found.lost_minutes == 0.75
    assert found.available == {"probe": 0.95, "book": 0.925, "feed": None}
    assert found.usable == 0.925


def test_no_data_is_not_down_and_not_up() -> None:
    """Of six minutes that were seen one was lost; the other four are in no share."""
    found = of(probe=[0.0, 1, 1, 1, 1, 1, NAN, NAN, NAN, NAN])
    assert (found.counted, found.unseen) == (6.0, 4.0)
    assert found.usable == pytest.approx(5 / 6)
    nothing = of(probe=GONE)
    assert (nothing.usable, nothing.available, nothing.unseen) == (None, {"probe": None}, 10.0)
    assert nothing.first_seen is None


def test_an_outage_ends_where_nothing_is_seen() -> None:
    """Two minutes, a gap and three minutes are two outages: nobody knows of the time between."""
    found = of(probe=[0, 0, NAN, 0, 0, 0, 1, 1, 1, 1])
    assert [each.minutes for each in found.outages] == [2.0, 3.0]
    assert found.longest is not None
    assert found.longest.start == steps().start + 180.0


def test_maintenance_is_apart_even_where_nothing_is_probed() -> None:
    """Probes may pause in it: those minutes are maintenance, neither lost nor unseen."""
    found = of(probe=[NAN, NAN, 0, *UP[3:]], maintenance=[1, 1, 1, *[0.0] * 7])
    assert (found.maintenance, found.unseen, found.lost_minutes) == (3.0, 0.0, 0.0)
    assert found.outages == ()


def test_a_minute_of_two_faults_is_divided() -> None:
    """Path for a quarter of the minute and the exchange for the rest of what was blamed."""
    found = of(probe=[0.0, *UP[1:]], exchange=[0.75, *[0.0] * 9], path=[0.25, *[0.0] * 9])
    assert found.lost == {"exchange": 0.75, "path": 0.25, "self": 0.0, "unknown": 0.0}


def test_leads_belong_to_what_was_declared() -> None:
    """Each change of the lead within an incident is its own; what stood before the month has none.

    A gap in what we know does not end an incident that stands after it.
    """
    found = of(
        probe=UP,
        declared=[1, 0, 0, 1, NAN, 1, 0, 1, 0, 0],
        lead=[50, 50, 50, 50, NAN, 200, 200, 200, 200, 200],
    )
    assert [(each.minutes, each.lead) for each in found.incidents] == [
        (1.0, None), (3.0, 200.0), (1.0, None)
    ]  # fmt: skip
    assert found.lead == 200.0


@given(
    probe=arrays(np.float64, COUNT, elements=st.one_of(st.just(NAN), st.floats(0, 1))),
    feed=arrays(np.float64, COUNT, elements=st.one_of(st.just(NAN), st.floats(0, 1))),
    maintenance=arrays(np.float64, COUNT, elements=st.sampled_from((NAN, 0.0, 1.0))),
    domain=arrays(np.float64, COUNT, elements=st.sampled_from((NAN, 0.0, 0.5, 1.0))),
)
def test_every_minute_is_in_one_account(
    probe: Floats, feed: Floats, maintenance: Floats, domain: Floats
) -> None:
    """Counted, unseen and maintenance make the month; what is lost is no more than counts."""
    found = of(
        probe=list(probe), feed=list(feed), maintenance=list(maintenance), exchange=list(domain)
    )
    assert found.counted + found.unseen + found.maintenance == found.minutes == 10.0
    assert 0.0 <= found.lost_minutes <= found.counted + 1e-9
    if found.usable is not None:
        assert found.lost_minutes == pytest.approx(found.counted * (1.0 - found.usable), abs=1e-9)
    assert sum(each.lost for each in found.days) == pytest.approx(found.lost_minutes)


def test_the_month_follows_the_clock_of_its_zone() -> None:
    """October has a day of 25 hours in Berlin; a month that goes on ends at the last minute."""
    later = datetime(2027, 1, 1, tzinfo=UTC).timestamp()
    berlin = period_of("2026-10", "Europe/Berlin", later)
    assert [end - start for start, end in berlin.days].count(25 * 3600.0) == 1
    assert (berlin.end - berlin.start, berlin.whole) == (31 * 86400.0 + 3600.0, True)
    now = datetime(2026, 10, 2, 12, 0, 30, tzinfo=UTC).timestamp()
    so_far = period_of("2026-10", "UTC", now)
    assert (len(so_far.days), so_far.end, so_far.whole) == (2, now - 30.0, False)


def test_queries_have_the_matchers_of_the_user() -> None:
    """They stand in every selector, beside those that are there."""
    assert 'exchange_probe_success{site="x"}[59999ms]' in query("probe", steps(), 'site="x"')
    assert '{site="x",state="live"}[59999ms]' in query("feed", steps(), 'site="x"')
    assert "exchange_probe_success[59999ms]" in query("probe", steps())
    assert '{state="live"}[59999ms]' in query("feed", steps())


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        None,
        {"status": "error", "error": "x"},
        {"status": "success", "data": {"resultType": "vector", "result": []}},
        {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}}]}},
        {"status": "success", "data": {"resultType": "matrix", "result": [
            {"metric": {}, "values": [["a", "b"]]}]}},
    ],
)  # fmt: skip
def test_what_is_no_answer_is_said_so(answer: object) -> None:
    """Whatever stands at the address: one line, no traceback."""
    with pytest.raises(AnswerError):
        collect({}, answer, ("exchange",), steps())


def month_of(name: str) -> MonthReport:
    day = (1_790_812_800.0, 1_790_899_200.0)
    one = ExchangeReport(
        name=name, available={"probe": 0.999_999, "feed": None}, usable=0.999_999, minutes=1440.0,
        counted=1440.0, unseen=0.0, maintenance=0.0,
        lost={"exchange": 0.25, "path": 0.0, "self": 0.0, "unknown": 0.0},
        outages=(OutageSpan(start=day[0], minutes=1.0, domain="self", declared=False),),
    )  # fmt: skip
    gate = GateReport(name=name, exchanges=(name,), open=None, closed_minutes=0.0, unseen=1.0)
    return MonthReport(
        period=Period(month="2026-10", zone="UTC", days=(day,), whole=True),
        step=60.0, made=day[1], exchanges=(one,), gates=(gate,),
    )  # fmt: skip


def test_names_are_text_in_every_format() -> None:
    """A name is neither markup nor a spreadsheet's formula, and a minute lost is never 100 %."""
    page = rendering.as_html(month_of("<b>=1+1"), "1")
    assert "<b>=1" not in page
    assert "&lt;b&gt;=1+1" in page
    assert "99.999 %" in page
    assert "100 %" not in page.partition("</style>")[2]
    (row,) = csv.DictReader(io.StringIO(rendering.as_csv(month_of("=1+1"))))
    assert row["exchange"] == "'=1+1"
    assert (row["usable_ratio"], row["feed_ratio"]) == ("0.999999", "")
    assert '"lead_seconds": null' in rendering.as_json(month_of("a"))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.01, "0.1 min"), (9.94, "9.9 min"), (9.95, "10 min"), (119.4, "119 min"),
     (125.0, "2 h 05"), (2880.0, "2 d 0 h")],
)  # fmt: skip
def test_minutes_are_read_at_a_glance(value: float, text: str) -> None:
    """Nothing that was lost looks like nothing."""
    assert rendering.minutes(value) == text
