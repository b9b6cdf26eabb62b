"""What pushed alerts leave in the metrics."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from urllib.parse import urlsplit

from exporter.alertmanager.push import Pushed
from exporter.metrics import families as f
from exporter.metrics.registry import Registry


class PushMeter:
    """One Alertmanager's children; its label is host, port and path of its base URL."""

    def __init__(self, registry: Registry, url: str) -> None:
        parts = urlsplit(url)
        name = parts.netloc.rpartition("@")[2] + parts.path.rstrip("/")
        self._outcomes = registry.counters(f.ALERT_PUSHES, name, values=f.PushOutcome)
        self._taken = registry.gauge(f.ALERT_PUSH_SUCCESS_TIME, name)

    def taken(self, now: float) -> None:
        """Count a request of which all was taken; ``now`` in epoch seconds."""
        self._outcomes[f.PushOutcome.SUCCESS].inc()
        self._taken.set(now)

    def refused(self) -> None:
        """Count a request that was answered and not taken."""
        self._outcomes[f.PushOutcome.REFUSED].inc()

    def failed(self) -> None:
        """Count a request without an answer, or with one that says nothing of it."""
        self._outcomes[f.PushOutcome.FAILED].inc()


class ActiveMeter:
    """The alerts that are pushed, as series that the rules of the same labels read."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._shown = set[tuple[str, ...]]()

    def show(self, alerts: Iterable[Pushed]) -> None:
        """Show these, and no others."""
        names = ("alertname", *f.ALERT_ACTIVE.labels[1:])
        found = {tuple(alert.labels.get(name, "") for name in names) for alert in alerts}
        for labels in found - self._shown:
            self._registry.gauge(f.ALERT_ACTIVE, *labels).set(1)
        for labels in self._shown - found:
            with suppress(KeyError):  # beyond the limit of series there was none
                self._registry.remove(f.ALERT_ACTIVE, *labels)
        self._shown = found
