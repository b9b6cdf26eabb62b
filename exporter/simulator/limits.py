"""Use of requests by client: fixed windows per client, and bans that grow. Pure; time is given."""

from __future__ import annotations

from exporter.simulator.spec import Quota, Usage

_MOST_CLIENTS = 10_000  # then the oldest are forgotten: a simulator must not be a leak


class RequestCounter:
    """Counts what each client uses in windows aligned to the clock."""

    def __init__(self) -> None:
        self._used: dict[tuple[str, str], tuple[float, int]] = {}

    def spend(self, client: str, bucket: str, weight: int, quota: Quota, now: float) -> Usage:
        """Charge ``weight`` to a client; ``now`` in epoch seconds."""
        start = now - now % quota.window
        key = (client, bucket)
        since, used = self._used.pop(key, (start, 0))
        used = used + weight if since == start else weight
        self._used[key] = (start, used)  # put last: the order is that of the newest use
        if len(self._used) > _MOST_CLIENTS:
            del self._used[next(iter(self._used))]
        return Usage(used=used, limit=quota.limit, window=quota.window, reset=start + quota.window)


class SimulatedBans:
    """Bans clients that go on after being told to stop: 2 minutes, doubling, to 3 days.

    Source: Binance rest-api.md, "IP limits": bans scale from 2 minutes to 3 days.
    """

    PATIENCE = 10  # refused requests in a row before the ban; the venue names no number

    def __init__(self) -> None:
        self._ignored: dict[str, int] = {}
        self._length: dict[str, float] = {}
        self._until: dict[str, float] = {}

    def left(self, client: str, now: float) -> float:
        """Return the seconds for which a client is still banned, 0 if it is not."""
        return max(0.0, self._until.get(client, 0.0) - now)

    def refused(self, client: str, now: float) -> None:
        """Count a request of a client that was told to stop."""
        self._ignored[client] = self._ignored.get(client, 0) + 1
        if self._ignored[client] > self.PATIENCE:
            self._ignored[client] = 0
            length = min(self._length.get(client, 60.0) * 2, 3 * 86_400.0)
            self._length[client] = length
            self._until[client] = now + length

    def served(self, client: str) -> None:
        """Record that a client was within its limit."""
        self._ignored.pop(client, None)
