"""How often something happens on an exchange, per second, from counters read once a tick."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from exporter.signals import Floats, Signal

MESSAGE_RATE = Signal(
    name="message_rate",
    title="message rate",
    unit="messages/s",
    effect=1.0,
    resolution=0.1,
    share=0.6,
    low=True,
    high=False,  # a busy market is no incident; a queue that cannot keep up has its own signal
    relative=True,
)
RECONNECT_RATE = Signal(
    name="reconnect_rate", title="reconnect rate", unit="1/s", effect=0.15, resolution=0.001
)
RESYNC_RATE = Signal(
    name="resync_rate", title="book resync rate", unit="1/s", effect=0.05, resolution=0.001
)
SIGNALS = (MESSAGE_RATE, RECONNECT_RATE, RESYNC_RATE)


class Rate:
    """Counters that only rise, by exchange, and how fast they rose over ``window`` seconds."""

    def __init__(self, exchanges: Sequence[str], window: float = 10.0) -> None:
        self._window = window
        self._totals = dict.fromkeys(exchanges, 0.0)
        self._counting: set[str] = set()
        # One look a tick; a window's worth of them, and one older look to measure from.
        self._looks: deque[tuple[float, Floats]] = deque()

    def keep(self, exchanges: Sequence[str]) -> None:
        """Measure these from now on; those known already keep what was read of them."""
        rows = {name: row for row, name in enumerate(self._totals)}
        old = [rows.get(name, -1) for name in exchanges]
        # One column more than there are exchanges: that of those not known yet, all gaps.
        self._looks = deque((then, np.append(look, np.nan)[old]) for then, look in self._looks)
        self._totals = {name: self._totals.get(name, 0.0) for name in exchanges}
        self._counting.intersection_update(exchanges)

    def set(self, exchange: str, total: float) -> None:
        """Take the counter of one exchange as it stands; not to be called is a gap."""
        self._totals[exchange] = total
        self._counting.add(exchange)

    def sample(self, now: float) -> Floats:
        """Return the rate by exchange; NaN without a counter, or without one a window ago.

        A counter that went down was started anew: its rate is unknown until a window has passed.
        """
        totals = np.array(
            [
                total if exchange in self._counting else np.nan
                for exchange, total in self._totals.items()
            ]
        )
        self._counting.clear()
        while len(self._looks) > 1 and self._looks[1][0] <= now - self._window:
            self._looks.popleft()
        self._looks.append((now, totals))
        then, before = self._looks[0]
        if now - then < self._window:
            return np.full(len(totals), np.nan)
        rates: Floats = (totals - before) / (now - then)
        rates[rates < 0.0] = np.nan
        return rates
