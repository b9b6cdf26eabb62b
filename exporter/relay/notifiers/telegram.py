"""Telegram Bot API: sendMessage and editMessageText, without any parse mode.

Source: Telegram Bot API, sections "sendMessage", "editMessageText", "ResponseParameters"; Bots
FAQ, "My bot is hitting limits"; read 2026-11-20. The URL holds the token: never log it.
"""

from __future__ import annotations

import re

import msgspec

from exporter.contracts import Account, Notifier, untaken
from exporter.model import Answer, Delivered, HttpRequest, Notification, Outcome, Refused, Retry

_MOST = 4096  # UTF-16 code units


def units(text: str) -> int:
    """Count as Telegram does: UTF-16 code units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def escape(text: str) -> str:
    """Break what Telegram would make a mention, a hashtag or a command of, parse mode or not.

    A word joiner (U+2060) after the sign is invisible, and ends the entity.
    """
    return re.sub(r"([@#/$])(?=\w)", "\\1\N{WORD JOINER}", text)


def request(note: Notification, account: Account, key: str, edits: str | None) -> HttpRequest:
    """Ask for a message to one chat, or for the change of one."""
    text = note.texts[0]
    if note.triage:
        text = f"{text}\n\n{note.triage}"
    while units(text) > _MOST:  # only a triage can make it too long
        text = text[: len(text) - (units(text) - _MOST)]
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


class _Result(msgspec.Struct):
    message_id: int = 0


class _Reply(msgspec.Struct):
    ok: bool = False
    description: str = ""
    parameters: _Parameters = msgspec.field(default_factory=_Parameters)
    result: _Result = msgspec.field(default_factory=_Result)


def parse_response(answer: Answer) -> Outcome:
    """An edit that changes nothing is refused with "message is not modified": it is done."""
    try:
        reply = msgspec.json.decode(answer.body, type=_Reply)
    except (msgspec.MsgspecError, ValueError):
        reply = _Reply()
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
    return untaken(answer.status, reason, after=reply.parameters.retry_after)


NOTIFIER = Notifier(
    name="telegram",
    title="Telegram bot",
    url="https://api.telegram.org",
    needs=frozenset({"token", "to"}),
    recipient=r"-?[0-9]{1,20}|@[A-Za-z0-9_]{4,40}",
    limit=4000,
    measure=units,
    batches=lambda to: tuple((each,) for each in to),
    supports_edit=True,
    escape=escape,
    request=request,
    parse_response=parse_response,
)
