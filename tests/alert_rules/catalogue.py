"""Every metric that rules, panels and runbooks may name: ours from the code, others by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from exporter.config.shape import MetricsConfig
from exporter.maintenance import TradingMode
from exporter.metrics import families
from exporter.model import (
    Channel,
    Circuit,
    Family,
    Lost,
    Phase,
    Reason,
    Resync,
    SilenceVerdict,
    Skip,
    SubscriptionState,
)
from exporter.relay import metrics

Kind = Literal["counter", "gauge"]
TARGET = frozenset({"job", "instance", "site"})  # set by the scrape config, not by the exporter


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One series name: how it moves, its labels, and the values of those that are closed sets."""

    kind: Kind
    labels: frozenset[str] = frozenset()
    values: Mapping[str, frozenset[str]] = field(default_factory=dict)


Catalogue = Mapping[str, Metric]

_VALUES: Mapping[tuple[str, str], type[Enum] | tuple[str, ...]] = {
    (families.PROBES.name, "outcome"): families.ProbeOutcome,
    (families.PROBE_FAILURES.name, "reason"): Reason,
    (families.PROBE_SKIPPED.name, "reason"): Skip,
    (families.PROBE_DURATION.name, "connection"): families.Connection,
    (families.PROBE_PHASE_DURATION.name, "phase"): Phase,
    (families.BREAKER_STATE.name, "state"): Circuit,
    (families.BREAKER_TRANSITIONS.name, "to"): Circuit,
    (families.MAINTENANCE_ACTIVE.name, "source"): families.MaintenanceSource,
    (families.TRADING_MODE.name, "mode"): TradingMode,
    (families.STREAM_CONNECTS.name, "result"): families.ProbeOutcome,
    (families.STREAM_DISCONNECTS.name, "reason"): Lost,
    (families.STREAM_SUBSCRIPTIONS.name, "state"): SubscriptionState,
    (families.STREAM_MESSAGES.name, "kind"): families.FrameKind,
    (families.STREAM_PROCESSING.name, "stage"): families.ProcessingStage,
    (families.STREAM_PROCESSING_ERRORS.name, "stage"): families.ProcessingStage,
    (families.STREAM_CROSS_CHECKS.name, "verdict"): SilenceVerdict,
    (families.BOOK_RESYNCS.name, "reason"): Resync,
    (families.QUEUE_DROPPED.name, "policy"): families.Dropped,
    (families.ANOMALY_SCORE.name, "detector"): ("zscore", "iqr", "rolling_mean", "ensemble"),
    (families.ANOMALY_BASELINE.name, "bound"): ("lower", "center", "upper"),
    (metrics.RECEIVED.name, "status"): metrics.AlertStatus,
    (metrics.REFUSED.name, "reason"): metrics.Refusal,
    (metrics.DELIVERIES.name, "outcome"): metrics.DeliveryOutcome,
    (metrics.HELD.name, "reason"): metrics.Hold,
    (metrics.BREAKER.name, "state"): Circuit,
    (metrics.TRIAGE.name, "outcome"): metrics.Asked,
    (metrics.TRIAGE_TOKENS.name, "direction"): metrics.Direction,
}
_ANYWHERE = {"channel": Channel}  # of exchanges; a relay's channel is the name of a receiver

# A rule may only lean on a bound that a user has who has set nothing.
_BOUNDS = {
    families.PROBE_DURATION.name: MetricsConfig().probe_buckets,
    families.STREAM_LATENCY.name: MetricsConfig().latency_buckets,
}


def _other(kind: Kind, *labels: str) -> Metric:
    return Metric(kind=kind, labels=frozenset(labels) | TARGET)


