"""Discord webhooks: one embed a message, edited when the incident ends or its triage comes.

Source: discord-api-docs, "Webhook Resource" (Execute Webhook, Edit Webhook Message), "Message
Resource" (Embed Limits, Allowed Mentions), "Rate Limits"; read 2026-11-20.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

import msgspec

from exporter.contracts import Account, Notifier
from exporter.model import Answer
from exporter.notification import Delivered, HttpRequest, Level, Notification, Occasion, Outcome
from exporter.relay.responses import failure, read_json

_COLORS: Final = {Level.CRITICAL: 0x992D22, Level.WARNING: 0xE67E22, Level.INFO: 0x3498DB}
_RESOLVED: Final = 0x2ECC71
_UNKNOWN: Final = 0x95A5A6
# All embeds of a message: 6000. A description of 3500 leaves room for title, fields and footer.
_DESCRIPTION: Final = 3500
_TITLE, _NAME, _VALUE, _FIELDS, _SUM = 256, 256, 1024, 12, 6000
_SPECIAL = re.compile(r"([\\*_~`|>#\[\]()<@:\-])")


def escape(text: str) -> str:
    """Escape Markdown, links and mentions: a backslash before a sign makes it that sign."""
    return _SPECIAL.sub(r"\\\1", text)


def request(note: Notification, account: Account, key: str, edits: str | None) -> HttpRequest:
    """Ask for a message, or for the change of one, and for the saved message as the answer.

    Without ``wait=true`` Discord answers 204 even if it could not save the message.
    """
    body = {
        "embeds": [_embed(note)],
        "allowed_mentions": {"parse": []},  # again on each edit, or the edit would mention
    }
    base, _, query = account.url.partition("?")
    query = f"&{query}" if query else ""
    if edits:
        url = f"{base}/messages/{quote(edits, safe='')}{f'?{query[1:]}' if query else ''}"
        return HttpRequest(method="PATCH", url=url, headers=_JSON, body=msgspec.json.encode(body))
    if name := account.options.get("username"):
        body["username"] = name
    return HttpRequest(
        method="POST",
        url=f"{base}?wait=true{query}",
        headers=_JSON,
        body=msgspec.json.encode(body),
    )


_JSON = {"Content-Type": "application/json"}


def _embed(note: Notification) -> dict[str, object]:
    title = note.title[:_TITLE]
    description = note.texts[0] if note.texts else ""
    room = _SUM - len(title) - len(description)
    fields = []
    pairs = [*note.fields[:_FIELDS], *([("Triage", note.triage)] if note.triage else [])]
    for name, value in pairs:
        name, value = name[:_NAME], value[:_VALUE]
        if name and value and len(name) + len(value) <= room:
            room -= len(name) + len(value)
            fields.append({"name": name, "value": value, "inline": len(value) < 40})
    embed: dict[str, object] = {
        "title": title,
        "description": description,
        "color": _color(note),
        "timestamp": datetime.fromtimestamp(note.time, UTC).isoformat(timespec="seconds"),
        "fields": fields,
    }
    return {**embed, "url": note.link} if note.link else embed


def _color(note: Notification) -> int:
    if note.occasion is Occasion.LOST:
        return _UNKNOWN
    return _RESOLVED if note.resolved else _COLORS[note.level]


class _DiscordReply(msgspec.Struct):
    id: str = ""
    message: str = ""
    code: int = 0
    retry_after: float | None = None


def parse_response(answer: Answer) -> Outcome:
    """Return the message's id; a rate limit's wait is in seconds, in the header and the body."""
    reply = read_json(answer, _DiscordReply)
    reason = f"{answer.status} {reply.message}".strip()[:200]
    match answer.status:
        case 200:
            return Delivered(id=reply.id, pause=_pause(answer))
        case 204:
            return Delivered(pause=_pause(answer))
        case status:
            after = reply.retry_after
            return failure(status, reason, after=after if after is not None else _number(answer))


def _pause(answer: Answer) -> float:
    """Return the seconds until the bucket fills again, when this was its last message."""
    if answer.headers.get("x-ratelimit-remaining") != "0":
        return 0.0
    return _number(answer, "x-ratelimit-reset-after") or 0.0


def _number(answer: Answer, header: str = "retry-after") -> float | None:
    try:
        value = float(answer.headers.get(header, ""))
    except ValueError:
        return None
    return value if 0.0 <= value < 1e6 else None


NOTIFIER = Notifier(
    name="discord",
    title="Discord webhook",
    capability_paths=r"/api/(v\d+/)?webhooks/\d+/.+",
    needs=frozenset({"url"}),
    options={"username": r".{1,80}"},
    limit=_DESCRIPTION,
    titled=True,
    supports_edit=True,
    escape=escape,
    request=request,
    parse_response=parse_response,
)
