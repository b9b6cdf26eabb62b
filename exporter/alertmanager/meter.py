"""What pushed alerts leave in the metrics."""

from __future__ import annotations

from urllib.parse import urlsplit

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
