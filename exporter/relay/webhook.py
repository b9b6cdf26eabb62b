"""Parses what is posted to the relay: Alertmanager's webhook, Grafana's, or one JSON alert.

Source: Alertmanager docs, "Configuration", section "webhook_config", and version 0.25.0 observed
on loopback 2026-11-20; Grafana docs, "Configure the webhook notifier", read 2026-11-20.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

from exporter.decoding import DOUBTFUL, ParseError, reading
from exporter.notification import Alert, Level
from exporter.relay import escaping
from exporter.words import quoted

LABEL: Final = 300  # characters of a label's value that are kept
ANNOTATION: Final = 1000
_MOST_LABELS: Final = 40
_MOST_ALERTS: Final = 20_000
_FIRST: Final = ("alertname", "severity", "exchange")  # labels that no bound takes away
# What other senders write for "resolved"; any other word is an alert that fires.
_ENDED: Final = frozenset({"resolved", "ok", "normal", "inactive", "closed", "recovered"})
_BURNS: Final = frozenset({"firing", "active", "alerting"})
_TIMES: Final = (978_307_200.0, 7_258_118_400.0)  # 2001 to 2200, epoch seconds


class _Plain(msgspec.Struct, forbid_unknown_fields=True):
    """One alert by hand: ``{"title": "...", "severity": "critical"}`` is enough."""

    title: str
    message: str = ""
    severity: str = "warning"
    status: str = "firing"
    exchange: str = ""
    key: str = ""
    receiver: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One notification for one group of alerts, clean. ``more``: alerts it counts and leaves out.

    ``group`` is the group's key, hashed: it may be of any length; ``key`` is the same without the
    receiver's name. ``sender`` tells Alertmanagers apart. ``whole``: what it leaves out does not
    fire any more. ``over``: the sender says that nothing of the group fires. ``unread``: entries
    that are no alerts, and ``why`` the first of them is none.
    """

    group: str
    receiver: str
    alerts: tuple[Alert, ...]
    more: int = 0
    key: str = ""
    sender: str = ""
    whole: bool = False
    over: bool = False
    unread: int = 0
    why: str = ""


def read(body: bytes, now: float) -> Post:
    """Read a webhook's body, alert by alert: one odd value must not lose the others.

    Raises ParseError when there is no alert in it at all.
    """
    with reading("webhook"):
        found, flaw = _decoded(body)
        if isinstance(found, list) or (isinstance(found, dict) and "labels" in found):
            found = {"alerts": found}  # alerts without an envelope
        if not isinstance(found, dict) or "alerts" not in found:
            raise ParseError("webhook: found no alerts, expected an object with a list of them")
        listed = _listed(found["alerts"])
        shared = _table(found.get("commonLabels")) | _table(found.get("groupLabels"))
        alerts, unread, why = list[Alert](), int(bool(flaw)), flaw
        for entry in listed[:_MOST_ALERTS]:
            try:
                alerts.append(_alert(entry, shared, now))
            except DOUBTFUL as error:
                unread, why = unread + 1, why or str(error)[:200]
        if not alerts:
            raise ParseError(f"webhook: no alerts in it: {why or 'the list is empty'}")
        more = _count(found.get("truncatedAlerts"))
        beyond = max(0, len(listed) - _MOST_ALERTS)
        grouped = _table(found.get("groupLabels"))
        named = _text(found.get("groupKey")) or (repr(sorted(grouped.items())) if grouped else "")
        key = named or repr(sorted({alert.name for alert in alerts}))
        receiver = escaping.line(_text(found.get("receiver")), LABEL)
        return Post(
            group=_hash(f"{receiver}\0{key}"),
            receiver=receiver,
            alerts=tuple(alerts),
            more=min((more or 0) + beyond, 1_000_000),
            key=_hash(key),
            sender=_hash(_text(found.get("externalURL")))[:8],
            whole=bool(named) and more == 0 and not beyond and not unread,
            over=_word(found.get("status")) == "resolved" and more == 0 and not beyond,
            unread=unread,
            why=why,
        )


