"""Families of gates."""

from __future__ import annotations

from exporter.metrics.families.declare import counter, gauge

GATE_WAITING = "open_after"  # the label `reason` while all is well, and must stay so for a while
GATE_OPEN = gauge(
    "exchange_gate_open",
    "Whether a gate is open (1) or closed (0), as last decided: whether one may trade on its "
    "exchanges and symbols now.",
    "gate",
)
GATE_CLOSED = counter(
    "exchange_gate_closed_seconds_total",
    "Time for which a gate was closed, by what closed it: a need, or open_after while all was well "
    "again. Several at a time count each.",
    "gate",
    "reason",
)
GATE_CHANGES = counter(
    "exchange_gate_changes_total",
    "How often a gate opened or closed.",
    "gate",
)
GATE_INFO = gauge(
    "exchange_gate_info",
    "Which exchanges a gate is about; always 1.",
    "gate",
    "exchange",
)
