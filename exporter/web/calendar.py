"""Maintenance and incidents as a calendar: JSON and iCalendar.

Source: RFC 5545 (sections 3.1 folding, 3.3.5 UTC times, 3.3.11 escaping, 3.6.1 events) and RFC
7986 (NAME, REFRESH-INTERVAL), read 2026-11-30.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256

from exporter.maintenance import NoticeKind

ICALENDAR = "text/calendar; charset=utf-8"
_OCTETS = 75  # of a line of content, without its end
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_SPACE = re.compile(r"[\x00-\x20\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarEntry:
    """One maintenance or incident. Epoch seconds; ``end`` is None where nobody knows it.

    ``lead``: how long before they declared it we knew, for incidents.
    """

    exchange: str
    kind: NoticeKind
    source: str
    title: str
    start: float
    end: float | None = None
    declared: float | None = None
    lead: float | None = None
    url: str = ""
    id: str = ""


def as_json(entries: Sequence[CalendarEntry], now: float) -> dict[str, object]:
    """Return the entries as plain data, each with whether it goes on."""
    return {
        "now": now,
        "entries": [asdict(each) | {"active": each.start <= now} for each in entries],
    }


def as_icalendar(entries: Sequence[CalendarEntry], now: float) -> bytes:
    """Return the entries as one iCalendar object.

    What goes on without a known end ends now: whoever fetches it again sees it grow.
    """
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//exchange-exporter//calendar//EN",
        "CALSCALE:GREGORIAN",
        "NAME:Exchanges",
        "X-WR-CALNAME:Exchanges",
        "REFRESH-INTERVAL;VALUE=DURATION:PT5M",
        *(line for each in entries for line in _event(each, now)),
        "END:VCALENDAR",
    ]
    return "".join(f"{_folded(line)}\r\n" for line in lines).encode()


def _event(entry: CalendarEntry, now: float) -> Iterator[str]:
    end = max(now, entry.start + 60.0) if entry.end is None else max(entry.end, entry.start)
    yield "BEGIN:VEVENT"
    yield f"UID:{_uid(entry)}"
    yield f"DTSTAMP:{_utc(now)}"
    yield f"DTSTART:{_utc(entry.start)}"
    yield f"DTEND:{_utc(end)}"
    yield f"SUMMARY:{_text(f'{entry.exchange}: {entry.title}')}"
    yield f"DESCRIPTION:{_text(_described(entry))}"
    yield f"CATEGORIES:{entry.kind.upper()},{_text(entry.exchange)}"
    yield "STATUS:CONFIRMED"
    # A maintenance must not make its reader busy, an hour of it must not refuse a meeting.
    yield "TRANSP:TRANSPARENT"
    if entry.url:
        yield f"URL:{_SPACE.sub('', entry.url)}"
    yield "END:VEVENT"


def _uid(entry: CalendarEntry) -> str:
    """Return the same name for the same thing, however often it is fetched.

    What has no name of its own is known by its title, and a planned window by its begin.
    """
    own = entry.id or f"{entry.title}/{entry.start if entry.source == 'config' else ''}"
    known = f"{entry.exchange}/{entry.kind}/{entry.source}/{own}"
    return f"{sha256(known.encode()).hexdigest()[:32]}@exchange-exporter"


def _described(entry: CalendarEntry) -> str:
    words = {"venue": "The exchange", "status_page": "Its status page", "config": "Our calendar"}
    lines = [f"{words.get(entry.source, entry.source)} says so."]
    if entry.declared is not None:
        lines.append(f"Known since {datetime.fromtimestamp(entry.declared, UTC):%Y-%m-%d %H:%MZ}.")
    if entry.end is None:
        lines.append("No end is known.")
    if entry.lead is not None:
        order = "before" if entry.lead >= 0 else "after"
        lines.append(f"This exporter knew {abs(entry.lead):.0f} s {order} it was declared.")
    return "\n".join(lines)


def _utc(time: float) -> str:
    return datetime.fromtimestamp(int(time), UTC).strftime("%Y%m%dT%H%M%SZ")


def _text(value: str) -> str:
    """Escape a value of type TEXT; controls but the line feed may not be in it."""
    clean = _CONTROL.sub(" ", value.replace("\r\n", "\n"))
    return re.sub(r"([\\;,])", r"\\\1", clean).replace("\n", "\\n")


def _folded(line: str) -> str:
    """Fold a line after at most 75 octets, never within a character."""
    parts, part, size = list[str](), "", 0
    for character in line:
        octets = len(character.encode())
        if size + octets > _OCTETS:
            parts.append(part)
            part, size = " ", 1
        part, size = part + character, size + octets
    return "\r\n".join([*parts, part])
