"""What a gate leaves in the metrics."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.gates.decision import Decision
from exporter.metrics import families as f
from exporter.metrics.registry import Registry
from exporter.model import Need


class GateMeter:
    """The series of one gate: whether it is open, how long it was closed and for what."""

    def __init__(
        self, registry: Registry, gate: str, needs: Sequence[Need], exchanges: Sequence[str]
    ) -> None:
        self._open = registry.gauge(f.GATE_OPEN, gate)
        self._open.set(0)
        self._changes = registry.counter(f.GATE_CHANGES, gate)
        self._closed = {need: registry.counter(f.GATE_CLOSED, gate, need) for need in needs}
        for exchange in exchanges:
            registry.gauge(f.GATE_INFO, gate, exchange).set(1)
        self._waiting = registry.counter(f.GATE_CLOSED, gate, f.GATE_WAITING)

    def decided(self, before: Decision, after: Decision) -> None:
        """Show one decision, and count the time since the one before under what closed it."""
        self._open.set(1 if after.open else 0)
        if before.open != after.open:
            self._changes.inc()
        if before.open:
            return
        passed = after.decided - before.decided
        closing = {each.need for each in before.reasons}
        for need in closing:
            if need in self._closed:
                self._closed[need].inc(passed)
        if not closing:
            self._waiting.inc(passed)
