"""Heartbeats: checks the incoming watchdog alert, and pings an external service."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from exporter.contracts import Clock, FetchFailedError
from exporter.relay import heartbeat, notifiers, outbox
from exporter.relay.config import HeartbeatConfig
from exporter.relay.metrics import RelayMeter
from exporter.relay.runtime import RelayRuntime
from exporter.relay.settings import plain
from exporter.relay.store import Store, StoreError
from exporter.relay.webhook import Post

log = logging.getLogger(__name__)


class Watchdog:
    """The heartbeat's timer. ``config`` gives what is in force of it."""

    def __init__(
        self,
        config: Callable[[], HeartbeatConfig],
        force: RelayRuntime,
        *,
        store: Store,
        clock: Clock,
        meter: RelayMeter,
        group: asyncio.TaskGroup,
    ) -> None:
        self._config, self._force = config, force
        self._store, self._clock, self._meter, self._group = store, clock, meter, group
        self._beat: heartbeat.Beat | None = None  # None: no watchdog was ever seen
        self.beaten: float | None = None  # epoch seconds

    @property
    def silent(self) -> bool:
        """Return whether the alert has been silent for too long."""
        return self._beat is not None and self._beat.lost is not None

    def recall(self, beaten: str | None, lost: float | None) -> None:
        """Go on where an earlier process ended; epoch seconds."""
        if beaten is not None and self._config().enabled:
            self.beaten = float(beaten)
            self._beat = heartbeat.Beat(fed=self._clock.monotonic(), lost=lost)
            self._meter.watchdog.set(self.beaten)
        self._meter.heartbeat_lost.set(0 if lost is None else 1)

    async def fed(self, post: Post) -> Post:
        """Take the watchdog alert out of a post and feed the timer with it."""
        config = self._config()
        if not config.enabled:
            return post
        signs = [alert for alert in post.alerts if alert.name == config.alertname]
        if not signs:
            return post
        if any(alert.firing for alert in signs):
            wall, now = self._clock.wall(), self._clock.monotonic()
            before = self._beat or heartbeat.Beat(fed=now)
            self._beat, back = heartbeat.feed(before, now)
            self.beaten = wall
            self._meter.watchdog.set(wall)
            if back and before.lost is not None:
                self._meter.heartbeat_lost.set(0)
                log.warning("heartbeat_back silent_since=%.0f", before.lost)
                # A task of its own: a caller who hangs up must not cut it off half-way.
                self._group.create_task(self._say(before.lost, firing=False))
            with suppress(StoreError):  # only a restart would need it
                await self._store.write(lambda db: outbox.remember(db, "watchdog", repr(wall)))
        rest = tuple(alert for alert in post.alerts if alert.name != config.alertname)
        return replace(post, alerts=rest)

    async def update(self, now: float, wall: float) -> None:
        """See whether the silence has become too long, and page if so."""
        if self._beat is None:
            return
        timeout = self._config().timeout
        self._beat, silent = heartbeat.update(self._beat, now, wall, timeout)
        if silent and self._beat.lost is not None:
            self._meter.heartbeat_lost.set(1)
            log.error("heartbeat_lost timeout_s=%.0f", timeout)
            await self._say(self._beat.lost, firing=True)

    async def _say(self, lost: float, *, firing: bool) -> None:
        """Write the heartbeat's own alert down; until the disk takes it, it is tried again."""
        timeout, wall = self._config().timeout, self._clock.wall()
        post = heartbeat.post(lost=lost, firing=firing, wall=wall, timeout=timeout)
        while await self._force.take(post) is not None:
            await self._clock.sleep(1.0)

    async def ping(self, works: Callable[[], bool]) -> None:
        """Tell a dead man's switch elsewhere that the relay lives and its disk takes writes."""
        while True:
            config = self._config()
            if config.ping_url is not None and works():
                send = self._force.carrier(notifiers.load("webhook"), optional=True)
                with suppress(FetchFailedError):
                    answer = await send(
                        "GET", plain(config.ping_url), headers={}, timeout=10.0, body_limit=65_536
                    )
                    if answer.status < 400:
                        self._meter.outbound.set(self._clock.wall())
            await self._clock.sleep(config.ping_every)
