"""Metrics of the relay: families, and the children of each receiver."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Literal

from exporter.metrics.registry import Registry
from exporter.model import Circuit, Family


class AlertStatus(StrEnum):
    """Status of a received alert; the label ``status``."""

    FIRING = "firing"
    RESOLVED = "resolved"


class DeliveryOutcome(StrEnum):
    """How a delivery attempt ended; the label ``outcome``."""

    OK = "ok"
    RETRY = "retry"
    FAILED = "failed"
    DROPPED = "dropped"  # a triage that could not be added
    TRUNCATED = "truncated"  # counted when it is written, beside how its delivery ends


class Hold(StrEnum):
    """Why a message was held back; the label ``reason``."""

    COOLDOWN = "cooldown"
    STORM = "storm"
    BUDGET = "budget"


class Refusal(StrEnum):
    """Why a post was refused; the label ``reason``."""

    UNAUTHORIZED = "unauthorized"
    FOREIGN = "foreign"  # sent by a web page, or not JSON
    INVALID = "invalid"
    FULL = "full"


class Asked(StrEnum):
    """How a triage ended; the label ``outcome``."""

    OK = "ok"
    TIMEOUT = "timeout"
    ERROR = "error"
    BUDGET = "budget"
    DISABLED = "disabled"


class Direction(StrEnum):
    """Tokens sent to the model or received; the label ``direction``."""

    PROMPT = "prompt"
    COMPLETION = "completion"


_TO_PAGE = (0.1, 0.3, 1.0, 3.0, 10.0, 60.0, 600.0, 3600.0)
_TO_ANSWER = (0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0)


def _family(kind: Literal["counter", "gauge"], name: str, text: str, *labels: str) -> Family:
    return Family(name=name, kind=kind, help=text, labels=labels)


RECEIVED = _family("counter", "alert_relay_received_total", "Alerts in accepted posts.", "status")
REFUSED = _family(
    "counter", "alert_relay_refused_total", "Posts that were refused, by reason.", "reason"
)
UNREADABLE = _family(
    "counter",
    "alert_relay_unreadable_total",
    "Alerts, and whole posts, that could not be parsed and were not delivered.",
)
DEDUPLICATED = _family(
    "counter",
    "alert_relay_deduplicated_total",
    "Alerts dropped because the same alert was received within the deduplication window.",
)
DELIVERIES = _family(
    "counter",
    "alert_relay_deliveries_total",
    "Delivery attempts, by outcome; truncated: messages shortened to the service's limit;"
    " dropped: triages that were not sent.",
    "channel",
    "outcome",
)
HELD = _family(
    "counter",
    "alert_relay_held_total",
    "Messages held back, to be sent later or in a digest, by reason.",
    "channel",
    "reason",
)
DURATION = Family(
    name="alert_relay_delivery_duration_seconds",
    kind="histogram",
    help="Time from the arrival of the post, or the creation of a digest, to the confirmation "
    "by the service.",
    labels=("channel",),
    buckets=_TO_PAGE,
)
LAST_SUCCESS = _family(
    "gauge",
    "alert_relay_last_success_timestamp_seconds",
    "Time of the last message confirmed by the service.",
    "channel",
)
WATCHDOG = _family(
    "gauge",
    "alert_relay_watchdog_last_received_timestamp_seconds",
    "Time of the last watchdog alert received.",
)
HEARTBEAT_LOST = _family(
    "gauge",
    "alert_relay_heartbeat_lost",
    "Whether the watchdog alert has been missing for too long (1) or not (0).",
)
DEPTH = _family(
    "gauge", "alert_relay_queue_depth", "Messages waiting for delivery or being delivered."
)
OLDEST = _family(
    "gauge",
    "alert_relay_oldest_pending_timestamp_seconds",
    "Creation time of the oldest message that is not delivered yet.",
)
DEAD = _family(
    "gauge",
    "alert_relay_dead_letters",
    "Messages that could not be delivered and are kept for a manual retry.",
)
QUOTA_LIMIT = _family(
    "gauge",
    "alert_relay_quota_limit",
    "Messages that the service allows this month; absent if there is no limit.",
    "channel",
)
QUOTA_USED = _family(
    "gauge", "alert_relay_quota_used", "Messages used of this month's quota.", "channel"
)
BREAKER = _family(
    "gauge",
    "alert_relay_circuit_breaker_state",
    "State of the receiver's circuit breaker: 1 for the current state, 0 for the others.",
    "channel",
    "state",
)
TRIAGE = _family(
    "counter", "alert_relay_triage_total", "Triages of urgent incidents, by outcome.", "outcome"
)
TRIAGE_DURATION = Family(
    name="alert_relay_triage_duration_seconds",
    kind="histogram",
    help="Time from the request to the model's answer, or to the timeout.",
    buckets=_TO_ANSWER,
)
TRIAGE_TOKENS = _family(
    "counter",
    "alert_relay_triage_tokens_total",
    "Tokens sent to the model and received from it, as counted by the model's server.",
    "direction",
)
OUTBOUND = _family(
    "gauge",
    "alert_relay_outbound_heartbeat_last_success_timestamp_seconds",
    "Time of the last successful outbound heartbeat.",
)


def all_families() -> tuple[Family, ...]:
    """Return every family of this file, in the order in which it is written."""
    return tuple(value for value in globals().values() if isinstance(value, Family))


class _ReceiverSeries:
    """One receiver's children."""

    def __init__(self, registry: Registry, name: str) -> None:
        self.deliveries = registry.counters(DELIVERIES, name, values=DeliveryOutcome)
        self.held = registry.counters(HELD, name, values=Hold)
        self.duration = registry.histogram(DURATION, name)
        self.success = registry.gauge(LAST_SUCCESS, name)
        self.quota_limit = registry.gauge(QUOTA_LIMIT, name)
        self.quota_used = registry.gauge(QUOTA_USED, name)
        self.breaker = registry.gauges(BREAKER, name, values=Circuit)
        self.breaker[Circuit.CLOSED].set(1)
        self.close = registry.close


