"""Planned windows of time: single ones, or recurring ones by a cron expression.

Local times of day follow their zone's clock over its changes: a time that is left out when the
clock goes forward is meant as long after the change as it would have been after the hour before
(02:30 becomes 03:30), one that comes twice is meant the first time. Lengths are elapsed seconds.
Source: crontab(5) of Debian's cron, read 2025-01-15, for the five fields and their meaning.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import TypeAlias
from zoneinfo import ZoneInfo

_NAMES = {
    name: str(number)
    for names in ("sun mon tue wed thu fri sat", " jan feb mar apr may jun jul aug sep oct nov dec")
    for number, name in enumerate(names.split(" "))
    if name
}
_FIELDS = (
    ("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7),
)  # fmt: skip
_PART = re.compile(r"(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/(\d{1,2}))?")
LONGEST = 7 * 86400.0  # seconds of one window
MOST_UPCOMING = 60  # occurrences of one window that are foreseen


@dataclass(frozen=True, slots=True)
class Cron:
    """When something begins; weekdays from Sunday, 0. ``either``: both kinds of days are given."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    def falls_on(self, day: date) -> bool:
        """Return whether it begins on a day at all."""
        if day.month not in self.months:
            return False
        by_day, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        # Where both are restricted, cron takes either.
        return by_day or by_weekday if self.either else by_day and by_weekday


def cron(text: str) -> Cron:
    """Read ``minute hour day month weekday``. Raises ValueError that says what is wrong."""
    words = text.lower().split()
    if len(words) != len(_FIELDS):
        raise ValueError(f"{len(words)} fields, expected minute hour day month weekday")
    minutes, hours, days, months, weekdays = (
        _field(word, *field) for word, field in zip(words, _FIELDS, strict=True)
    )
    return Cron(
        tuple(sorted(minutes)),
        tuple(sorted(hours)),
        frozenset(days),
        frozenset(months),
        frozenset(day % 7 for day in weekdays),
        either=not words[2].startswith("*") and not words[4].startswith("*"),
    )


def _field(word: str, name: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    named = re.sub(r"[a-z]+", lambda match: _NAMES.get(match[0], match[0]), word)
    for part in named.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"{name} {word!r}, expected *, 5, 1-5, */15 or a list of such")
        first = low if match[1] is None else int(match[1])
        last = int(match[2]) if match[2] else high if match[1] is None or match[3] else first
        step = int(match[3] or 1)
        if not (low <= first <= last <= high and step):
            raise ValueError(f"{name} {word!r}, expected numbers from {low} to {high}, rising")
        found.update(range(first, last + 1, step))
    return found


@dataclass(frozen=True, slots=True)
class Recurring:
    """A window of ``duration`` seconds each time that ``cron`` says, in a zone."""

    cron: Cron
    duration: float
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Once:
    """One window, in epoch seconds; ``end`` is no part of it."""

    start: float
    end: float


CalendarWindow: TypeAlias = Recurring | Once


def end_of(window: CalendarWindow, now: float) -> float | None:
    """Return when the window that is open at ``now`` ends; epoch seconds, None: none is open."""
    if isinstance(window, Once):
        return window.end if window.start <= now < window.end else None
    start = _latest_start(window, now)
    return start + window.duration if start is not None and now < start + window.duration else None


def upcoming(window: CalendarWindow, now: float, until: float) -> Iterator[tuple[float, float]]:
    """Yield begin and end of the windows that begin after ``now`` and before ``until``, in order.

    At most `MOST_UPCOMING` of them. Epoch seconds.
    """
    if isinstance(window, Once):
        if now < window.start < until:
            yield window.start, window.end
        return
    day = datetime.fromtimestamp(now, window.zone).date()
    last = datetime.fromtimestamp(until, window.zone).date()
    found = 0
    while day <= last:
        for start in _starts(window.cron, window.zone, day):
            if now < start < until and found < MOST_UPCOMING:
                found += 1
                yield start, start + window.duration
        day += timedelta(days=1)


def _latest_start(window: Recurring, now: float) -> float | None:
    """Return the last start at or before ``now`` that may still matter."""
    day = datetime.fromtimestamp(now, window.zone).date() + timedelta(days=1)
    # One day more at both ends: around a change of the clock days overlap.
    oldest = datetime.fromtimestamp(now - window.duration, window.zone).date() - timedelta(days=1)
    latest = None
    while day >= oldest:
        starts = _starts(window.cron, window.zone, day)
        if at := bisect_right(starts, now):
            latest = max(latest or 0.0, starts[at - 1])
        day -= timedelta(days=1)
    return latest


@lru_cache(maxsize=4096)
def _starts(when: Cron, zone: ZoneInfo, day: date) -> tuple[float, ...]:
    """Return the starts on one day of the zone's calendar, in epoch seconds, in order of time."""
    if not when.falls_on(day):
        return ()
    return tuple(
        sorted(
            datetime.combine(day, time(hour, minute), zone).astimezone(UTC).timestamp()
            for hour in when.hours
            for minute in when.minutes
        )
    )


def moment(text: str, zone: ZoneInfo) -> float:
    """Read a local date and time, ``2026-12-01T06:00``, as epoch seconds. Raises ValueError."""
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=zone)).timestamp()
