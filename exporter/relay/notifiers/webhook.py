"""A webhook of the user's own: our JSON, or a body from the user's template, signed with HMAC.

``X-Signature: sha256=`` and the hex HMAC of ``X-Timestamp``, a dot and the raw body, so that an
old request cannot be played again under a new time; ``X-Delivery-Id`` is the same in every try.
"""

from __future__ import annotations

import hashlib
import hmac

import msgspec

from exporter.contracts import Account, Notifier
from exporter.model import Answer
from exporter.notification import Delivered, HttpRequest, Notification, Outcome, Retry
from exporter.relay.responses import failure

_SCHEMA = "exchange-exporter/notification/v1"


def request(note: Notification, account: Account, key: str, edits: str | None) -> HttpRequest:
    """Ask to take one notification."""
    body = note.body.encode() if note.body is not None else _body(note, key)
    stamp = f"{note.time:.0f}"
    headers = {
        "Content-Type": account.options.get("content_type", "application/json"),
        "X-Delivery-Id": key,
        "X-Timestamp": stamp,
    }
    if account.token:
        signed = stamp.encode() + b"." + body
        digest = hmac.new(account.token.encode(), signed, hashlib.sha256).hexdigest()
        headers["X-Signature"] = f"sha256={digest}"
    return HttpRequest(method="POST", url=account.url, headers=headers, body=body)


def _body(note: Notification, key: str) -> bytes:
    return msgspec.json.encode(
        {
            "schema": _SCHEMA,
            "delivery": key,
            "incident": note.incident,
            "occasion": note.occasion,
            "status": "resolved" if note.resolved else "firing",
            "level": note.level,
            "time": note.time,
            "title": note.title,
            "text": "\n".join(note.texts),
            "link": note.link,
            "triage": note.triage,
            "alerts": [msgspec.to_builtins(alert) for alert in note.alerts],
        }
    )


def parse_response(answer: Answer) -> Outcome:
    """Any 2xx is taken; 408, 425, 429 and 5xx are tried again; a redirect is not followed."""
    reason = f"{answer.status}"
    match answer.status:
        case status if 200 <= status < 300:
            return Delivered(id=answer.headers.get("x-request-id", "")[:200])
        case 408 | 425:
            return Retry(reason)
        case status:
            return failure(status, reason, gone=(401, 403, 404, 410))


NOTIFIER = Notifier(
    name="webhook",
    title="Webhook",
    needs=frozenset({"url"}),
    takes=frozenset({"token", "body"}),
    options={"content_type": r"[a-z]+/[a-z0-9.+-]+(; ?charset=[a-zA-Z0-9-]+)?"},
    limit=200_000,
    titled=True,
    idempotent=True,
    request=request,
    parse_response=parse_response,
)
