"""Windows open and close when the calendar of their zone says, whatever its clock does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config.calendar import (
    MOST_UPCOMING,
    Cron,
    Once,
    Recurring,
    cron,
    end_of,
    moment,
    upcoming,
)

# Both kinds of changes, by an hour and by half of one, on both sides of the world; and none.
ZONES = [
    ZoneInfo(name)
    for name in ("UTC", "Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Tokyo")
]
# Around each change of 2026 in these zones, and anywhere else.
CHANGES = [
    datetime(2026, *day, tzinfo=UTC)
    for day in ((3, 8), (3, 29), (4, 4), (10, 3), (10, 25), (11, 1), (7, 1))
]
FIELDS = st.tuples(
    st.sampled_from(("0", "30", "*/15", "5,50")),
    st.sampled_from(("*", "1", "1-3", "*/6", "23", "0,12")),
    st.sampled_from(("*", "1", "25", "*/2", "28-31")),
    st.sampled_from(("*", "3,4,10,11", "jul")),
    st.sampled_from(("*", "sun", "mon-fri", "0", "7", "6-7")),
).map(" ".join)


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def matches(when: Cron, local: datetime) -> bool:
    return local.minute in when.minutes and local.hour in when.hours and when.falls_on(local.date())


def starts_by_hand(when: Cron, zone: ZoneInfo, since: datetime, until: datetime) -> set[float]:
    """Look at the wall clock of the zone in every minute; and at those that it leaves out."""
    found = set()
    minute = since
    while minute <= until:
        local = minute.astimezone(zone)
        before = (minute - timedelta(minutes=1)).astimezone(zone)
        if matches(when, local) and not local.fold:
            found.add(minute.timestamp())
        skipped = local.replace(tzinfo=None) - before.replace(tzinfo=None) - timedelta(minutes=1)
        for left_out in range(int(skipped.total_seconds()) // 60):
            missing = before.replace(tzinfo=None) + timedelta(minutes=1 + left_out)
            if matches(when, missing):
                found.add((minute + timedelta(minutes=left_out)).timestamp())
        minute += timedelta(minutes=1)
    return found


@settings(max_examples=60, deadline=None)
@given(
    text=FIELDS,
    zone=st.sampled_from(ZONES),
    change=st.sampled_from(CHANGES),
    minutes=st.integers(-1440, 2880),
    duration=st.integers(1, 2000),
)
def test_open_exactly_when_the_wall_clock_says(
    text: str, zone: ZoneInfo, change: datetime, minutes: int, duration: int
) -> None:
    """A window is open if it began within its length, and ends that length after the last start."""
    when, now = cron(text), change + timedelta(minutes=minutes, seconds=1)
    earliest = change + timedelta(minutes=minutes - duration)
    begun = {
        start
        for start in starts_by_hand(when, zone, earliest - timedelta(minutes=1), now)
        if start <= now.timestamp() < start + duration * 60.0
    }
    wanted = max(begun) + duration * 60.0 if begun else None
    assert end_of(Recurring(when, duration * 60.0, zone), now.timestamp()) == wanted


@pytest.mark.parametrize(
    ("zone", "text", "begins"),
    [
        ("Europe/London", "30 1 * * *", "2026-03-29T01:30+00:00"),  # left out: meant as 02:30 BST
        ("Europe/London", "30 1 * * *", "2026-10-25T00:30+00:00"),  # twice: the first one
        ("Europe/London", "30 2 * * *", "2026-10-25T02:30+00:00"),
        ("Asia/Tokyo", "0 6 * * tue", "2026-11-23T21:00+00:00"),
        ("Australia/Lord_Howe", "15 2 * * sun", "2026-10-03T15:45+00:00"),  # left out: half an hour
    ],
)
def test_changes_of_the_clock(zone: str, text: str, begins: str) -> None:
    """Each window begins once, to the second."""
    window, begin = Recurring(cron(text), 600.0, ZoneInfo(zone)), at(begins)
    assert end_of(window, begin - 1.0) is None
    assert end_of(window, begin) == begin + 600.0
    assert end_of(window, begin + 599.0) == begin + 600.0
    assert end_of(window, begin + 600.0) is None
    assert end_of(window, begin + 3600.0) is None


def test_once() -> None:
    """It is open from its start until just before its end."""
    zone = ZoneInfo("Europe/London")
    window = Once(moment("2026-06-01T06:00", zone), moment("2026-06-01T08:00", zone))
    assert window.start == at("2026-06-01T05:00+00:00")
    times = [window.start - 1.0, window.start, window.end - 1.0, window.end]
    assert [end_of(window, now) for now in times] == [None, window.end, window.end, None]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("0 6 * *", "4 fields"),
        ("60 6 * * *", "minute '60'"),
        ("0 24 * * *", "hour '24'"),
        ("0 0 0 * *", "day '0'"),
        ("0 0 * 13 *", "month '13'"),
        ("0 0 * * 8", "weekday '8'"),
        ("0 0 * * tuesday", "weekday 'tuesday'"),
        ("5-1 0 * * *", "minute '5-1'"),
        ("*/0 0 * * *", "minute '\\*/0'"),
        (", 0 * * *", "minute ','"),
        ("@ 0 * * *", "minute '@'"),
    ],
)
def test_mistakes_are_named(text: str, complaint: str) -> None:
    """What cannot be read is refused, by the field that is wrong."""
    with pytest.raises(ValueError, match=complaint):
        cron(text)


def test_days_of_both_kinds_are_either() -> None:
    """As cron has it: the 13th and every Friday, not Friday the 13th; with a star both must fit."""
    either, both = cron("0 0 13 * fri"), cron("0 0 13 * *")
    friday, thirteenth = datetime(2026, 2, 6).date(), datetime(2026, 1, 13).date()  # noqa: DTZ001
    assert (either.falls_on(friday), either.falls_on(thirteenth)) == (True, True)
    assert (both.falls_on(friday), both.falls_on(thirteenth)) == (False, True)


def test_what_is_to_come_is_foreseen() -> None:
    """Begins after now and before the end of the look ahead, over a change of the clock too."""
    zone = ZoneInfo("Europe/Berlin")
    nightly = Recurring(cron("30 2 * * *"), 3600.0, zone)
    begin = datetime(2026, 3, 28, 0, 0, tzinfo=zone).timestamp()
    found = [
        datetime.fromtimestamp(start, zone).strftime("%d %H:%M")
        for start, end in upcoming(nightly, begin, begin + 3 * 86400.0)
        if end - start == 3600.0
    ]
    assert found == ["28 02:30", "29 03:30", "30 02:30"]
    once = Once(begin + 10.0, begin + 20.0)
    assert list(upcoming(once, begin, begin + 11.0)) == [(begin + 10.0, begin + 20.0)]
    assert list(upcoming(once, begin + 10.0, begin + 99.0)) == []
    assert list(upcoming(once, begin, begin + 10.0)) == []
    each_minute = Recurring(cron("* * * * *"), 60.0, zone)
    assert len(list(upcoming(each_minute, begin, begin + 86400.0))) == MOST_UPCOMING
