"""Maintenance windows as venues list them with their states: what goes on, what is to come.

Source: Bybit v5, "Get System Status" and "Enums Definitions"; OKX v5, "Get status" as the
documentation of the crate rust-okx 0.6.4 gives it; both read 2026-11-30.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from exporter.decoding import seconds
from exporter.maintenance import Maintenance, Notice, NoticeKind


class Window(Struct, kw_only=True):
    """One window; times in milliseconds as text, empty or "0" where unknown."""

    state: str
    title: str | None = None
    begin: str | None = None
    end: str | None = None


def summed_up(windows: Iterable[tuple[Window, bool]]) -> Maintenance:
    """Return what the windows that concern us come to; each with whether it is an incident.

    An incident that goes on is what pages are for. States that are not known say nothing: a new
    one may not silence anything. Before OKX opens again it takes cancels and post-only orders,
    ``pre_open``: that is still the maintenance. Raises ParseError for a time that is none.
    """
    found = list(windows)
    on = [(each, bad) for each, bad in found if each.state in ("ongoing", "pre_open")]
    ours = [each for each, bad in on if not bad]
    begins = [_time(each.begin) for each, _ in found if each.state == "scheduled"]
    return Maintenance(
        active=bool(ours),
        end=max((end for each in ours if (end := _time(each.end))), default=None),
        title="; ".join(each.title or "?" for each in ours)[:200],
        start=min((begin for begin in begins if begin), default=None),
        incident="; ".join(each.title or "?" for each, bad in on if bad)[:200],
        notices=tuple(
            Notice(
                kind=NoticeKind.INCIDENT if bad else NoticeKind.MAINTENANCE,
                title=(each.title or "?")[:200],
                start=_time(each.begin),
                end=_time(each.end),
            )
            for each, bad in found
            if each.state in ("ongoing", "pre_open", "scheduled")
        ),
    )


def _time(millis: str | None) -> float | None:
    return None if millis in (None, "", "0") else seconds(millis, 1e3)
