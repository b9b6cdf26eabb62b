"""Signals whose value is known at the time of a tick, one number for each exchange."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from exporter.signals import Floats, Signal

STREAM_LATENCY = Signal(
    name="stream_latency",
    title="stream latency",
    unit="s",
    effect=0.1,
    resolution=0.001,
    relative=True,
)
INTER_ARRIVAL = Signal(
    name="inter_arrival",
    title="time between messages",
    unit="s",
    effect=1.0,
    resolution=0.001,
    age=True,
)
PRICE_DEVIATION = Signal(
    name="price_deviation",
    title="price deviation from its peers",
    unit="ratio",
    effect=0.002,
    resolution=0.00001,
    low=True,
)
SPREAD = Signal(name="spread", title="spread", unit="ratio", effect=0.001, resolution=0.00001)
CLOCK_OFFSET = Signal(
    name="clock_offset",
    title="clock offset",
    unit="s",
    effect=0.25,
    resolution=0.005,
    low=True,
)
QUEUE_WAIT = Signal(
    name="queue_wait", title="wait in our own queue", unit="s", effect=0.1, resolution=0.001
)
LOOP_LAG = Signal(
    name="loop_lag", title="lag of our own event loop", unit="s", effect=0.1, resolution=0.001
)
SIGNALS = (
    STREAM_LATENCY,
    INTER_ARRIVAL,
    PRICE_DEVIATION,
    SPREAD,
    CLOCK_OFFSET,
    QUEUE_WAIT,
)  # exchanges'


class SignalGauge:
    """The newest value of each exchange, if there is one since the last tick."""

    def __init__(self, exchanges: Sequence[str]) -> None:
        self.keep(exchanges)

    def keep(self, exchanges: Sequence[str]) -> None:
        """Measure these from now on; what was set since the last sample is dropped."""
        self._rows = {name: row for row, name in enumerate(exchanges)}
        self._values = np.full(len(self._rows), np.nan)

    def set(self, exchange: str, value: float) -> None:
        """Take the newest value of one exchange."""
        self._values[self._rows[exchange]] = value

    def sample(self, now: float) -> Floats:
        """Return the values set since the last sample; NaN for the other exchanges."""
        values, self._values = self._values, np.full(len(self._rows), np.nan)
        return values
