"""Slack incoming webhooks. What was sent through one cannot be edited.

Source: Slack API docs, "Sending messages using incoming webhooks", "Formatting text for app
surfaces", "Rate limits", changelog 2016-05 (errors); read 2026-11-20.
"""

from __future__ import annotations

import msgspec

from exporter.contracts import Account, Notifier
from exporter.model import Answer
from exporter.notification import Delivered, HttpRequest, Notification, Outcome
from exporter.relay.responses import failure

_SECTION = 3000  # characters of a section's text
_HEADER = 150


def escape(text: str) -> str:
    """Escape the three signs that open links, mentions and commands."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def request(note: Notification, account: Account, key: str, edits: str | None) -> HttpRequest:
    """Ask for one message in plain-text blocks, which know no mentions and no links."""
    texts = [*note.texts, *([note.triage] if note.triage else [])]
    blocks = [
        {"type": "section", "text": {"type": "plain_text", "text": text[:_SECTION]}}
        for text in texts
        if text
    ]
    body = {"text": note.title[:_HEADER], "mrkdwn": False, "blocks": blocks}
    return HttpRequest(
        method="POST",
        url=account.url,
        headers={"Content-Type": "application/json"},
        body=msgspec.json.encode(body),
    )


def parse_response(answer: Answer) -> Outcome:
    """The answers are words, not JSON."""
    word = answer.body[:100].decode(errors="replace").strip()
    reason = f"{answer.status} {word}".strip()
    match answer.status:
        case 200:
            return Delivered()
        case status:
            return failure(status, reason, gone=(401, 403, 404, 410))


NOTIFIER = Notifier(
    name="slack",
    title="Slack incoming webhook",
    capability_paths=r"/services/.+",
    needs=frozenset({"url"}),
    limit=2900,
    escape=escape,
    request=request,
    parse_response=parse_response,
)
