# ruff: noqa: E501 - a table of answers reads better one a row
"""Each service's wire, exactly: what is asked, and what its answers mean."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from exporter.contracts import Account
from exporter.model import Answer
from exporter.notification import (
    Alert,
    Delivered,
    Level,
    Notification,
    Occasion,
    Outcome,
    Refused,
    Retry,
)
from exporter.relay import notifiers
from exporter.relay.escaping import utf16_units
from exporter.relay.notifiers.twilio import segments

NOTE = Notification(
    occasion=Occasion.FIRING,
    level=Level.CRITICAL,
    incident="abc-1",
    title="[CRITICAL] ExchangeDown okx",
    texts=("[CRITICAL] ExchangeDown okx\n• okx: 測試",),
    time=1_795_254_164.5,
    fields=(("Exchange", "okx"),),
    link="https://runbooks/x",
    alerts=(Alert(fingerprint="a", firing=True, start=1.0, name="ExchangeDown", exchange="okx"),),
)
USERS = tuple(f"U{n:032x}" for n in range(600))
GROUP = "C" + "0" * 32


def _answer(status: int, body: object = b"", **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=status, headers=names, body=raw, new_connection=True, phases={})


def test_every_file_is_a_notifier_of_its_name() -> None:
    """Files are found by name; to add a service is to add a file."""
    folder = Path(notifiers.__path__[0])
    assert notifiers.names() == tuple(
        sorted(file.stem for file in folder.glob("*.py") if file.stem != "__init__")
    )
    for name in notifiers.names():
        found = notifiers.load(name)
        assert found.name == name
        assert found.title
        assert found.limit >= 1
    with pytest.raises(KeyError):
        notifiers.load("carrier_pigeon")


@pytest.mark.parametrize(
    ("name", "answer", "outcome"),
    [
        ("line", _answer(200, {"sentMessages": [{"id": "461", "quoteToken": "q"}]}), Delivered(id="461")),
        ("line", _answer(409, {"message": "accepted"}, x_line_accepted_request_id="r1"), Delivered(id="r1")),
        ("line", _answer(429, {"message": "You have reached your monthly limit."}),
         Refused("quota of the month used up: 429 You have reached your monthly limit.")),
        ("line", _answer(429, {"message": "rate"}), Retry("429 rate")),
        ("line", _answer(500, b"<html>"), Retry("500", unsure=True)),
        ("line", _answer(400, {"message": "Failed to send messages"}), Refused("400 Failed to send messages")),
        ("line", _answer(401, {"message": "no"}), Refused("401 no", gone=True)),
        ("discord", _answer(200, {"id": "99"}), Delivered(id="99")),
        ("discord", _answer(200, {"id": "9"}, **{"x-ratelimit-remaining": "0", "x-ratelimit-reset-after": "2.5"}),
         Delivered(id="9", pause=2.5)),
        ("discord", _answer(429, {"message": "limited", "retry_after": 64.57, "global": False}),
         Retry("429 limited", after=64.57)),
        ("discord", _answer(429, b"<html>", **{"retry-after": "3"}), Retry("429", after=3.0)),
        ("discord", _answer(400, {"code": 50035, "message": "Invalid Form Body"}), Refused("400 Invalid Form Body")),
        ("discord", _answer(404, {"message": "Unknown Webhook"}), Refused("404 Unknown Webhook", gone=True)),
        ("twilio", _answer(201, {"sid": "SM1", "status": "queued"}), Delivered(id="SM1")),
        ("twilio", _answer(429, {"code": 20429, "message": "Too Many"}), Retry("429 20429 Too Many")),
        ("twilio", _answer(400, {"code": 21211, "message": "bad To"}), Refused("400 21211 bad To")),
        ("twilio", _answer(401, {"code": 20003, "message": "auth"}), Refused("401 20003 auth", gone=True)),
        ("twilio", _answer(503), Retry("503", unsure=True)),
        ("slack", _answer(200, b"ok"), Delivered()),
        ("slack", _answer(400, b"invalid_payload"), Refused("400 invalid_payload")),
        ("slack", _answer(410, b"channel_is_archived"), Refused("410 channel_is_archived", gone=True)),
        ("slack", _answer(429), Retry("429")),
        ("telegram", _answer(200, {"ok": True, "result": {"message_id": 7}}), Delivered(id="7")),
        ("telegram", _answer(429, {"ok": False, "description": "later", "parameters": {"retry_after": 34}}),
         Retry("429 later", after=34.0)),
        ("telegram", _answer(400, {"ok": False, "description": "Bad Request: message is not modified"}), Delivered()),
        ("telegram", _answer(400, {"ok": False, "description": "moved",
                                   "parameters": {"migrate_to_chat_id": -100123}}),
         Refused("400 moved; the group's new id is -100123", gone=True)),
        ("pagerduty", _answer(202, {"status": "success", "dedup_key": "k"}), Delivered(id="k")),
        ("pagerduty", _answer(400, {"message": "Event object is invalid", "errors": ["a", "b"]}),
         Refused("400 Event object is invalid a; b")),
        ("pagerduty", _answer(429), Retry("429")),
        ("webhook", _answer(204), Delivered()),
        ("webhook", _answer(302), Refused("302")),
        ("webhook", _answer(429), Retry("429")),
        ("webhook", _answer(502), Retry("502", unsure=True)),
        ("apprise", _answer(200), Delivered()),
        ("apprise", _answer(503), Retry("the service did not take it", unsure=True)),
    ],
)  # fmt: skip
def test_what_an_answer_means(name: str, answer: Answer, outcome: Outcome) -> None:
    """Delivered, retry or refused, with the provider's id, wait and words."""
    assert notifiers.load(name).parse_response(answer) == outcome


