"""What is posted, read alert by alert: an odd value costs itself, and no page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from exporter.decoding import ParseError
from exporter.notification import Level
from exporter.relay import webhook
from tests.relay.parts import EPOCH

CASES = Path(__file__).parent / "cases"
NOW = 1_796_020_000.0  # after all of the cases' starts
GIVEN = 1_796_004_707.590846

# file: name, level, start, whole
READ: dict[str, tuple[str, Level, float, bool]] = {
    "annotations-null": ("an", Level.CRITICAL, GIVEN, True),
    "bad-utf8": ("bu", Level.CRITICAL, GIVEN, True),
    "base": ("base", Level.CRITICAL, GIVEN, True),
    "bom": ("bom", Level.CRITICAL, GIVEN, True),
    "common-null": ("cn", Level.CRITICAL, GIVEN, True),
    "emoji-long": ("emo", Level.CRITICAL, GIVEN, True),
    "endsat-null": ("en", Level.CRITICAL, GIVEN, True),
    "future": ("fut", Level.CRITICAL, GIVEN + 3660.0, True),
    "grafana-nodata": ("DatasourceNoData", Level.WARNING, GIVEN + 60.0, True),
    "grafana-test": ("TestAlert", Level.WARNING, GIVEN + 60.0, True),
    "groupkey-missing": ("gm", Level.CRITICAL, GIVEN, True),
    "huge-annotation": ("huge", Level.CRITICAL, 0.0, False),  # the file is cut off
    "kubesphere-array": ("alert", Level.WARNING, 0.0, False),
    "label-number": ("lnum", Level.CRITICAL, GIVEN, True),
    "startsat-empty": ("se", Level.CRITICAL, 0.0, True),
    "status-pending": ("sp", Level.CRITICAL, GIVEN, True),
    "surrogate": ("sur", Level.CRITICAL, GIVEN, True),
    "thai": ("thai", Level.CRITICAL, GIVEN, True),
    "tz-none": ("tzn", Level.CRITICAL, 1_796_004_000.0, True),
}


def test_every_case_is_in_the_table() -> None:
    """A case that is added is read, too."""
    assert {file.stem for file in CASES.glob("*.json")} == READ.keys()


@pytest.mark.parametrize("case", READ)
def test_cases_from_public_reports(case: str) -> None:
    """Each of them fires, with its name, level and start."""
    post = webhook.read((CASES / f"{case}.json").read_bytes(), NOW)
    (alert,) = post.alerts
    name, level, start, whole = READ[case]
    assert (alert.name, alert.level, post.whole) == (name, level, whole)
    assert alert.start == pytest.approx(start, abs=1e-3)
    assert (alert.firing, alert.end) == (True, None)
    assert post.unread == (case == "huge-annotation")


def _alert(**more: Any) -> dict[str, Any]:
    labels = {"alertname": "Down", "severity": "critical"}
    return {"status": "firing", "labels": labels, "startsAt": "2026-11-30T02:11:47.59Z", **more}


def _post(*alerts: object, **more: Any) -> bytes:
    return json.dumps({"groupKey": "g", "status": "firing", "alerts": alerts, **more}).encode()


ODD: tuple[object, ...] = (
    None,
    "",
    "x",
    0,
    -1,
    1.5,
    1e300,
    True,
    [],
    ["x"],
    {},
    {"a": None},
    [[{}]],
    10**30,
)
FIELDS = ("status", "labels", "annotations", "startsAt", "endsAt", "fingerprint", "generatorURL")
ENVELOPE = ("receiver", "status", "groupLabels", "commonLabels", "commonAnnotations",
            "externalURL", "version", "groupKey", "truncatedAlerts")  # fmt: skip


@pytest.mark.parametrize("field", FIELDS)
def test_an_odd_value_of_an_alert_costs_no_other_alert(field: str) -> None:
    """Ninety-nine good alerts beside any value of any type: all are told."""
    good = [_alert(fingerprint=str(n)) for n in range(99)]
    for value in ODD:
        odd = _alert(annotations={"summary": "s"}) | {field: value}
        post = webhook.read(_post(*good, odd), NOW)
        assert len(post.alerts) == 100, value
        assert [alert.fingerprint for alert in post.alerts[:99]] == [str(n) for n in range(99)]
        assert all(alert.firing for alert in post.alerts), value
        assert all(alert.start == 0.0 or alert.start > 9e8 for alert in post.alerts)


@pytest.mark.parametrize("field", ENVELOPE)
def test_an_odd_value_of_the_envelope_costs_no_alert(field: str) -> None:
    """Also where the group's own fields are of another type, or not there."""
    for value in ODD:
        post = webhook.read(_post(_alert(), **{field: value}), NOW)
        assert [alert.name for alert in post.alerts] == ["Down"], value
    body = json.loads(_post(_alert()))
    body.pop(field, None)
    assert webhook.read(json.dumps(body).encode(), NOW).alerts[0].level is Level.CRITICAL