class RelayMeter:
    """The relay's children; ``channels`` are the receivers' names."""

    def __init__(self, registry: Registry, channels: Iterable[str]) -> None:
        self.received = registry.counters(RECEIVED, values=AlertStatus)
        self.refused = registry.counters(REFUSED, values=Refusal)
        self.unreadable = registry.counter(UNREADABLE)
        self.deduplicated = registry.counter(DEDUPLICATED)
        self.watchdog = registry.gauge(WATCHDOG)
        self.heartbeat_lost = registry.gauge(HEARTBEAT_LOST)
        self.depth = registry.gauge(DEPTH)
        self.oldest = registry.gauge(OLDEST)
        self.dead = registry.gauge(DEAD)
        self.outbound = registry.gauge(OUTBOUND)
        self._triage = registry.counters(TRIAGE, values=Asked)
        self._triage_duration = registry.histogram(TRIAGE_DURATION)
        self._tokens = registry.counters(TRIAGE_TOKENS, values=Direction)
        self._registry = registry
        self._channels: dict[str, _ReceiverSeries] = {}
        self.follow(channels)
        self.depth.set(0)
        self.dead.set(0)

    def follow(self, channels: Iterable[str]) -> None:
        """Publish these receivers from now on; receivers known before keep their counts."""
        wanted = dict.fromkeys(channels)
        for name in self._channels.keys() - wanted.keys():
            self._channels.pop(name).close()
        for name in wanted:
            if name not in self._channels:
                self._channels[name] = _ReceiverSeries(self._registry.scope(), name)

    # Results of a receiver that a reload has removed are not counted: its series are gone.

    def tried(self, receiver: str, outcome: str) -> None:
        """Count one delivery attempt, by outcome."""
        if channel := self._channels.get(receiver):
            channel.deliveries[DeliveryOutcome(outcome)].inc()

    def delivered(self, receiver: str, seconds: float, time: float) -> None:
        """Record that a message was confirmed at ``time`` (epoch seconds)."""
        if channel := self._channels.get(receiver):
            channel.duration.observe(seconds)
            channel.success.set(time)

    def held(self, receiver: str, reason: str) -> None:
        """Count a message that was held back."""
        if channel := self._channels.get(receiver):
            channel.held[Hold(reason)].inc()

    def circuit(self, receiver: str, entered: Circuit) -> None:
        """Record that a receiver's breaker has changed to ``entered``."""
        if channel := self._channels.get(receiver):
            for state, child in channel.breaker.items():
                child.set(1 if state is entered else 0)

    def quota(self, receiver: str, limit: float | None, used: float) -> None:
        """Record how many of the month's messages are used."""
        if channel := self._channels.get(receiver):
            channel.quota_limit.set(limit)
            channel.quota_used.set(used)

    def triaged(self, outcome: str, seconds: float | None = None) -> None:
        """Count a triage; ``seconds`` is the model's response time, if it was asked."""
        self._triage[Asked(outcome)].inc()
        if seconds is not None:
            self._triage_duration.observe(seconds)

    def tokens(self, prompt: int, completion: int) -> None:
        """Count tokens as the model counted them."""
        self._tokens[Direction.PROMPT].inc(prompt)
        self._tokens[Direction.COMPLETION].inc(completion)
