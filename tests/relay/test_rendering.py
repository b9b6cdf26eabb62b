"""What people read: every language, every receiver, whatever an alert says; nothing is lost."""

from __future__ import annotations

import json
import re
import unicodedata
from functools import cache
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.notification import Alert, Level, Notification, Occasion
from exporter.relay import escaping, notifiers, rendering, webhook
from exporter.relay.escaping import utf16_units
from exporter.relay.incident import Incident, IncidentRules, advance
from exporter.relay.notifiers.twilio import segments
from tests.relay.hostile import TEXTS
from tests.relay.parts import EPOCH, make, receiver

NAMES = notifiers.names()


def _incident(*alerts: Alert) -> Incident:
    given = alerts or (make(),)
    rules = IncidentRules()
    found, _ = advance(None, given, group="g", serial=1, now=EPOCH, rules=rules)
    assert found is not None
    return found


@cache
def _posted(text: str) -> Incident:
    """Return the incident of an alert that says ``text`` wherever an alert can say something."""
    body = {
        "receiver": "relay",
        "groupKey": text,
        "alerts": [
            {
                "status": "firing",
                "labels": {"alertname": text, "exchange": text, "severity": "critical", "x": text,
                           "receiver": text, text or "k": "v"},
                "annotations": {"summary": text, "description": text, "action": text,
                                "runbook_url": text, "severity": text, "to": text},
            }
        ],
    }  # fmt: skip
    raw = json.dumps(body).encode()
    if "\ud800" in text:  # what no JSON writer would write, a sender may
        raw = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
    return _incident(*webhook.read(raw, EPOCH).alerts)


@pytest.mark.parametrize("language", rendering.languages())
@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("name", sorted(TEXTS))
def test_hostile_texts_stay_text(name: str, kind: str, language: str) -> None:
    """No control sign, no extra title line, no mention, no link; level and recipients untouched."""
    incident = _posted(TEXTS[name])
    assert incident.level is Level.CRITICAL
    to = {"line": ("U" + "0" * 32,), "telegram": ("-100",), "twilio": ("+15550000000",)}
    one = receiver(kind, language=language)
    notes = rendering.compose(one, incident, Occasion.FIRING, EPOCH)
    assert len(notes) <= 4
    for note in notes:
        for text in (note.title, *note.texts, *(value for _, value in note.fields)):
            assert one.notifier.measure(text) <= max(one.limit, 300 if text == note.title else 0)
            for char in text.replace("\n", ""):
                assert unicodedata.category(char) not in ("Cc", "Cs", "Co", "Zl", "Zp")
                assert (
                    char not in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f"
                )
            assert not re.search(r"(?i)(?:https?|javascript|tg):\s*/?/?\w", text)
            assert "\n" not in note.title
        assert "49" not in note.title
        account = one.accounts[0]
        account = type(account)(url="http://h/x", token="t", user="u", sender="s",
                                to=to.get(kind, ()))  # fmt: skip
        _check_wire(kind, note, one.notifier.request(note, account, "key", None).body)


def _check_wire(kind: str, note: Notification, body: bytes) -> None:
    """Hold the request itself to what its service would make of the text."""
    if kind == "twilio":
        form = parse_qs(body.decode())
        assert (form["To"], len(form["Body"])) == (["+15550000000"], 1)
        assert segments(form["Body"][0]) == 1
        return
    found = json.loads(body)
    if kind == "discord":
        assert found["allowed_mentions"] == {"parse": []}
        text = found["embeds"][0]["description"]
        assert not re.search(r"(?<!\\)[*_~`|<@\[]", re.sub(r"\\.", "", text))
    elif kind == "slack":
        assert all(block["text"]["type"] == "plain_text" for block in found["blocks"])
        assert "<" not in json.dumps(found)
        assert found["mrkdwn"] is False
    elif kind == "telegram":
        assert "parse_mode" not in found
        assert not re.search(r"[@#/$](?=\w)", found["text"].replace("]", ""))
        assert found["chat_id"] == "-100"
    elif kind == "line":
        assert {message["type"] for message in found["messages"]} == {"text"}
        assert found["to"] == "U" + "0" * 32
    elif kind == "pagerduty":
        assert found["payload"]["severity"] == "critical"


