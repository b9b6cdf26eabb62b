"""Renders the status page: one template and one script that refreshes it; nothing external."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.web.problems import by_gravity, problems
from exporter.web.reasons import in_words
from exporter.web.state import Health, Snapshot, TimelineSpan
from exporter.web.templating import page_template

if TYPE_CHECKING:
    import jinja2

_HERE = Path(__file__).parent
_NOTHING = "–"


def static_files() -> Mapping[str, tuple[str, bytes]]:
    """Return the files that the page loads: path → content type and content."""
    style, script = (
        (_HERE / "templates" / name).read_bytes() for name in ("style.css", "refresh.js")
    )
    return {
        "/static/style.css": ("text/css; charset=utf-8", style),
        "/static/refresh.js": ("text/javascript; charset=utf-8", script),
    }


def render(snapshot: Snapshot, refresh: int = 5, failures: Sequence[FailureLine] = ()) -> str:
    """Return the page's HTML; browsers reload it after ``refresh`` seconds.

    For a snapshot that `of_one` made it is the page of that exchange, with its last ``failures``,
    the newest first.
    """
    return _template().render(
        page=snapshot,
        refresh=refresh,
        verdict=verdict(snapshot),
        problems=problems(snapshot),
        exchanges=by_gravity(snapshot),
        failures=failures,
    )


def verdict(snapshot: Snapshot) -> str:
    """Return the state of all exchanges, or of the page's own exchange, in a few words."""
    if snapshot.only:
        (title,) = (each.title for each in snapshot.exchanges)
        return {
            Health.UP: f"{title} works",
            Health.DEGRADED: f"{title} works in part",
            Health.DOWN: f"{title} does not work",
            Health.PENDING: f"Waiting for the first results of {title}",
        }[snapshot.health]
    known = [each for each in snapshot.exchanges if each.health is not Health.PENDING]
    if snapshot.health is Health.UP and len(known) < len(snapshot.exchanges):
        total = len(snapshot.exchanges)
        return f"{len(known)} of {total} exchanges work, no results of the others yet"
    return {
        Health.UP: "All exchanges work",
        Health.DEGRADED: "Some things do not work",
        Health.DOWN: "Nothing works",
        Health.PENDING: "Waiting for the first results",
    }[snapshot.health]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureLine:
    """One failure of an endpoint or a stream, as a line. ``time`` in epoch seconds."""

    time: float
    where: str
    text: str


def of_one(snapshot: Snapshot, name: str) -> Snapshot:
    """Return the part of a snapshot that is about one exchange."""
    return replace(
        snapshot,
        only=name,
        exchanges=tuple(each for each in snapshot.exchanges if each.name == name),
        anomalies=tuple(each for each in snapshot.anomalies if each.exchange == name),
        incidents=tuple(each for each in snapshot.incidents if each.exchange == name),
        verdicts=tuple(each for each in snapshot.verdicts if each.exchange == name),
        troubles=(),
        links=(("All exchanges", "/"), *snapshot.links),
    )


@cache
def _template() -> jinja2.Template:
    return page_template(
        _HERE / "templates" / "status.html",
        duration,
        signed,
        age,
        span,
        percent,
        number,
        rate,
        moment,
        words,
        in_words,
        summary,
        sparkline,
    )


def duration(seconds: float | None) -> str:
    """Format a short time in the unit that suits it: ``250 µs``, ``34 ms``, ``1.24 s``."""
    if seconds is None or not isfinite(seconds):
        return _NOTHING
    size = abs(seconds)
    if size < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    if size < 0.9995:
        milliseconds = seconds * 1e3
        return f"{milliseconds:.1f} ms" if size < 0.00995 else f"{milliseconds:.0f} ms"
    return f"{seconds:.2f} s" if size < 9.995 else f"{seconds:.0f} s"


def signed(seconds: float | None) -> str:
    """Format a short time with its sign."""
    text = duration(seconds).replace("-", "\N{MINUS SIGN}")
    return f"+{text}" if seconds is not None and seconds > 0 and text != _NOTHING else text


def span(seconds: float | None) -> str:
    """Format a long time in one or two units: ``42 s``, ``3 min``, ``2 h 05 min``, ``4 d 3 h``."""
    if seconds is None or not isfinite(seconds):
        return _NOTHING
    seconds = max(seconds, 0.0)
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} d {hours % 24} h"


def age(then: float | None, now: float) -> str:
    """Format how long ago something was."""
    return _NOTHING if then is None else f"{span(now - then)} ago"


def percent(share: float | None) -> str:
    """Format a share of one."""
    if share is None or not isfinite(share):
        return _NOTHING
    return f"{share:.0%}" if share in (0.0, 1.0) or share >= 0.1 else f"{share * 100:.1f}%"


def number(value: float | None) -> str:
    """Format a number with the figures that matter, thousands apart: ``64,123.4``, ``0.0123``."""
    if value is None or not isfinite(value):
        return _NOTHING
    size = abs(value)
    if isinstance(value, int) or size >= 100_000:
        return f"{value:,.0f}"
    if size >= 1000:
        return f"{value:,.1f}"
    return f"{value:.2f}" if size >= 1 or value == 0 else f"{value:.3g}"


def rate(value: float | None) -> str:
    """Format events a second."""
    return _NOTHING if value is None or not isfinite(value) else f"{value:,.1f}"


def moment(time: float | None) -> str:
    """Format a moment in UTC."""
    if time is None:
        return _NOTHING
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def summary(spans: Sequence[TimelineSpan]) -> str:
    """Sum up a timeline: ``up 23 h 10 min, down 20 min, no data 30 min``."""
    names = {"up": "up", "degraded": "degraded", "down": "down", "pending": "no data"}
    spent = {
        name: sum(one.end - one.start for one in spans if one.health == health)
        for health, name in names.items()
    }
    return ", ".join(f"{name} {span(time)}" for name, time in spent.items() if time)


def words(label: str) -> str:
    """Format a label value for people."""
    return label.replace("_", " ")


def sparkline(
    recent: Sequence[float | None], width: float = 96, height: float = 20
) -> dict[str, object]:
    """Draw the last durations: the line's points, and where probes failed, in SVG units."""
    good = [value for value in recent if value is not None]
    top = max(good, default=0.0) or 1.0
    step = width / max(len(recent) - 1, 1)
    points: list[str] = []
    failed: list[float] = []
    for place, value in enumerate(recent):
        x = round(place * step, 1)
        if value is None:
            failed.append(x)
        else:
            points.append(f"{x},{round(height - 2 - (height - 4) * value / top, 1)}")
    return {"points": " ".join(points), "failed": failed, "width": width, "height": height}
