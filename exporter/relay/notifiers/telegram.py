"""Telegram Bot API: sendMessage and editMessageText, without any parse mode.

Source: Telegram Bot API, sections "sendMessage", "editMessageText", "ResponseParameters"; Bots
FAQ, "My bot is hitting limits"; read 2026-11-20. The URL holds the token: never log it.
"""

from __future__ import annotations

import re

import msgspec

from exporter.contracts import Account, Notifier
from exporter.model import Answer
from exporter.notification import Delivered, HttpRequest, Notification, Outcome, Refused, Retry
from exporter.relay.escaping import defused, utf16_units
from exporter.relay.responses import failure, read_json

_MOST = 4096  # UTF-16 code units


def escape(text: str) -> str:
    """Break what Telegram would make a mention, a link, a hashtag or a command of, in any mode.

    A word joiner (U+2060) after the sign is invisible, and ends the entity.
    """
    return re.sub(r"([#/$])(?=\w)", "\\1\N{WORD JOINER}", defused(text))


def request(note: Notification, account: Account, key: str, edits: str | None) -> HttpRequest:
    """Ask for a message to one chat, or for the change of one."""
    text = note.texts[0]
    if note.triage:
        text = f"{text}\n\n{note.triage}"
    while utf16_units(text) > _MOST:  # only a triage can make it too long
        text = text[: len(text) - (utf16_units(text) - _MOST)]
    body: dict[str, object] = {
        "chat_id": account.to[0],
        "text": text,
        "link_preview_options": {"is_disabled": True},
    }
    if edits:
        body["message_id"] = int(edits)
    method = "editMessageText" if edits else "sendMessage"
    return HttpRequest(
        method="POST",
        url=f"{account.url}/bot{account.token}/{method}",
        headers={"Content-Type": "application/json"},
        body=msgspec.json.encode(body),
    )


class _Parameters(msgspec.Struct):
    retry_after: float | None = None
    migrate_to_chat_id: int | None = None


class _TelegramResult(msgspec.Struct):
    message_id: int = 0


class _TelegramReply(msgspec.Struct):
    ok: bool = False
    description: str = ""
    parameters: _Parameters = msgspec.field(default_factory=_Parameters)
    result: _TelegramResult = msgspec.field(default_factory=_TelegramResult)


def parse_response(answer: Answer) -> Outcome:
    """An edit that changes nothing is refused with "message is not modified": it is done."""
    reply = read_json(answer, _TelegramReply)
    reason = f"{answer.status} {reply.description}"[:200].strip()
    if answer.status == 200 and reply.ok:
        return Delivered(id=str(reply.result.message_id))
    if "message is not modified" in reply.description:
        return Delivered()
    if reply.parameters.migrate_to_chat_id is not None:
        new = reply.parameters.migrate_to_chat_id
        return Refused(f"{reason}; the group's new id is {new}", gone=True)
    if answer.status == 200:
        return Retry(reason, unsure=True)
    return failure(answer.status, reason, after=reply.parameters.retry_after)


NOTIFIER = Notifier(
    name="telegram",
    title="Telegram bot",
    url="https://api.telegram.org",
    needs=frozenset({"token", "to"}),
    recipient=r"-?[0-9]{1,20}|@[A-Za-z0-9_]{4,40}",
    recipients="the number of a chat, such as -1001234567890, or @NAME of a channel",
    limit=4000,
    measure=utf16_units,
    batches=lambda to: tuple((each,) for each in to),
    supports_edit=True,
    escape=escape,
    request=request,
    parse_response=parse_response,
)
