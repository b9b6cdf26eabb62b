"""PagerDuty Events API v2. The incident's key makes every try, repeat and end one incident there.

Source: PagerDuty api-schema, "Events API V2" (enqueue); read 2026-11-20.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import msgspec

from exporter.contracts import Account, Notifier
from exporter.model import Answer
from exporter.notification import Delivered, HttpRequest, Notification, Outcome
from exporter.relay.escaping import defused
from exporter.relay.responses import failure, read_json

_SUMMARY = 1024


def request(note: Notification, account: Account, key: str, edits: str | None) -> HttpRequest:
    """Ask to trigger or resolve; a triage never comes here, for an event cannot be added to."""
    first = note.alerts[0] if note.alerts else None
    event: dict[str, object] = {
        "routing_key": account.token,
        "event_action": "resolve" if note.resolved else "trigger",
        "dedup_key": hashlib.sha256(note.incident.encode()).hexdigest(),
        "client": "exchange-exporter",
    }
    if not note.resolved:
        event["payload"] = {
            "summary": note.title[:_SUMMARY],
            "source": defused(first.exchange if first else "") or "exchange-exporter",
            "severity": note.level,
            "timestamp": datetime.fromtimestamp(note.time, UTC).isoformat(timespec="seconds"),
            "class": defused(first.name) if first else "",
            "custom_details": {"text": "\n".join(note.texts), "alerts": len(note.alerts)},
        }
        if note.link:
            event["links"] = [{"href": note.link, "text": "Runbook"}]
    return HttpRequest(
        method="POST",
        url=f"{account.url}/v2/enqueue",
        headers={"Content-Type": "application/json"},
        body=msgspec.json.encode(event),
    )


class _PagerDutyReply(msgspec.Struct):
    status: str = ""
    message: str = ""
    dedup_key: str = ""
    errors: list[str] = []


def parse_response(answer: Answer) -> Outcome:
    """202 is taken; a 400 names what is wrong with the event."""
    reply = read_json(answer, _PagerDutyReply)
    reason = f"{answer.status} {reply.message} {'; '.join(reply.errors)}".strip()[:200]
    match answer.status:
        case 202 | 200:
            return Delivered(id=reply.dedup_key)
        case status:
            return failure(status, reason)


NOTIFIER = Notifier(
    name="pagerduty",
    title="PagerDuty Events API v2",
    url="https://events.pagerduty.com",
    needs=frozenset({"token"}),
    limit=20_000,
    titled=True,
    idempotent=True,
    triage=False,
    escape=defused,
    request=request,
    parse_response=parse_response,
)
