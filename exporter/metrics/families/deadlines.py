"""Families of announced ends and changes of venues' APIs."""

from __future__ import annotations

from enum import StrEnum

from exporter.metrics.families.declare import counter, gauge


class ApiPart(StrEnum):
    """What of an API a deadline is about; the label ``part``."""

    ADDRESS = "address"  # a URL, and all below it
    PATH = "path"  # a REST path, and all below it
    CHANNEL = "channel"  # a kind of subscription


class ApiChange(StrEnum):
    """What a deadline brings; the label ``change``."""

    RETIRED = "retired"  # it stops working
    CHANGED = "changed"  # it works otherwise: a client must be ready for both


API_DEADLINE = gauge(
    "exchange_api_deadline_timestamp_seconds",
    "Announced time at which an address, path or channel that the config uses is retired or "
    "changed, by the signed file of known deadlines.",
    "exchange",
    "part",
    "what",
    "change",
    "replacement",
)
DEADLINES_ISSUED = gauge(
    "exchange_exporter_deadlines_issued_timestamp_seconds",
    "Time at which the file of known deadlines in force was signed; only with deadlines.file or "
    "deadlines.url.",
)
DEADLINES_REJECTED = counter(
    "exchange_exporter_deadlines_rejected_total",
    "Files of known deadlines that were not followed, by reason; the one before stays in force. "
    "Only with deadlines.file or deadlines.url.",
    "reason",
)
