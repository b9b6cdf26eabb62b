"""How signals are judged: for all exchanges, and for one."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.config.kinds import boolean, choice, number
from exporter.config.section import Section, TableKind, key

_SIGNALS = choice(  # those of `exporter/anomaly/sampling.py`, which a test compares
    "probe_latency",
    "probe_latency_p95",
    "error_rate",
    "message_rate",
    "inter_arrival",
    "stream_latency",
    "price_deviation",
    "spread",
    "clock_offset",
    "reconnect_rate",
    "resync_rate",
    "queue_wait",
    "loop_lag",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalConfig:
    """How one signal is judged."""

    enabled: bool = key(boolean(), True, "Judge the signal at all.")
    sensitivity: float = key(
        number(0.2, 5.0), 1, "Its scores are multiplied by this: 2 alarms on half the decades."
    )
    minimum_effect: float | None = key(
        number(0.0, 1e6),
        None,
        "The smallest departure that matters, in its unit (s, ratio, 1/s); none: the built-in one.",
    )


SIGNAL_TABLE = TableKind(_SIGNALS, Section(SignalConfig), most=13)
