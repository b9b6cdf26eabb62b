"""Alerts that could not be parsed: counted, logged, and reported as an alert of the relay."""

from __future__ import annotations

import logging
from typing import Final

from exporter.contracts import Clock
from exporter.logs import SPARING
from exporter.notification import Alert
from exporter.relay import escaping, rendering
from exporter.relay.metrics import RelayMeter
from exporter.relay.receiver import ANY_ROUTE
from exporter.relay.runtime import RelayRuntime
from exporter.relay.webhook import Post

log = logging.getLogger(__name__)

NAME: Final = "AlertsUnreadable"
GROUP: Final = "unreadable"
EVERY: Final = 3600.0  # seconds between two messages about it, and without any until it is over


class UnreadableNotice:
    """Says that something unreadable came, at most once an hour, and when no more of it comes."""

    def __init__(self, force: RelayRuntime, *, clock: Clock, meter: RelayMeter) -> None:
        self._force, self._clock, self._meter = force, clock, meter
        self._since: float | None = None  # epoch seconds; None: people know of nothing
        self._said = 0.0  # monotonic
        self._count, self._why = 0, ""  # what is not said yet

    def recall(self, since: float | None) -> None:
        """Go on where an earlier process ended; epoch seconds."""
        self._since, self._said = since, self._clock.monotonic()

    def saw(self, count: int, why: str) -> None:
        """Take note of so many alerts or posts; ``why`` the first of them cannot be read."""
        self._meter.unreadable.inc(count)
        self._count, self._why = self._count + count, self._why or escaping.line(why, 200)
        log.warning("post_unreadable count=%d reason=%r", count, why[:200], extra=SPARING)

    async def update(self, now: float, wall: float) -> None:
        """Tell what is due, monotonic and epoch seconds; what the disk refuses is told later."""
        if self._since is not None and now - self._said < EVERY:
            return
        count, since = self._count, wall if self._since is None else self._since
        if not count and self._since is None:
            return
        if await self._force.take(self._post(since, count, wall)) is None:
            self._since, self._said = (since if count else None), now
            self._count, self._why = self._count - count, ""

    def _post(self, since: float, count: int, wall: float) -> Post:
        seen = f"{count} alerts or whole posts could not be read: {self._why}"
        return Post(
            group=GROUP,
            receiver=ANY_ROUTE,
            alerts=(
                Alert(
                    fingerprint=GROUP,
                    firing=count > 0,
                    start=since,
                    end=None if count else wall,
                    name=NAME,
                    labels={"alertname": NAME},
                    annotations={
                        "summary": seen if count else "all that came in the last hour was readable",
                        "action": "look for post_unreadable in the relay's log: these alerts were"
                        f" told to nobody (since {rendering.clock(since)})",
                    },
                ),
            ),
        )
