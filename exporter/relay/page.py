"""The relay's HTML page: recent incidents and messages, without recipients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import jinja2

from exporter.notification import Level
from exporter.relay import rendering
from exporter.relay.incident import Incident
from exporter.relay.outbox import OutboxRow
from exporter.web.templating import page_template


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What the page shows. Times in epoch seconds; ``silent``: the heartbeat is lost."""

    version: str
    now: float
    incidents: Sequence[Incident]
    deliveries: Sequence[OutboxRow]
    depth: int
    dead: int
    beat: float | None
    silent: bool


def render(seen: Overview) -> str:
    """Return the page's HTML."""
    return _template().render(page=plain(seen))


def plain(seen: Overview) -> dict[str, object]:
    """Return what the page shows as plain data, in seconds, without texts and recipients."""
    # What goes on stands above what is over, each the newest first.
    incidents = sorted(seen.incidents, key=lambda one: not one.firing)
    critical = any(one.firing and one.level is Level.CRITICAL for one in incidents)
    shaky = any(one.firing for one in incidents) or seen.dead
    return {
        "version": seen.version,
        "now": seen.now,
        "incidents": [_incident(one, seen.now) for one in incidents],
        "health": "down" if seen.silent or critical else "degraded" if shaky else "up",
        "open": sum(bool(one.firing) for one in seen.incidents),
        "deliveries": [_delivery(row) for row in seen.deliveries],
        "depth": seen.depth,
        "dead": seen.dead,
        "beat": seen.beat,
        "silent": seen.silent,
    }


def _delivery(row: OutboxRow) -> dict[str, object]:
    return {
        "id": row.id,
        "created": row.created,
        "receiver": row.receiver,
        "state": row.state.value,
        "title": row.note.title,
        "attempts": row.attempts,
        "took": None if row.finished is None else row.finished - row.received,
        "detail": row.detail,
    }


def _incident(incident: Incident, now: float) -> dict[str, object]:
    alerts = (*incident.firing, *incident.ended)
    since = min((alert.start for alert in alerts if alert.start), default=incident.opened)
    state, health = ("firing", "down") if incident.firing else ("resolved", "up")
    if incident.flapping:
        state, health = "flapping", "degraded"
    elif incident.lost:
        state, health = "no data", "degraded"
    return {
        "id": incident.id,
        "since": since,
        "state": state,
        "health": health,
        "level": incident.level.value,
        "name": alerts[0].name,
        "exchanges": ", ".join(sorted({a.exchange for a in alerts if a.exchange})[:5]),
        "count": len(alerts) + incident.more,
        "lasted": (incident.closed or now) - since,
    }


@cache
def _template() -> jinja2.Template:
    return page_template(rendering.TEMPLATES / "page.html", rendering.clock, rendering.span)
