"""Families of gates."""

from __future__ import annotations

from exporter.metrics.families.declare import counter, gauge

GATE_WAITING = "open_after"  # the label `reason` while all is well, and must stay so for a while
GATE_OPEN = gauge(
    "exchange_gate_open",
    "Whether a gate is open (1) or closed (0), by its last decision: open means that its "
    "exchanges and symbols are fit for trading.",
    "gate",
)
GATE_CLOSED = counter(
    "exchange_gate_closed_seconds_total",
    "Time during which a gate was closed, by reason: an unmet need, or open_after while it waits "
    "before it opens again. Simultaneous reasons are all counted.",
    "gate",
    "reason",
)
GATE_CHANGES = counter(
    "exchange_gate_changes_total",
    "Transitions of a gate between open and closed.",
    "gate",
)
GATE_INFO = gauge(
    "exchange_gate_info",
    "Which exchanges a gate is about; always 1.",
    "gate",
    "exchange",
)