@pytest.mark.parametrize("name", notifiers.names())
@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"\xff\xfe", b"[]", b"null", b"{" * 9000, b'{"id": 5}', b'{"id": 1e999}'),
        b'{"more": ' + b"[" * 9000 + b"]" * 9000 + b"}",
        b'{"more": ' + b'{"a":' * 9000 + b"1" + b"}" * 9001,
    ],
)
def test_no_answer_breaks_a_notifier(name: str, body: bytes) -> None:
    """Rubbish of any status is an outcome, never an exception."""
    for status in (200, 204, 301, 400, 404, 429, 500, 599):
        notifiers.load(name).parse_response(_answer(status, body))


def test_line() -> None:
    """Push to one, multicast to users, groups by themselves; the key in its header; 5 texts."""
    line = notifiers.load("line")
    batches = line.batches([*USERS, GROUP])
    assert [len(batch) for batch in batches] == [500, 100, 1]
    push = line.request(NOTE, Account(url="http://h", token="t", to=(GROUP,)), "key-1", None)
    assert (push.method, push.url) == ("POST", "http://h/v2/bot/message/push")
    assert push.headers["X-Line-Retry-Key"] == "key-1"
    assert push.headers["Authorization"] == "Bearer t"
    assert json.loads(push.body)["to"] == GROUP
    many = line.request(NOTE, Account(url="http://h", to=batches[1]), "key-1", None)
    assert many.url.endswith("/multicast")
    assert json.loads(many.body)["to"] == list(batches[1])
    assert utf16_units("a😀") == 3
    assert line.read_quota is not None
    assert line.read_quota(b'{"type":"limited","value":200}', b'{"totalUsage":57}') == (200, 57)
    assert line.read_quota(b'{"type":"none"}', b'{"totalUsage":57}') == (None, 57)


def test_discord() -> None:
    """``wait=true``, colours by level, mentions off in edits too, 6000 characters in all."""
    discord = notifiers.load("discord")
    account = Account(
        url="https://discord.com/api/webhooks/1/t?thread_id=5", options={"username": "W"}
    )
    made = discord.request(NOTE, account, "k", None)
    assert made.url == "https://discord.com/api/webhooks/1/t?wait=true&thread_id=5"
    body = json.loads(made.body)
    assert body["username"] == "W"
    assert body["embeds"][0]["color"] == 0x992D22
    assert body["embeds"][0]["timestamp"] == "2026-11-21T09:42:44+00:00"
    edit = discord.request(NOTE, account, "k", "77")
    assert (edit.method, edit.url) == (
        "PATCH", "https://discord.com/api/webhooks/1/t/messages/77?thread_id=5")  # fmt: skip
    odd = discord.request(NOTE, account, "k", "../../2/u?wait=true#")
    assert odd.url.startswith("https://discord.com/api/webhooks/1/t/messages/..%2F..%2F2%2Fu%3F")
    assert json.loads(edit.body)["allowed_mentions"] == {"parse": []}
    assert discord.escape("@everyone **x** [a](b)") == r"\@everyone \*\*x\*\* \[a\]\(b\)"
    full = Notification(
        occasion=Occasion.RESOLVED, level=Level.INFO, incident="i", title="t" * 400, time=0.0,
        texts=("d" * 3500,), resolved=True, triage="x" * 3000,
        fields=tuple((f"n{n}", "v" * 900) for n in range(30)),
    )  # fmt: skip
    embed = json.loads(discord.request(full, account, "k", None).body)["embeds"][0]
    total = len(embed["title"]) + len(embed["description"])
    total += sum(len(each["name"]) + len(each["value"]) for each in embed["fields"])
    assert total <= 6000
    assert embed["color"] == 0x2ECC71