@given(
    lines=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=90)),
    limit=st.integers(20, 200),
)
def test_splitting_loses_nothing(lines: list[str], limit: int) -> None:
    """Joined again the parts are the whole, in order, and each fits."""
    parts = rendering.split(lines, limit, utf16_units)
    assert all(utf16_units(part) <= limit for part in parts)
    assert "".join(parts).replace("\n", "") == "".join(lines)


@pytest.mark.parametrize("kind", [name for name in NAMES if name != "twilio"])
def test_every_alert_is_told(kind: str) -> None:
    """30 long alerts are listed one by one over as many messages as it takes."""
    alerts = [
        make(str(n), exchange=f"venue{n}x", annotations={"summary": "s" * 400 + f" end{n}e"})
        for n in range(30)
    ]
    one = receiver(kind)
    notes = rendering.compose(one, _incident(*alerts), Occasion.FIRING, EPOCH)
    whole = "\n".join(text for note in notes for text in note.texts)
    assert all(f"venue{n}x" in whole and f"end{n}e" in whole for n in range(30))
    assert all(len(note.texts) <= one.notifier.texts for note in notes)
    many = _incident(*(make(str(n), name=f"Name{n % 9}") for n in range(1000)))
    notes = rendering.compose(one, many, Occasion.FIRING, EPOCH)
    whole = "\n".join(text for note in notes for text in note.texts)
    assert sum(int(count) for count in re.findall(r"(\d+) ×", whole)) == 1000


@pytest.mark.parametrize("language", rendering.languages())
@pytest.mark.parametrize("occasion", [each for each in Occasion if each is not Occasion.DIGEST])
def test_every_occasion_in_every_language(language: str, occasion: Occasion) -> None:
    """Each has a title of its own, in the long form and the short one."""
    ended = _incident(make(), make("b"))
    long = rendering.compose(receiver("line", language=language), ended, occasion, EPOCH + 4000.0)
    short = rendering.compose(
        receiver("twilio", language=language), ended, occasion, EPOCH + 4000.0
    )
    assert long[0].title.startswith("[")
    assert short[0].texts[0].startswith("[")
    assert ("ExchangeDown" in short[0].texts[0]) is ("ExchangeDown" in long[0].title) is True
    thai = any("\u0e00" <= char <= "\u0e7f" for char in long[0].title)
    assert thai is (language == "th")


def test_durations_are_spelled_in_the_reader_s_words() -> None:
    """Two units at most."""
    spelled = [rendering.span(n) for n in (5, 125, 3600, 7500, 266_400)]
    assert spelled == ["5 s", "2 min", "1 h", "2 h 5 min", "3 d 2 h"]
    assert rendering.span(7500, "th") == "2 ชม. 5 นาที"


def test_a_broken_template_does_not_lose_the_page() -> None:
    """What fails only with certain alerts falls back to the shipped text; the page goes out."""
    one = receiver("line", template="{{ labels.rack.row }}\n{{ 1 / (total - 2) }}")
    (note,) = rendering.compose(one, _incident(), Occasion.FIRING, EPOCH)
    assert note.title == "[CRITICAL] ExchangeDown okx"
    own = receiver("line", template="{{ name }} at {{ exchanges }}\n{{ summary }}")
    (note,) = rendering.compose(own, _incident(), Occasion.FIRING, EPOCH)
    assert note.texts == ("ExchangeDown at okx\nokx does not answer",)
    body = receiver(
        "webhook", body='{"text": {{ summary | tojson }}, "firing": {{ firing_count }}}'
    )
    (note,) = rendering.compose(body, _incident(), Occasion.FIRING, EPOCH)
    assert json.loads(note.body or "") == {"text": "okx does not answer", "firing": 1}


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_cleaning_is_bounded_and_stable(name: str) -> None:
    """A megabyte costs milliseconds, and what is clean stays as it is."""
    once = escaping.line(TEXTS[name], 300)
    assert len(once) <= 300
    assert escaping.line(once, 300) == once


def test_redaction() -> None:
    """Keys, tokens, addresses of machines, wallets and people do not reach the model."""
    left = escaping.redacted(TEXTS["secrets"])
    for secret in ("sk-abc", "abc.def", "10.0.0.5", "corp.example", "0x5290", "AKIA", "hunter22",
                   "eyJ", "2001:db8", "234 5678"):  # fmt: skip
        assert secret not in left
    plain = "okx btc-usdt p99 250 ms at 07:26:12, HTTP 503, error rate 12.5 %, 3 of 5 streams stale"
    assert escaping.redacted(plain) == plain
