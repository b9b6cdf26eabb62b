"""A report as HTML to print, CSV for a spreadsheet, JSON for a program. Pure."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import msgspec

from exporter.report.availability import DOMAINS, UNKNOWN, Day
from exporter.report.month import MonthReport
from exporter.web.templating import page_template

if TYPE_CHECKING:
    import jinja2

_HERE = Path(__file__).parent
_NOTHING = "–"
_FAULTS = (*DOMAINS, UNKNOWN)
# From which share a day has which colour; the lost minutes stand beside it, for who sees none.
_GRADES = ((0.9995, "good"), (0.99, "fair"), (0.95, "poor"))
_COLUMNS = (
    "exchange", "month", "zone", "usable_ratio", "probe_ratio", "feed_ratio", "book_ratio",
    "gate_ratio", "minutes", "counted_minutes", "unseen_minutes", "maintenance_minutes",
    *(f"lost_{domain}_minutes" for domain in _FAULTS), "outages", "longest_outage_start",
    "longest_outage_minutes", "declared_incidents", "lead_seconds",
)  # fmt: skip


def as_json(report: MonthReport) -> str:
    """Return all of it; times in epoch seconds, shares of one."""
    plain = msgspec.to_builtins(report)
    for row, exchange in zip(plain["exchanges"], report.exchanges, strict=True):
        row["lost_minutes"], row["lead_seconds"] = exchange.lost_minutes, exchange.lead
        row["longest_outage"] = msgspec.to_builtins(exchange.longest)
    return msgspec.json.format(msgspec.json.encode(plain), indent=2).decode() + "\n"


def as_csv(report: MonthReport) -> str:
    """Return a row for each exchange; what is not known is empty."""
    out = io.StringIO()
    writer = csv.DictWriter(out, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for each in report.exchanges:
        longest = each.longest
        writer.writerow(
            {
                # A spreadsheet takes what begins so for a formula.
                "exchange": f"'{each.name}" if each.name[:1] in "=+-@" else each.name,
                "month": report.period.month,
                "zone": report.period.zone,
                "usable_ratio": _exact(each.usable),
                **{f"{part}_ratio": _exact(each.available.get(part)) for part in
                   ("probe", "feed", "book", "gate")},
                "minutes": _exact(each.minutes),
                "counted_minutes": _exact(each.counted),
                "unseen_minutes": _exact(each.unseen),
                "maintenance_minutes": _exact(each.maintenance),
                **{f"lost_{name}_minutes": _exact(each.lost[name]) for name in _FAULTS},
                "outages": len(each.outages),
                "longest_outage_start": "" if longest is None else _iso(longest.start),
                "longest_outage_minutes": "" if longest is None else _exact(longest.minutes),
                "declared_incidents": len(each.incidents),
                "lead_seconds": _exact(each.lead),
            }
        )  # fmt: skip
    return out.getvalue()


def _exact(value: float | None) -> str:
    return "" if value is None else f"{value:.9g}"


def _iso(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds")


def as_html(report: MonthReport, version: str) -> str:
    """Return a page without scripts or anything from elsewhere, made for A4 across."""
    return _template().render(report=report, version=version, faults=_FAULTS)


@cache
def _template() -> jinja2.Template:
    return page_template(
        _HERE / "templates" / "report.html", share, minutes, moment, lead, grade, named, day
    )


def share(value: float | None) -> str:
    """Format a share so that a minute of a month shows: ``99.998 %``; 100 % is all of it."""
    if value is None:
        return _NOTHING
    if value >= 1.0:
        return "100 %"
    # Never rounded up to all: something was lost.
    return f"{min(value * 100.0, 99.999):.3f} %"


def minutes(value: float) -> str:
    """Format minutes: ``0``, ``0.4 min``, ``12 min``, ``3 h 05``, ``2 d 4 h``."""
    if value <= 0.0:
        return "0"
    if value < 9.95:
        return f"{max(value, 0.1):.1f} min"
    whole = round(value)
    if whole < 120:
        return f"{whole} min"
    hours, rest = divmod(whole, 60)
    if hours < 48:
        return f"{hours} h {rest:02d}"
    return f"{hours // 24} d {hours % 24} h"


def moment(time: float, zone: str) -> str:
    """Format a moment by the clock of a zone."""
    return datetime.fromtimestamp(time, ZoneInfo(zone)).strftime("%d %b %Y %H:%M")


def day(time: float, zone: str) -> str:
    """Format a day of the month."""
    return str(datetime.fromtimestamp(time, ZoneInfo(zone)).day)


def named(month: str) -> str:
    """Format a month: ``October 2026``."""
    return datetime.fromisoformat(f"{month}-01").strftime("%B %Y")


def lead(seconds: float | None) -> str:
    """Format by how long we were first; ``late`` where they were."""
    if seconds is None:
        return _NOTHING
    size = abs(seconds)
    text = f"{size:.0f} s" if size < 120.0 else minutes(size / 60.0)
    return text if seconds >= 0.0 else f"{text} late"


def grade(day: Day) -> str:
    """Return how good a day was: good, fair, poor, bad; unseen or maintenance where it was."""
    if day.usable is None:
        return "maintenance" if day.maintenance > day.unseen else "unseen"
    return next((name for least, name in _GRADES if day.usable >= least), "bad")
