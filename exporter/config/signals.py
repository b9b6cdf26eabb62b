"""Settings of signals: for all exchanges, and for one exchange."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.config.kinds import boolean, choice, number
from exporter.config.section import Section, TableKind, key

_SIGNALS = (  # those of `exporter/anomaly/sampling.py`, which a test compares
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
    """Settings of one signal."""

    enabled: bool = key(boolean(), True, "Detect anomalies of the signal.")
    sensitivity: float = key(
        number(0.2, 5.0),
        1,
        "Factor of the signal's scores. With 2, a value needs half of the usual rarity (counted "
        "in decades) to be an anomaly.",
    )
    minimum_effect: float | None = key(
        number(0.0, 1e6),
        None,
        "Smallest deviation that matters, in the signal's unit (s, ratio, 1/s). Default: built in.",
    )


SIGNAL_TABLE = TableKind(choice(*_SIGNALS), Section(SignalConfig), most=len(_SIGNALS))