def test_twilio() -> None:
    """One number a request, a form body, basic login, segments counted for every script."""
    twilio = notifiers.load("twilio")
    assert twilio.batches(["+1", "+2"]) == (("+1",), ("+2",))
    account = Account(url="http://h", user="AC1", token="t", sender="+1501", to=("+886912345678",))
    made = twilio.request(NOTE, account, "k", None)
    assert made.url == "http://h/2010-04-01/Accounts/AC1/Messages.json"
    assert made.headers["Authorization"] == "Basic QUMxOnQ="
    form = parse_qs(made.body.decode())
    assert (form["To"], form["From"]) == (["+886912345678"], ["+1501"])
    service = twilio.request(NOTE, Account(url="http://h", sender="MG1", to=("+1",)), "k", None)
    assert parse_qs(service.body.decode())["MessagingServiceSid"] == ["MG1"]
    counted = [
        ("a" * 160, 1), ("a" * 161, 2), ("a" * 306, 2), ("a" * 307, 3), ("€" * 80, 1), ("€" * 81, 2),
        ("ก" * 70, 1), ("ก" * 71, 2), ("中" * 134, 2), ("中" * 135, 3), ("😀" * 35, 1), ("😀" * 36, 2),
    ]  # fmt: skip
    assert [segments(text) for text, _ in counted] == [count for _, count in counted]


def test_webhook_is_signed_and_versioned() -> None:
    """The signature is over time and raw body; a template replaces the body as it is."""
    webhook = notifiers.load("webhook")
    account = Account(url="http://h/x", token="secret")
    made = webhook.request(NOTE, account, "key-1", None)
    signed = made.headers["X-Timestamp"].encode() + b"." + made.body
    digest = hmac.new(b"secret", signed, hashlib.sha256).hexdigest()
    assert made.headers["X-Signature"] == f"sha256={digest}"
    assert made.headers["X-Delivery-Id"] == "key-1"
    body = json.loads(made.body)
    assert body["schema"] == "exchange-exporter/notification/v1"
    assert (body["status"], body["level"], body["incident"]) == ("firing", "critical", "abc-1")
    assert body["alerts"][0]["name"] == "ExchangeDown"
    own = Notification(occasion=Occasion.FIRING, level=Level.INFO, incident="i", title="t", texts=("x",),
               time=0.0, body="<alert/>")  # fmt: skip
    account = Account(url="http://h/x", options={"content_type": "application/xml"})
    made = webhook.request(own, account, "k", None)
    assert (made.body, made.headers["Content-Type"]) == (b"<alert/>", "application/xml")
    assert "X-Signature" not in made.headers


def test_slack_telegram_pagerduty() -> None:
    """Plain-text blocks; no parse mode and no previews; one key for an incident's whole life."""
    slack = json.loads(
        notifiers.load("slack").request(NOTE, Account(url="http://h"), "k", None).body
    )
    assert slack["blocks"][0]["text"]["type"] == "plain_text"
    telegram = notifiers.load("telegram")
    account = Account(url="http://h", token="1:t", to=("-100",))
    made = telegram.request(NOTE, account, "k", None)
    assert made.url == "http://h/bot1:t/sendMessage"
    assert json.loads(made.body)["link_preview_options"] == {"is_disabled": True}
    edit = telegram.request(NOTE, account, "k", "7")
    assert edit.url.endswith("/editMessageText")
    assert json.loads(edit.body)["message_id"] == 7
    pagerduty = notifiers.load("pagerduty")
    account = Account(url="http://h", token="r")
    trigger = json.loads(pagerduty.request(NOTE, account, "k", None).body)
    ended = Notification(occasion=Occasion.RESOLVED, level=Level.CRITICAL, incident="abc-1", title="t",
                 texts=("x",), time=0.0, resolved=True)  # fmt: skip
    resolve = json.loads(pagerduty.request(ended, account, "k2", None).body)
    assert (trigger["event_action"], resolve["event_action"]) == ("trigger", "resolve")
    assert trigger["dedup_key"] == resolve["dedup_key"]
    assert trigger["payload"]["severity"] == "critical"
    assert trigger["links"] == [{"href": "https://runbooks/x", "text": "Runbook"}]
