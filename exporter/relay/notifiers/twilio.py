"""SMS through Twilio's Programmable Messaging.

Source: Twilio docs, "Message resource" (Create a Message), "Twilio error codes", "What is GSM-7
Character Encoding?"; 3GPP TS 23.038 section 6.2.1; read 2026-11-20. There is no idempotency key.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Final
from urllib.parse import quote, urlencode

import msgspec

from exporter.contracts import Account, Notifier
from exporter.model import Answer
from exporter.notification import Delivered, HttpRequest, Notification, Outcome
from exporter.relay.escaping import defused, utf16_units
from exporter.relay.responses import failure, read_json

_GSM7: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED: Final = frozenset("^{}\\[~]|€\f")  # two septets each


def segments(text: str) -> int:
    """Count the segments that are billed: 160 or 153 each of GSM-7, else 70 or 67 of UCS-2."""
    if all(char in _GSM7 or char in _EXTENDED for char in text):
        septets = len(text) + sum(char in _EXTENDED for char in text)
        return 1 if septets <= 160 else -(-septets // 153)
    codes = utf16_units(text)
    return 1 if codes <= 70 else -(-codes // 67)


def _spaced(text: str) -> str:
    """Break mentions and links by a space: a word joiner is no letter of GSM-7."""
    return defused(text, " ")


def request(note: Notification, account: Account, key: str, edits: str | None) -> HttpRequest:
    """Ask for one message to one number; a sender that begins with MG is a messaging service."""
    sender = "MessagingServiceSid" if account.sender.startswith("MG") else "From"
    form = {"To": account.to[0], sender: account.sender, "Body": note.texts[0]}
    login = b64encode(f"{account.user}:{account.token}".encode()).decode()
    sid = account.options.get("account", account.user)
    return HttpRequest(
        method="POST",
        url=f"{account.url}/2010-04-01/Accounts/{quote(sid, safe='')}/Messages.json",
        headers={
            "Authorization": f"Basic {login}",
            "Content-Type": "application/x-www-form-urlencoded",
        },
        body=urlencode(form).encode(),
    )


class _TwilioReply(msgspec.Struct):
    sid: str = ""
    code: int | None = None
    message: str | None = None


def parse_response(answer: Answer) -> Outcome:
    """A 429 was never processed; after a 5xx nobody knows. 201 means queued, not delivered."""
    reply = read_json(answer, _TwilioReply)
    reason = f"{answer.status} {reply.code or ''} {reply.message or ''}".strip()[:200]
    match answer.status:
        case 200 | 201:
            return Delivered(id=reply.sid)
        case status:
            return failure(status, reason)


NOTIFIER = Notifier(
    name="twilio",
    title="SMS (Twilio)",
    url="https://api.twilio.com",
    needs=frozenset({"user", "token", "sender", "to"}),
    options={"account": r"AC[0-9a-f]{32}"},
    recipient=r"\+[1-9][0-9]{6,14}",
    recipients="a telephone number such as +66812345678",
    limit=1,  # segment
    measure=segments,
    batches=lambda to: tuple((each,) for each in to),
    short=True,
    triage=False,
    escape=_spaced,
    request=request,
    parse_response=parse_response,
)
