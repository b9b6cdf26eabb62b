"""The calendar is read by a library that nobody here wrote, and says what was put in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import icalendar
from hypothesis import given
from hypothesis import strategies as st

from exporter.maintenance import NoticeKind
from exporter.web.calendar import CalendarEntry, as_icalendar, as_json

NOW = 1_800_000_000.0
UPGRADE = CalendarEntry(
    exchange="kraken",
    kind=NoticeKind.MAINTENANCE,
    source="status_page",
    title="Matching engine; upgrade, part 2\\3\nBring patience",
    start=NOW + 3600.0,
    end=NOW + 7200.0,
    declared=NOW - 86400.0,
    url="https://stspg.io/x",
    id="abc",
)
OUTAGE = CalendarEntry(
    exchange="okx", kind=NoticeKind.INCIDENT, source="venue", title="Orders are late",
    start=NOW - 600.0, declared=NOW - 300.0, lead=250.0,
)  # fmt: skip


def _events(*entries: CalendarEntry) -> list[icalendar.Event]:
    body = as_icalendar(entries, NOW)
    assert all(len(line) <= 75 for line in body.split(b"\r\n"))
    assert b"\n" not in body.replace(b"\r\n", b"")
    found = icalendar.Calendar.from_ical(body)
    assert found["VERSION"] == "2.0"
    assert found.errors == []
    events = [each for each in found.walk("VEVENT") if isinstance(each, icalendar.Event)]
    assert all(each.errors == [] for each in events)
    return events


def test_a_calendar_of_others_reads_what_we_mean() -> None:
    """Times are UTC, commas, semicolons, backslashes and line feeds come back as they were."""
    planned, outage = _events(UPGRADE, OUTAGE)
    assert planned.start == datetime.fromtimestamp(NOW + 3600.0, UTC)
    assert planned.end - planned.start == timedelta(hours=1)
    assert planned["SUMMARY"] == f"kraken: {UPGRADE.title}"
    assert planned["URL"] == "https://stspg.io/x"
    assert planned.categories == ["MAINTENANCE", "kraken"]
    assert planned["TRANSP"] == "TRANSPARENT"
    assert outage.end == datetime.fromtimestamp(NOW, UTC)  # it goes on
    assert "No end is known." in str(outage["DESCRIPTION"])
    assert "knew 250 s before it was declared" in str(outage["DESCRIPTION"])


def test_the_same_thing_keeps_its_name() -> None:
    """Fetched again, an event moves in people's calendars; it does not come twice."""
    (first,) = _events(UPGRADE)
    (moved,) = _events(replace(UPGRADE, start=NOW + 9000.0, title="x"))
    (other,) = _events(replace(UPGRADE, id="abd"))
    assert first["UID"] == moved["UID"] != other["UID"]
    window = replace(UPGRADE, id="", source="config", title="Planned maintenance")
    (today,), (tomorrow,) = (_events(replace(window, start=NOW + day)) for day in (0.0, 86400.0))
    assert today["UID"] != tomorrow["UID"]


@given(title=st.text(max_size=300), url=st.text(max_size=100))
def test_no_title_breaks_the_calendar(title: str, url: str) -> None:
    """Titles are text of strangers: whatever it is, there is one event, and no line of theirs."""
    entry = replace(UPGRADE, title=title, url=url)
    body = as_icalendar([entry], NOW)
    assert body.count(b"\r\nBEGIN:") == 1
    assert len(icalendar.Calendar.from_ical(body).walk("VEVENT")) == 1


def test_as_plain_data() -> None:
    """JSON says what goes on now and what is to come."""
    found = as_json([OUTAGE, UPGRADE], NOW)
    rows = found["entries"]
    assert isinstance(rows, list)
    assert [(row["title"], row["active"]) for row in rows] == [
        ("Orders are late", True), (UPGRADE.title, False)
    ]  # fmt: skip
    assert rows[0]["lead"] == 250.0
    assert rows[0]["end"] is None
