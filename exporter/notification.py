"""Alerts, the notifications about them, and the outcomes of a delivery."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

import msgspec


class Level(StrEnum):
    """How urgent an alert is, from its label ``severity``; in order, the most urgent first."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class Occasion(StrEnum):
    """Why a notification about an incident is sent."""

    FIRING = "firing"
    UPDATE = "update"  # more alerts joined, or it became worse
    REMINDER = "reminder"
    RESOLVED = "resolved"
    LOST = "lost"  # it stopped firing because there is no data any more
    FLAPPING = "flapping"  # fires and resolves repeatedly: no further notification until it settles
    SETTLED = "settled"  # flapping is over
    DIGEST = "digest"  # the summary of what was held back
    TRIAGE = "triage"
    TEST = "test"


class Alert(msgspec.Struct, frozen=True, omit_defaults=True):
    """One alert of an incident, its texts sanitized and bounded. Times in epoch seconds."""

    fingerprint: str
    firing: bool
    start: float
    end: float | None = None
    name: str = ""
    exchange: str = ""
    level: Level = Level.WARNING
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


class Notification(msgspec.Struct, frozen=True, omit_defaults=True):
    """The content of one request to one receiver: rendered, split to fit, safe to show.

    ``incident`` is the same for all notifications of one incident. ``title`` and ``fields``
    repeat parts of ``texts``; ``alerts`` and ``body`` are for receivers that are programs.
    """

    occasion: Occasion
    level: Level
    incident: str
    title: str
    texts: tuple[str, ...]
    time: float  # epoch seconds
    resolved: bool = False
    fields: tuple[tuple[str, str], ...] = ()
    link: str = ""
    triage: str = ""
    alerts: tuple[Alert, ...] = ()
    body: str | None = None  # the whole body, where the receiver has a template for it


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """An HTTP request, ready to send."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """Accepted by the provider, with its ``id``. The next waits ``pause`` seconds."""

    id: str = ""
    pause: float = 0.0


@dataclass(frozen=True, slots=True)
class Retry:
    """Not delivered, to be retried. ``after`` (seconds) is when, where the provider says it.

    ``unsure``: the provider may have accepted it.
    """

    reason: str
    after: float | None = None
    unsure: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Rejected, not to be retried. ``gone``: the account or the address itself is not accepted."""

    reason: str
    gone: bool = False


Outcome: TypeAlias = Delivered | Retry | Refused
