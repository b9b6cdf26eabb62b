"""About a hundred further services through the library Apprise, which sends its own requests.

The request is no HTTP request: its method is NOTIFY, its URL the service's address in Apprise's
spelling. The app opens the library for it, only when a receiver of this kind is configured.
Source: Apprise wiki, "Library usage" and "URL basics", version 1.9; read 2026-11-20.
"""

from __future__ import annotations

import msgspec

from exporter.contracts import Account, Notifier
from exporter.model import Answer
from exporter.notification import (
    Delivered,
    HttpRequest,
    Level,
    Notification,
    Outcome,
    Refused,
    Retry,
)
from exporter.relay.escaping import defused

_KINDS = {Level.CRITICAL: "failure", Level.WARNING: "warning", Level.INFO: "info"}


def request(note: Notification, account: Account, key: str, edits: str | None) -> HttpRequest:
    """Ask the library for one notification."""
    texts = [*note.texts, *([note.triage] if note.triage else [])]
    body = {
        "title": note.title,
        "body": "\n".join(texts),
        "type": "success" if note.resolved else _KINDS[note.level],
    }
    return HttpRequest(method="NOTIFY", url=account.url, body=msgspec.json.encode(body))


def parse_response(answer: Answer) -> Outcome:
    """The library says yes or no, and never why: a no is worth another try."""
    match answer.status:
        case 200:
            return Delivered()
        case 400:
            return Refused("the address is none that Apprise knows", gone=True)
        case _:
            return Retry("the service did not take it", unsure=True)


NOTIFIER = Notifier(
    name="apprise",
    title="Apprise",
    needs=frozenset({"url"}),
    limit=1500,  # short enough for nearly all services; the library cuts where it is not
    titled=True,
    escape=defused,
    request=request,
    parse_response=parse_response,
)
