"""What is posted to the relay: Alertmanager's webhook, Grafana's, or one plain JSON alert.

Source: Alertmanager docs, "Configuration", section "webhook_config", and version 0.25.0 observed
on loopback 2026-11-20; Grafana docs, "Configure the webhook notifier", read 2026-11-20.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from exporter.decoding import ParseError, reading
from exporter.model import Alert, Level
from exporter.relay import escaping

LABEL: Final = 300  # characters of a label's value that are kept
ANNOTATION: Final = 1000
_MOST_LABELS: Final = 40
_MOST_ALERTS: Final = 20_000

Moment = Annotated[datetime, Meta(tz=True)]


class _Alert(msgspec.Struct):
    """One alert as posted; unknown keys are ignored, for every version adds some."""

    status: str = "firing"
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    startsAt: Moment | None = None  # noqa: N815 - Alertmanager's spelling
    endsAt: Moment | None = None  # noqa: N815
    fingerprint: str = ""


class _Post(msgspec.Struct):
    """A webhook's body. ``alerts`` must be there: without it, it is another format."""

    alerts: list[_Alert]
    groupKey: str = ""  # noqa: N815
    receiver: str = ""
    groupLabels: dict[str, str] = {}  # noqa: N815
    truncatedAlerts: int = 0  # noqa: N815


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


_POST = msgspec.json.Decoder(_Post)
_PLAIN = msgspec.json.Decoder(_Plain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One notification for one group of alerts, clean. ``more``: alerts it counts and leaves out.

    ``group`` is the group's key, hashed: it may be of any length.
    """

    group: str
    receiver: str
    alerts: tuple[Alert, ...]
    more: int = 0


def read(body: bytes, now: float) -> Post:
    """Read a webhook's body; ``now`` (epoch seconds) stands for a start that it does not give.

    Raises ParseError.
    """
    with reading("webhook"):
        post = _POST.decode(body)
        if not post.alerts:
            raise ParseError("webhook: no alerts")
        if len(post.alerts) > _MOST_ALERTS:
            raise ParseError(f"webhook: more than {_MOST_ALERTS} alerts")
        alerts = tuple(_alert(alert, now) for alert in post.alerts)
        key = post.groupKey or repr(sorted(post.groupLabels.items())) + alerts[0].name
        more = min(max(0, post.truncatedAlerts), 1_000_000)
        receiver = escaping.line(post.receiver, LABEL)
        return Post(group=_hash(f"{receiver}\0{key}"), receiver=receiver, alerts=alerts, more=more)


def read_plain(body: bytes, now: float) -> Post:
    """Read one plain alert. Raises ParseError."""
    with reading("alert"):
        plain = _PLAIN.decode(body)
        if not plain.title.strip():
            raise ParseError("alert: the title is empty")
        labels = {**plain.labels, "alertname": plain.title, "severity": plain.severity}
        if plain.exchange:
            labels["exchange"] = plain.exchange
        annotations = {**plain.annotations}
        if plain.message:
            annotations["summary"] = plain.message
        key = plain.key or f"{plain.exchange}\0{plain.title}"
        # One alert a key: the same again while it fires is a duplicate, then a reminder.
        posted = _Alert(plain.status, labels, annotations, fingerprint=_hash(key))
        return Post(
            group=_hash(f"plain {key}"),
            receiver=escaping.line(plain.receiver, LABEL),
            alerts=(_alert(posted, now, start=0.0),),
        )


def _alert(posted: _Alert, now: float, start: float | None = None) -> Alert:
    if posted.status not in ("firing", "resolved"):
        raise ParseError(f"unknown status {posted.status[:40]!r}")
    labels = _texts(posted.labels, LABEL)
    began = _epoch(posted.startsAt) if start is None else start
    return Alert(
        fingerprint=posted.fingerprint[:64] or _hash(repr(sorted(posted.labels.items()))),
        firing=posted.status == "firing",
        start=now if began is None else began,
        end=_epoch(posted.endsAt) if posted.status == "resolved" else None,
        name=labels.get("alertname", "") or "alert",
        exchange=labels.get("exchange", ""),
        level=level(posted.labels.get("severity", "")),
        labels=labels,
        annotations=_texts(posted.annotations, ANNOTATION),
    )


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
    for name, value in list(found.items())[:_MOST_LABELS]:
        key = escaping.line(name, 100)
        texts[key] = escaping.link(value) if key.endswith("_url") else escaping.line(value, limit)
    return texts


def _epoch(moment: datetime | None) -> float | None:
    """Give epoch seconds; year 1 stands for "not yet"."""
    return None if moment is None or moment.year < 2001 else moment.timestamp()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
