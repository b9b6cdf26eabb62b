"""Foreign text in what people and programs get: it stays text, in every service and body."""

from __future__ import annotations

import json
import urllib.parse
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from exporter.notification import Alert, HttpRequest, Occasion
from exporter.relay import escaping, notifiers, rendering
from exporter.relay.incident import Incident
from tests.relay.parts import EPOCH, make, receiver

NASTY = '","admin":true,"z":"\\<b>&amp;{{ 7*7 }}\u2028'
BODY = (
    '{"text": "{{ name }}", "n": {{ firing_count }}, "labels": {{ labels | tojson }}, '
    '"all": {{ labels }}}'
)


def _incident(*alerts: Alert) -> Incident:
    return Incident(
        id="i", group="g", opened=EPOCH, alerts={alert.fingerprint: alert for alert in alerts}
    )


def _body(template: str, content_type: str, name: str) -> str:
    base = receiver("webhook", body=template)
    account = replace(base.accounts[0], options={"content_type": content_type})
    labels = {"alertname": name, "exchange": name}
    incident = _incident(make("a", name=name, exchange=name, labels=labels))
    one = replace(base, accounts=(account,))
    (note,) = rendering.compose(one, incident, Occasion.FIRING, EPOCH)
    assert note.body is not None
    return note.body


def test_a_body_of_ones_own_stays_json() -> None:
    """A label that ends its string becomes no key: with the filter tojson, and without it."""
    found = json.loads(_body(BODY, "application/json", NASTY))
    assert found.keys() == {"text", "n", "labels", "all"}
    assert found["text"] == NASTY
    assert found["n"] == 1
    assert found["labels"] == found["all"] == {"alertname": NASTY, "exchange": NASTY}


@pytest.mark.parametrize(
    "kind", ["text/json", "text/x-json; charset=utf-8", "application/vnd.a+json", "text/yaml"]
)
def test_json_by_any_name_is_json(kind: str) -> None:
    """What calls itself text and is JSON is escaped as JSON."""
    found = json.loads(_body('{"a": "{{ name }}"}', kind, NASTY))
    assert found == {"a": NASTY}


@pytest.mark.parametrize("filters", ["e", "escape", "safe", "forceescape", "urlize", "e | e"])
@pytest.mark.parametrize("name", ["x\\", '","admin":1,"z":"', '{",":":","b":"c"}', '"'])
def test_what_is_safe_in_html_is_not_in_json(filters: str, name: str) -> None:
    """A quote, or a backslash before one of the template's, ends no string, whatever the filter."""
    body = f'{{"a": "{{{{ name | {filters} }}}}", "b": "{{{{ name }}}}"}}'
    found = json.loads(_body(body, "application/json", name))
    assert found.keys() == {"a", "b"}
    assert found["b"] == name
    nested = _body('{"a": {{ name | tojson | safe }}}', "application/json", name)
    assert json.loads(nested) == {"a": name}


def test_bodies_of_other_types() -> None:
    """A form's pairs and a document's elements stay as the template has them; text is text."""
    form = _body("a={{ name }}&b=1", "application/x-www-form-urlencoded", "x&admin=1=%+")
    assert urllib.parse.parse_qsl(form) == [("a", "x&admin=1=%+"), ("b", "1")]
    document = _body("<a b='{{ name }}'>{{ exchanges }}</a>", "application/xml", "'/><x y=']]>")
    parsed = ElementTree.fromstring(document)  # noqa: S314
    assert (parsed.tag, parsed.attrib, list(parsed)) == ("a", {"b": "'/><x y=']]>"}, [])
    assert _body("{{ name }}", "text/plain", '"<&') == '"<&'


LABELS = {
    "long": "x" * 300,
    "wide": "測" * 300,
    "emoji": "\N{FIRE}" * 300,
    "markdown": "*_~`|>#[]()<@:-" * 20,
    "lines": "a\nb\r\nc\u2028d\x0be",
    "signs": "=" * 50,
    "blank": " \t\u200b",
    "quotes": "\"'\\" * 50,
}
TEXTS = {"line": "messages", "pagerduty": "payload", "twilio": "Body", "slack": "text"}


@pytest.mark.parametrize("kind", [k for k in notifiers.names() if k != "webhook"])
@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("count", [1, 7, 400])
def test_titles_hold_whatever_the_labels_are(kind: str, label: str, count: int) -> None:
    """Name and exchange both stand in a title within the service's bound, with the level first."""
    one = receiver(kind)
    raw = LABELS[label]
    name = escaping.line(raw, 300) or "alert"
    alerts = [
        make(str(n), name=name, exchange=f"okx{n}" if n else "okx", labels={"n": str(n)})
        for n in range(count)
    ]
    for occasion in (Occasion.FIRING, Occasion.UPDATE, Occasion.RESOLVED):
        for note in rendering.compose(one, _incident(*alerts), occasion, EPOCH + 60.0):
            assert 0 < len(note.title) <= 320 if one.notifier.short else 256
            assert "\n" not in note.title
            assert "okx" in note.title or one.notifier.short
            if count > 5 and not one.notifier.short:
                assert f"+{count - 5}" in note.title


@pytest.mark.parametrize("kind", ["line", "twilio", "pagerduty", "discord", "telegram", "apprise"])
def test_nobody_is_mentioned_and_nothing_is_a_link(kind: str) -> None:
    """@everyone, @here, schemes and www are broken in title, text and fields of every service."""
    evil = (
        "@everyone @here https://evil.example/x www.evil.example \uff20all claim-okx.top/a "
        "t.me/okx a@mail.okx.net 203.0.113.7/x 203.0.113.7:80/x xn--evil.xn--p1ai ftp://a intent://b"
    )
    clean = escaping.line(evil, 300)
    one = receiver(kind, to=("U" + "0" * 32,))
    alert = make("a", name=clean, exchange="@everyone", annotations={"summary": clean})
    sent: list[HttpRequest] = []
    for note in rendering.compose(one, _incident(alert), Occasion.FIRING, EPOCH):
        sent.append(one.notifier.request(note, one.accounts[0], "key", None))
    for request in sent:
        body = (request.body or b"").decode()
        text = (
            urllib.parse.unquote_plus(body)
            if kind == "twilio"
            else json.dumps(json.loads(body), ensure_ascii=False)
        )
        bare = ("www.evil", "\uff20all", "okx.top", "t.me", "mail.okx", "113.7", "evil.xn--")
        schemes = ("https://evil", "ftp://", "intent://")
        for word in ("@everyone", "@here", *schemes, *bare):
            if kind == "discord" and word in bare:
                continue  # it makes links of schemes alone
            if kind == "discord":
                text = text.replace("\\\\@", "\\\\ ")  # a backslash before it makes it text
            assert word not in text, word
