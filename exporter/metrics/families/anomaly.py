"""Families of scores, and of alerts that are pushed."""

from __future__ import annotations

from enum import StrEnum

from exporter.metrics.families.declare import counter, gauge


class Bound(StrEnum):
    """Where the ensemble's threshold lies around what it expects; the label ``bound``."""

    LOWER = "lower"
    CENTER = "center"
    UPPER = "upper"


class PushOutcome(StrEnum):
    """How a push of alerts to one Alertmanager ended."""

    SUCCESS = "success"
    REFUSED = "refused"  # answered, and not taken: at least one alert, or our login
    FAILED = "failed"  # not answered, or with an error of its own


ANOMALY_SCORE = gauge(
    "exchange_anomaly_score",
    "Anomaly score of the signal by detector; 1 is the threshold.",
    "exchange",
    "signal",
    "detector",
)
ANOMALY_READY = gauge(
    "exchange_anomaly_ready",
    "Whether the detectors have enough samples to score the signal (1) or not (0).",
    "exchange",
    "signal",
)
ANOMALY_EVENTS = counter(
    "exchange_anomaly_events_total",
    "Incidents opened for the signal.",
    "exchange",
    "signal",
)
ANOMALY_BASELINE = gauge(
    "exchange_anomaly_baseline",
    "Expected value of the signal and the limits of its normal range, in the unit of the signal.",
    "exchange",
    "signal",
    "bound",
)
ALERT_PUSHES = counter(
    "exchange_exporter_alert_pushes_total",
    "Requests that push alerts to an Alertmanager, by outcome; while no alert fires, one empty "
    "request per minute checks the connection.",
    "alertmanager",
    "outcome",
)
ALERT_PUSH_SUCCESS_TIME = gauge(
    "exchange_exporter_alert_push_last_success_timestamp_seconds",
    "Time at which an Alertmanager last accepted a request; absent before the first success.",
    "alertmanager",
)

ALERT_ACTIVE = gauge(
    "exchange_exporter_alert_active",
    "1 for each alert that this exporter currently pushes to Alertmanager; absent otherwise.",
    "alert",
    "exchange",
    "signal",
)
