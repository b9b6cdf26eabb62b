"""One incident from its first sample to its last message, as a record to hand on.

Names receivers, never recipients: addresses and numbers stay in the spool. Times are epoch
seconds, durations seconds.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from exporter.notification import Alert
from exporter.relay import incident_store
from exporter.relay.incident import Incident

_MOST = 500  # deliveries of one record
_PAGES = ("firing", "update")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordEvent:
    """One line of the course: when, which kind of step, and what in words."""

    time: float
    step: str  # sample, detection, relay, page, delivery, failure, triage, declared, end
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """One alert of the incident. ``end`` is None while it fires."""

    name: str
    exchange: str
    level: str
    start: float
    end: float | None
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    """One message to one receiver; ``seconds``: from when the relay heard to its end."""

    receiver: str
    occasion: str
    state: str
    attempts: int
    queued: float
    ended: float | None
    seconds: float | None
    message_id: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstSample:
    """The first sample in which a part of an exchange was bad, and went on to be."""

    time: float
    series: str
    last_good: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedFailure:
    """How often something failed while it lasted, by its reason."""

    exchange: str
    what: str  # an endpoint or a stream
    reason: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentRecord:
    """All of it. ``detected`` is when the first alert began, ``heard`` when the relay got it.

    What a source did not know, or was not asked for, is None or empty.
    """

    id: str
    level: str
    state: str
    exchanges: Sequence[str]
    detected: float
    heard: float
    ended: float | None
    first_sample: FirstSample | None = None
    delivered: float | None = None  # the first page that was confirmed
    alerts: Sequence[AlertRow] = ()
    deliveries: Sequence[DeliveryRow] = ()
    failures: Sequence[CountedFailure] = ()
    evidence: Sequence[RecordEvent] = ()  # last failures one by one, and what was declared
    course: Sequence[RecordEvent] = field(default_factory=tuple)
    unknown: Sequence[str] = ()  # what could not be asked, and why


def read(db: sqlite3.Connection, id: str) -> IncidentRecord | None:  # noqa: A002
    """Return what a relay's spool knows of an incident; None: it knows none of that id."""
    incident = incident_store.one(db, id)
    if incident is None:
        return None
    deliveries = tuple(_deliveries(db, id))
    pages = [
        each.ended
        for each in deliveries
        if each.ended is not None and each.state == "delivered" and each.occasion in _PAGES
    ]
    alerts = (*incident.firing, *incident.ended)
    record = IncidentRecord(
        id=incident.id,
        level=incident.level.value,
        state=_state(incident),
        exchanges=tuple(sorted({each.exchange for each in alerts if each.exchange})),
        detected=min((each.start for each in alerts if each.start), default=incident.opened),
        heard=incident.opened,
        ended=incident.closed,
        delivered=min(pages, default=None),
        alerts=tuple(_alert(each) for each in alerts),
        deliveries=deliveries,
    )
    return in_order(record, tuple(_of_spool(db, record)))


def _state(incident: Incident) -> str:
    if incident.firing:
        return "flapping" if incident.flapping else "firing"
    return "ended without data" if incident.lost else "resolved"


def _alert(alert: Alert) -> AlertRow:
    return AlertRow(
        name=alert.name,
        exchange=alert.exchange,
        level=alert.level.value,
        start=alert.start,
        end=alert.end,
        summary=alert.annotations.get("summary", "")[:300],
    )


def _deliveries(db: sqlite3.Connection, id: str) -> Iterator[DeliveryRow]:  # noqa: A002
    rows = db.execute(
        "SELECT receiver, occasion, state, attempts, received, created, finished, provider_id,"
        " detail FROM deliveries WHERE incident = ? ORDER BY id LIMIT ?",
        (id, _MOST),
    )
    for row in rows:
        ended = row["finished"]
        yield DeliveryRow(
            receiver=row["receiver"],
            occasion=row["occasion"],
            state=row["state"],
            attempts=row["attempts"],
            queued=row["created"],
            ended=ended,
            seconds=None if ended is None else max(0.0, ended - row["received"]),
            message_id=row["provider_id"],
            detail=row["detail"][:300],
        )


def _of_spool(db: sqlite3.Connection, record: IncidentRecord) -> Iterator[RecordEvent]:
    for alert in record.alerts:
        about = f"{alert.name} {alert.exchange}".strip()
        yield RecordEvent(time=alert.start, step="detection", text=f"{about} begins to fire")
        if alert.end is not None:
            yield RecordEvent(time=alert.end, step="end", text=f"{about} ends")
    yield RecordEvent(time=record.heard, step="relay", text="the relay hears of it")
    for each in record.deliveries:
        tries = f", {each.attempts} attempts" if each.attempts > 1 else ""
        yield RecordEvent(
            time=each.queued, step="page", text=f"{each.occasion} is queued for {each.receiver}"
        )
        if each.ended is None:
            continue
        if each.state == "delivered":
            text, step = f"{each.receiver} confirms {each.occasion}{tries}", "delivery"
        else:
            text, step = f"{each.receiver}: {each.occasion} is {each.state}{tries}", "failure"
        yield RecordEvent(time=each.ended, step=step, text=text)
    row = db.execute("SELECT at, outcome FROM triage WHERE incident = ?", (record.id,)).fetchone()
    if row is not None:
        yield RecordEvent(time=row["at"], step="triage", text=f"triage: {row['outcome']}")
    for held in db.execute(
        "SELECT receiver, reason, occasion, at FROM held WHERE incident = ?", (record.id,)
    ):
        text = f"{held['occasion']} for {held['receiver']} is held back: {held['reason']}"
        yield RecordEvent(time=held["at"], step="page", text=text)
    if record.ended is not None:
        yield RecordEvent(time=record.ended, step="end", text=f"the incident is {record.state}")


def in_order(record: IncidentRecord, more: Sequence[RecordEvent]) -> IncidentRecord:
    """Return a record with further events in its course, in order of time."""
    return replace(
        record, course=tuple(sorted((*record.course, *more), key=lambda each: each.time))
    )