def read_plain(body: bytes, now: float) -> Post:
    """Read one plain alert, written by hand: a mistake in it is said. Raises ParseError."""
    with reading("alert"):
        plain = msgspec.convert(_decoded(body)[0], _Plain)
        if not plain.title.strip():
            raise ParseError("alert: the title is empty")
        if plain.status not in ("firing", "resolved"):
            raise ParseError(f"alert: unknown status {quoted(plain.status[:40])}")
        labels = {**plain.labels, "alertname": plain.title, "severity": plain.severity}
        if plain.exchange:
            labels["exchange"] = plain.exchange
        annotations = {**plain.annotations}
        if plain.message:
            annotations["summary"] = plain.message
        key = plain.key or f"{plain.exchange}\0{plain.title}"
        # One alert a key: the same again while it fires is a duplicate, then a reminder.
        posted = {
            "status": plain.status,
            "labels": labels,
            "annotations": annotations,
            "fingerprint": _hash(key),
        }
        return Post(
            group=_hash(f"plain {key}"),
            receiver=escaping.line(plain.receiver, LABEL),
            alerts=(_alert(posted, {}, now),),
        )


_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*+("?)|[\[\]{}]', re.DOTALL)
_LIST: Final = re.compile(r'"alerts"\s*+:\s*+\[')
_HALF_ESCAPE: Final = re.compile(r"\\(?:u[0-9A-Fa-f]{0,3})?\Z")
_LENIENT: Final = json.JSONDecoder(strict=False, parse_int=str, parse_float=str, parse_constant=str)


def _listed(alerts: object) -> list[object]:
    """Return the entries of a list of alerts, of an object of them, or of one alone."""
    if isinstance(alerts, dict) and "labels" not in alerts:
        return list(alerts.values())
    return alerts if isinstance(alerts, list) else [alerts]


def _decoded(body: bytes) -> tuple[object, str]:
    """Decode JSON, as leniently as it can be read; tell also what is wrong with it as a whole.

    A byte order mark, another Unicode encoding, bytes that are no text, half surrogates, control
    characters within text, numbers of any size, and what follows the end do no harm. Where the
    whole cannot be read, each alert is read by itself.
    """
    with suppress(*DOUBTFUL):
        return msgspec.json.decode(body), ""
    text = body.decode(json.detect_encoding(body), errors="replace").lstrip("\ufeff \t\r\n")
    try:
        return _LENIENT.raw_decode(text)[0], ""
    except (ValueError, RecursionError) as error:
        if isinstance(error, ValueError):
            closed, closing = _closed(text)
            for missing in ("", "null", ":null"):  # a value, or a name's colon and value
                with suppress(ValueError, RecursionError):
                    found = _LENIENT.raw_decode(closed + missing + closing)[0]
                    return found, "its end is missing" if closing else ""
        if (apart := _apart(text)) is None:
            raise
        return apart, f"not all of it can be read: {error}"[:200]


def _apart(text: str) -> dict[str, object] | None:
    """Read a post's envelope, and each of its alerts by itself; None without a list of them.

    An entry that cannot be read stays the text that it is, which is no alert.
    """
    opened = _LIST.search(text)
    if opened is None:
        return None
    entries, depth, start, end = list[object](), 0, 0, len(text)
    for token in _TOKEN.finditer(text, opened.end()):
        if token[0][0] in "{[":
            start = token.start() if depth == 0 else start
            depth += 1
        elif token[0][0] in "}]":
            if depth == 0:
                end = token.start()
                break
            depth -= 1
            if depth == 0:
                entries.append(_alone(text[start : token.end()]))
    envelope = _alone(text[: opened.end()] + text[end:])
    return {**(envelope if isinstance(envelope, dict) else {}), "alerts": entries}


def _alone(text: str) -> object:
    """Decode a piece of a post, or return it as it is."""
    with suppress(ValueError, RecursionError):
        return _LENIENT.raw_decode(text)[0]
    return text


def _closed(text: str) -> tuple[str, str]:
    """Return a text that was cut off, its last string closed, and the brackets that are missing."""
    opened, half = list[str](), False
    for token in _TOKEN.finditer(text):
        sign, half = token[0][0], token[1] == ""
        if sign in "{[":
            opened.append("}" if sign == "{" else "]")
        elif sign in "}]" and opened:
            opened.pop()
    text = _HALF_ESCAPE.sub("", text) + '"' if half else text.rstrip(", \t\r\n")
    return text, "".join(reversed(opened))


def _alert(posted: object, shared: Mapping[str, str], now: float) -> Alert:
    """Read one alert. ``shared``: labels of its group, for one whose own cannot be read.

    A start that is not given, or cannot be, is 0: the incident's beginning stands for it.
    """
    if not isinstance(posted, dict):
        raise ParseError(f"an alert is no object: {quoted(msgspec.json.encode(posted)[:60])}")
    found, annotations = _table(posted.get("labels")), _table(posted.get("annotations"))
    if not (found or shared or annotations):
        raise ParseError("an alert has neither labels nor annotations")
    found = found or dict(shared)
    labels = _texts(found, LABEL)
    end = _epoch(posted.get("endsAt"))
    firing = _fires(_word(posted.get("status")), end, now)
    return Alert(
        fingerprint=_fingerprint(posted.get("fingerprint"), found),
        firing=firing,
        start=_epoch(posted.get("startsAt")),
        end=None if firing else end or None,
        name=labels.get("alertname", "") or "alert",
        exchange=labels.get("exchange", ""),
        level=level(found.get("severity", "")),
        labels=labels,
        annotations=_texts(annotations, ANNOTATION),
    )


def _fires(status: str, end: float, now: float) -> bool:
    """Return whether an alert fires; an unknown word is none to lose a page for, a past end is."""
    if status in _ENDED:
        return False
    return status in _BURNS or not 0.0 < end <= now


def _fingerprint(posted: object, labels: Mapping[str, str]) -> str:
    """Return the alert's identity: the sender's if it is a text, or else its labels'."""
    if not isinstance(posted, str) or not posted.strip():
        return _hash(repr(sorted(labels.items())))
    return posted if len(posted) <= 64 else _hash(posted)


def level(severity: str) -> Level:
    """Read a severity label; what it does not know is a warning, so that it is neither lost."""
    match severity.strip().lower():
        case "critical" | "page":
            return Level.CRITICAL
        case "info" | "none":
            return Level.INFO
        case _:
            return Level.WARNING


def _texts(found: Mapping[str, str], limit: int) -> dict[str, str]:
    """Clean and bound names and values; links stay links only in annotations named ``*_url``."""
    texts: dict[str, str] = {}
    first = {name: found[name] for name in _FIRST if name in found}
    for name, value in list((first | dict(found)).items())[:_MOST_LABELS]:
        key = escaping.line(name, 100)
        texts[key] = escaping.link(value) if key.endswith("_url") else escaping.line(value, limit)
    return texts


# --- odd values ---------------------------------------------------------------------------------


def _table(found: object) -> dict[str, str]:
    """Read labels or annotations; what is empty is left out, and no table is an empty one."""
    if not isinstance(found, dict):
        return {}
    texts = {str(name): _text(value) for name, value in found.items()}
    return {name: text for name, text in texts.items() if name and text}


def _text(found: object) -> str:
    """Return any JSON value as text; nothing for null."""
    match found:
        case None:
            return ""
        case str():
            return found
        case [single]:
            return _text(single)
        case _:
            return msgspec.json.encode(found).decode()


def _word(found: object) -> str:
    """Read a status; Alertmanager's API has it in an object."""
    return _text(found.get("state") if isinstance(found, dict) else found).strip().lower()


def _count(found: object) -> int | None:
    """Read how many alerts were left out; None: it is not known."""
    text = _text(found).strip()
    if not text:
        return 0
    try:
        return min(max(0, int(float(text))), 1_000_000)
    except (ValueError, OverflowError):
        return None


def _epoch(found: object) -> float:
    """Read a moment in any usual spelling as epoch seconds; 0 for none: year 1, or nonsense.

    One without a time zone is in UTC. Years before 2001 and after 2199 are no moments of alerts.
    """
    text = _text(found).strip()
    try:
        time = _number(text) if text.lstrip("-").replace(".", "", 1).isdigit() else _date(text)
    except (*DOUBTFUL, OSError):
        return 0.0
    return time if _TIMES[0] <= time < _TIMES[1] else 0.0


def _number(text: str) -> float:
    """Read epoch seconds, milliseconds, microseconds or nanoseconds."""
    time = float(text)
    while 1e11 < time < 1e21:
        time /= 1000.0
    return time


def _date(text: str) -> float:
    # Go prints "2026-11-30 02:11:47.59 +0000 UTC m=+0.1"; a leap second is no second of ours.
    iso = text.upper().partition(" M=")[0].removesuffix(" UTC").replace(":60", ":59")
    try:
        moment = datetime.fromisoformat(iso.replace(" +", "+").replace(" -", "-"))
    except ValueError:
        moment = parsedate_to_datetime(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
