"""LINE Messaging API: push and multicast.

Source: LINE Developers, Messaging API reference, sections "Send push message", "Send multicast
message", "Retry failed API requests", "Get the target limit for sending messages this month";
line-openapi messaging-api.yml; read 2026-11-20. LINE Notify ended on 2025-03-31.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from exporter.contracts import Account, Notifier
from exporter.model import Answer
from exporter.notification import Delivered, HttpRequest, Notification, Outcome, Refused
from exporter.relay.escaping import defused, utf16_units
from exporter.relay.responses import failure, read_json

_MOST_USERS: Final = 500  # of one multicast
_MOST_TEXTS: Final = 5  # message objects of one request; they count as one message each recipient


def batches(to: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Users share a multicast; a group or room cannot be in one."""
    users = [each for each in to if each.startswith("U")]
    shared = [tuple(users[at : at + _MOST_USERS]) for at in range(0, len(users), _MOST_USERS)]
    return (*shared, *((each,) for each in to if not each.startswith("U")))


def request(note: Notification, account: Account, key: str, edits: str | None) -> HttpRequest:
    """Ask for a push to one recipient, or a multicast to several, under the retry key."""
    kind = "push" if len(account.to) == 1 else "multicast"
    texts = [*note.texts, *([note.triage] if note.triage else [])][:_MOST_TEXTS]
    body = {
        "to": account.to[0] if kind == "push" else account.to,
        "messages": [{"type": "text", "text": text} for text in texts],
        "notificationDisabled": False,
    }
    return HttpRequest(
        method="POST",
        url=f"{account.url}/v2/bot/message/{kind}",
        headers={
            "Authorization": f"Bearer {account.token}",
            "Content-Type": "application/json",
            "X-Line-Retry-Key": key,
        },
        body=msgspec.json.encode(body),
    )


class _Sent(msgspec.Struct):
    id: str = ""


class _LineReply(msgspec.Struct):
    message: str = ""
    sentMessages: list[_Sent] = []  # noqa: N815 - LINE's spelling


def parse_response(answer: Answer) -> Outcome:
    """A 409 means that an earlier try with this key was accepted: that is success."""
    reply = read_json(answer, _LineReply)
    sent = reply.sentMessages[0].id if reply.sentMessages else ""
    reason = f"{answer.status} {reply.message}"[:200].strip()
    match answer.status:
        case 200:
            return Delivered(id=sent or answer.headers.get("x-line-request-id", ""))
        case 409:
            return Delivered(id=sent or answer.headers.get("x-line-accepted-request-id", ""))
        case 429 if "monthly limit" in reply.message.lower():
            return Refused(f"quota of the month used up: {reason}")
        case status:
            return failure(status, reason, gone=(401, 403))


def quota(account: Account) -> tuple[HttpRequest, HttpRequest]:
    """Ask for the month's limit, and for what is used of it."""
    headers = {"Authorization": f"Bearer {account.token}"}
    url = f"{account.url}/v2/bot/message/quota"
    return (
        HttpRequest(method="GET", url=url, headers=headers),
        HttpRequest(method="GET", url=f"{url}/consumption", headers=headers),
    )


class _Limit(msgspec.Struct):
    type: str
    value: float | None = None


class _Used(msgspec.Struct):
    totalUsage: float  # noqa: N815 - LINE's spelling


def read_quota(limit: bytes, used: bytes) -> tuple[float | None, float]:
    """Return the month's limit (None: there is none) and the messages used. Raises ValueError."""
    most = msgspec.json.decode(limit, type=_Limit)
    spent = msgspec.json.decode(used, type=_Used).totalUsage
    return (None if most.type == "none" else most.value), spent


NOTIFIER = Notifier(
    name="line",
    title="LINE Messaging API",
    url="https://api.line.me",
    needs=frozenset({"token", "to"}),
    recipient=r"[UCR][0-9a-f]{32}",
    recipients="a user, group or room: U, C or R and 32 characters of 0-9 and a-f",
    limit=5000,
    measure=utf16_units,
    texts=_MOST_TEXTS,
    batches=batches,
    idempotent=True,
    waits_for_triage=True,
    escape=defused,
    request=request,
    parse_response=parse_response,
    quota=quota,
    read_quota=read_quota,
)