OTHERS: Catalogue = {
    "up": _other("gauge"),
    "scrape_duration_seconds": _other("gauge"),
    "scrape_samples_scraped": _other("gauge"),
    "ALERTS": Metric(
        kind="gauge",
        labels=TARGET
        | {"alertname", "alertstate", "severity", "category", "exchange", "endpoint", "symbol"},
        values={
            "alertstate": frozenset({"pending", "firing"}),
            "severity": frozenset({"critical", "warning", "info", "none"}),
        },
    ),
    "ALERTS_FOR_STATE": Metric(
        kind="gauge",
        labels=TARGET | {"alertname", "severity", "category", "exchange", "endpoint", "symbol"},
        values={"severity": frozenset({"critical", "warning", "info", "none"})},
    ),
    "process_cpu_seconds_total": _other("counter"),
    "process_resident_memory_bytes": _other("gauge"),
    "process_virtual_memory_bytes": _other("gauge"),
    "process_start_time_seconds": _other("gauge"),
    "process_open_fds": _other("gauge"),
    "process_max_fds": _other("gauge"),
    "python_gc_collections_total": _other("counter", "generation"),
    "python_gc_objects_collected_total": _other("counter", "generation"),
    "python_gc_objects_uncollectable_total": _other("counter", "generation"),
    "alertmanager_alerts": _other("gauge", "state"),
    "alertmanager_config_last_reload_successful": _other("gauge"),
    "alertmanager_notifications_total": _other("counter", "integration"),
    "alertmanager_notifications_failed_total": _other("counter", "integration", "reason"),
    "alertmanager_notification_latency_seconds_bucket": _other("counter", "integration", "le"),
    "alertmanager_notification_latency_seconds_count": _other("counter", "integration"),
    "alertmanager_notification_latency_seconds_sum": _other("counter", "integration"),
    "prometheus_notifications_dropped_total": _other("counter", "alertmanager"),  # from 3.10 on
    "prometheus_notifications_sent_total": _other("counter", "alertmanager"),
    "prometheus_notifications_errors_total": _other("counter", "alertmanager"),
    "prometheus_notifications_queue_length": _other("gauge"),
    "prometheus_notifications_queue_capacity": _other("gauge"),
    "prometheus_rule_evaluation_failures_total": _other("counter", "rule_group"),
    "prometheus_rule_group_iterations_missed_total": _other("counter", "rule_group"),
    "prometheus_rule_group_last_duration_seconds": _other("gauge", "rule_group"),
    "prometheus_rule_group_interval_seconds": _other("gauge", "rule_group"),
}


def published() -> tuple[Family, ...]:
    """Return every family of the exporter and of the relay."""
    found: dict[str, Family] = {}
    for module in (families, metrics):
        found |= {each.name: each for each in vars(module).values() if isinstance(each, Family)}
    return tuple(found.values())


def _spelled(bound: float) -> str:
    """Format a bucket's bound as Prometheus stores it, whatever the exposition said."""
    return repr(float(bound))


def _of_family(family: Family) -> dict[str, Metric]:
    labels = TARGET | frozenset(family.labels)
    values = {}
    for label in family.labels:
        known = _VALUES.get((family.name, label))
        if known is None and family.name.startswith("exchange_"):
            known = _ANYWHERE.get(label)
        if known is not None:
            values[label] = frozenset(
                known if isinstance(known, tuple) else (str(each.value) for each in known)
            )
    if family.kind != "histogram":
        kind: Kind = "counter" if family.kind == "counter" else "gauge"
        return {family.name: Metric(kind=kind, labels=labels, values=values)}
    bounds = _BOUNDS.get(family.name, family.buckets)
    bucket = Metric(
        kind="counter",
        labels=labels | {"le"},
        values=values | {"le": frozenset({*map(_spelled, bounds), "+Inf"})},
    )
    plain = Metric(kind="counter", labels=labels, values=values)
    return {
        f"{family.name}_bucket": bucket,
        f"{family.name}_count": plain,
        f"{family.name}_sum": plain,
    }


def catalogue(recorded: Mapping[str, Iterable[str]] | None = None) -> Catalogue:
    """Return every name that may be asked for. ``recorded``: rule name → labels of its level."""
    known = dict(OTHERS)
    for family in published():
        known |= _of_family(family)
    for name, labels in (recorded or {}).items():
        known[name] = Metric(kind="gauge", labels=frozenset(labels) | TARGET)
    return known
