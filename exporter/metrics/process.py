"""The metrics of the exporter's own process."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable

from exporter.metrics import families as f
from exporter.metrics.registry import Registry


class ExporterMeter:
    """The process's own children. ``tasks`` names the kinds of tasks there are, a closed set."""

    def __init__(
        self,
        registry: Registry,
        *,
        version: str,
        revision: str,
        tasks: Iterable[str] = (),
        shard: tuple[int, int] | None = None,
    ) -> None:
        self._registry = registry
        registry.info(f.BUILD, version, revision, platform.python_version())
        if shard is not None:
            registry.info(f.SHARD, str(shard[0]), str(shard[1]))
        self._hash: str | None = None
        self._reloaded = registry.gauge(f.RELOAD_SUCCESSFUL)
        self._reload_time = registry.gauge(f.RELOAD_SUCCESS_TIME)
        self._restarts = {name: registry.counter(f.TASK_RESTARTS, name) for name in tasks}
        self._tasks = {name: registry.gauge(f.TASKS, name) for name in self._restarts}
        for child in self._tasks.values():
            child.set(0)
        self.loop_lag = registry.histogram(f.LOOP_LAG)
        self.schedule_lag = registry.histogram(f.SCHEDULE_LAG)
        registry.counters(
            f.SAMPLES_DISCARDED, values=f.Measurement
        )  # moved where they are measured
        self.connections_refused = registry.counter(f.CONNECTIONS_REFUSED)
        self.connections_expired = registry.counter(f.CONNECTIONS_EXPIRED)
        self.unauthorized = registry.counter(f.REQUESTS_UNAUTHORIZED)
        self._web = registry.gauge(f.WEB_CONFIG_SUCCESSFUL)
        self._blocks = registry.gauge(f.MEMORY_BLOCKS)
        registry.refresh(self._count_blocks)

    def config_loaded(self, digest: str, time: float) -> None:
        """Show the config in force by its SHA-256, loaded at ``time`` (epoch seconds)."""
        if self._hash is not None and self._hash != digest:
            self._registry.remove(f.CONFIG, self._hash)
        self._hash = digest
        self._registry.info(f.CONFIG, digest)
        self._reloaded.set(1)
        self._reload_time.set(time)

    def config_refused(self) -> None:
        """Show that the last reload failed; what was loaded before stays in force."""
        self._reloaded.set(0)

    def web_config_loaded(self, good: bool) -> None:
        """Show whether the web config could be followed."""
        self._web.set(1 if good else 0)

    def _count_blocks(self) -> None:
        self._blocks.set(sys.getallocatedblocks())

    def task_started(self, name: str) -> None:
        """Count one more running task of this kind."""
        self._tasks[name].inc()

    def task_ended(self, name: str) -> None:
        """Count one running task of this kind less."""
        self._tasks[name].inc(-1)

    def task_restarted(self, name: str) -> None:
        """Count a task that an error of ours ended and that was started anew."""
        self._restarts[name].inc()