_DEEP = "[" * 100_000 + "]" * 100_000
BROKEN = {
    "deep label": f'{{"labels": {{"alertname": {_DEEP}}}}}',
    "deep annotation": f'{{"labels": {{"alertname": "A"}}, "annotations": {{"a": {_DEEP}}}}}',
    "deep and unknown": f'{{"labels": {{"alertname": "A"}}, "extra": {_DEEP}}}',
    "no alert, and deep": _DEEP,
    "comma too many": '{"labels": {"alertname": "A",}}',
    "quotes of another language": "{'labels': {'alertname': 'A'}}",
    "a comment": '{"labels": {"alertname": "A"} /* down */}',
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("place", [0, 50, 99])
def test_an_alert_that_is_no_json_costs_no_other_alert(broken: str, place: int) -> None:
    """Nesting that no decoder follows, or a mistake within one alert: the others are told."""
    good = [json.dumps(_alert(fingerprint=str(n))) for n in range(99)]
    whole = json.loads(_post(groupKey="g", receiver="page"))
    whole.pop("alerts")
    entries = ", ".join([*good[:place], broken, *good[place:]])
    post = webhook.read(f'{{"alerts": [{entries}], {json.dumps(whole)[1:]}'.encode(), NOW)
    assert [alert.fingerprint for alert in post.alerts] == [str(n) for n in range(99)]
    assert post.unread >= 1
    assert not post.whole, "what could not be read may fire"
    assert (post.receiver, post.key) == ("page", webhook.read(_post(_alert(), groupKey="g"), 0).key)


def test_an_envelope_that_is_no_json_costs_no_alert() -> None:
    """The group is not known then, and that something could not be read is said."""
    body = f'{{"extra": {_DEEP}, "alerts": [{json.dumps(_alert())}]}}'
    post = webhook.read(body.encode(), NOW)
    assert [alert.name for alert in post.alerts] == ["Down"]
    assert (post.unread, post.whole) == (1, False)
    assert "recursion" in post.why


def test_what_is_no_text_tells_no_alerts_apart() -> None:
    """A fingerprint of another type may be the same for all: their labels are not."""
    values: tuple[object, ...] = (0, [], {}, True, None, "")
    for value in values:
        posted = [_alert(labels={"alertname": "Down", "n": n}, fingerprint=value) for n in (1, 2)]
        assert len({alert.fingerprint for alert in webhook.read(_post(*posted), NOW).alerts}) == 2


def test_alerts_by_name_are_alerts() -> None:
    """An object of alerts in place of a list: each of them is read."""
    body = json.loads(_post())
    body["alerts"] = {
        "a": _alert(labels={"alertname": "A"}),
        "b": _alert(labels={"alertname": "B"}),
    }
    names = [alert.name for alert in webhook.read(json.dumps(body).encode(), NOW).alerts]
    assert names == ["A", "B"]


def test_values_of_labels_are_text() -> None:
    """Numbers, truth and lists are spelt; null is no label; the important ones are never cut."""
    labels = {f"a{n:03}": n for n in range(100)} | {"z": None, "severity": ["critical"], "up": True}
    (alert,) = webhook.read(_post(_alert(labels=labels | {"alertname": 7})), NOW).alerts
    assert (alert.name, alert.level) == ("7", Level.CRITICAL)
    assert alert.labels["severity"] == "critical"
    assert alert.labels["a001"] == "1"
    assert "z" not in alert.labels


def test_labels_that_cannot_be_read_are_the_groups() -> None:
    """Name and level are known from what all alerts of the group share."""
    body = _post(_alert(labels=3), groupLabels={"alertname": "Down", "severity": "critical"})
    (alert,) = webhook.read(body, NOW).alerts
    assert (alert.name, alert.level) == ("Down", Level.CRITICAL)


@pytest.mark.parametrize("entry", [None, 1, "x", [], True, {}, {"status": "firing"}])
def test_what_is_no_alert_is_counted_and_the_others_are_told(entry: object) -> None:
    """And then the post is not the whole group: what it leaves out may fire."""
    post = webhook.read(_post(entry, _alert()), NOW)
    assert [alert.name for alert in post.alerts] == ["Down"]
    assert (post.unread, post.whole) == (1, False)
    assert post.why
    with pytest.raises(ParseError):
        webhook.read(_post(entry), NOW)


@pytest.mark.parametrize(
    ("spelling", "start"),
    [
        ("2026-11-30T02:11:47.590846789Z", GIVEN),
        ("2026-11-30t02:11:47.590846z", GIVEN),
        ("2026-11-30T10:11:47.590846+08:00", GIVEN),
        ("2026-11-30T10:11:47.590846+0800", GIVEN),
        ("2026-11-30 02:11:47.590846", GIVEN),
        ("2026-11-30 02:11:47.590846789 +0000 UTC m=+0.000000001", GIVEN),
        ("Mon, 30 Nov 2026 02:11:47 GMT", GIVEN - 0.590846),
        ("1796004707.590846", GIVEN),
        (1_796_004_707.590846, GIVEN),
        (1_796_004_707_590, GIVEN),
        (1_796_004_707_590_846, GIVEN),
        ("1796004707590846789", GIVEN),
        ("2016-12-31T23:59:60Z", 1_483_228_799.0),
        ("0001-01-01T00:00:00Z", 0.0),
        ("0001-01-01T00:00:00+14:00", 0.0),
        ("9999-12-31T23:59:59Z", 0.0),
        ("9999-12-31T23:59:59-12:00", 0.0),
        ("10000-01-01T00:00:00Z", 0.0),
        ("2026-02-30T00:00:00Z", 0.0),
        ("1970-01-01T00:00:00Z", 0.0),
        ("yesterday", 0.0),
        ("NaN", 0.0),
        (-5, 0.0),
    ],
)
def test_dates_of_any_spelling(spelling: object, start: float) -> None:
    """What is no moment of an alert is unknown, for its start and for its end."""
    (alert,) = webhook.read(_post(_alert(startsAt=spelling)), NOW).alerts
    assert alert.start == pytest.approx(start, abs=1e-3)
    (alert,) = webhook.read(_post(_alert(status="resolved", endsAt=spelling)), NOW).alerts
    assert alert.end == (pytest.approx(start, abs=1e-3) if start else None)


@pytest.mark.parametrize(
    ("status", "end", "firing"),
    [
        ("firing", "2026-11-30T02:11:48Z", True),
        ("FIRING ", None, True),
        ("resolved", None, False),
        ("Resolved", "0001-01-01T00:00:00Z", False),
        ("ok", None, False),
        ({"state": "active"}, None, True),
        ("suppressed", None, True),
        ("burning", "0001-01-01T00:00:00Z", True),
        ("burning", "2026-11-30T02:11:48Z", False),
        (None, "2026-11-30T02:11:48Z", False),
        (None, "2199-11-30T02:11:48Z", True),
    ],
)
def test_status_of_any_spelling(status: object, end: object, firing: bool) -> None:
    """An unknown word fires, unless the end has passed: a page too many is the smaller harm."""
    (alert,) = webhook.read(_post(_alert(status=status, endsAt=end)), NOW).alerts
    assert alert.firing is firing


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32-be"])
def test_other_encodings(encoding: str) -> None:
    """A byte order mark, and the other encodings of Unicode."""
    body = _post(_alert(annotations={"summary": "ราคา"})).decode()
    text = json.dumps(json.loads(body), ensure_ascii=False)
    (alert,) = webhook.read(text.encode(encoding), NOW).alerts
    assert alert.annotations["summary"] == "ราคา"


def test_text_that_is_not_quite_json() -> None:
    """Raw control characters, half surrogates, not-numbers, huge numbers, and what comes after."""
    good = _post(_alert(annotations={"summary": "SUM", "n": 5}), values=7)
    for old, new in (
        (b"SUM", b"a\nb\tc"), (b"SUM", b"\xff\xfe\x00"), (b"SUM", rb"\ud83d"), (b"SUM", b"caf\xe9"),
        (b" 7", b" NaN"), (b" 7", b" -Infinity"), (b" 7", b"9" * 6000), (b" 5", b"1e99999"),
    ):  # fmt: skip
        post = webhook.read(good.replace(old, new), NOW)
        assert (post.alerts[0].name, post.unread) == ("Down", 0), new
    assert webhook.read(good + b"\0\0{", NOW).alerts[0].name == "Down"


def test_a_post_whose_end_is_missing() -> None:
    """Wherever it is cut off, what alerts came before are told, and that some may be missing."""
    body = _post(*(_alert(labels={"alertname": f"A{n}"}) for n in range(5)))
    ends = [body.index(f'"A{n}"'.encode()) + 4 for n in range(5)]
    for length in range(ends[0], len(body)):
        post = webhook.read(body[:length], NOW)
        names = [alert.name for alert in post.alerts]
        whole = sum(end <= length for end in ends)
        assert names[:whole] == [f"A{n}" for n in range(whole)], length
        assert post.unread >= 1
        assert not post.whole


@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b"7", b'"x"', b"[]", b"{}", b"[" * 60_000, b'{"alerts": []}',
             b'{"alerts": null}', b"\xff\xfe" * 50, b"alerts=1"]
)  # fmt: skip
def test_what_holds_no_alert_is_refused(body: bytes) -> None:
    """It is one kind of error, whatever is wrong."""
    with pytest.raises(ParseError):
        webhook.read(body, NOW)


def test_one_by_hand_is_strict_about_its_keys() -> None:
    """Whoever writes one reads the answer."""
    assert webhook.read_plain(b'\xef\xbb\xbf{"title": "caf\xe9"}', EPOCH).alerts[0].name == "caf"
    for wrong in (b'{"title": ""}', b'{"title": "x", "status": "ended"}', b'{"titel": "x"}'):
        with pytest.raises(ParseError):
            webhook.read_plain(wrong, EPOCH)
