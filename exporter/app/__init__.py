"""Opens every edge and runs every task in one TaskGroup; the only room that knows everyone."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from random import random

from exporter import __version__, detectors, venues
from exporter.app.around import Surroundings
from exporter.app.exchange import Exchange
from exporter.app.prices import Prices
from exporter.app.state import snapshot
from exporter.config import Config, config_hash
from exporter.contracts import Connect
from exporter.detectors.bank import Bank
from exporter.edge import websocket
from exporter.edge.clock import SystemClock
from exporter.edge.http import HttpClient
from exporter.edge.inbox import InboxBounds, InboxMeter
from exporter.edge.routes import (
    Handler,
    RefusedError,
    Request,
    file_route,
    health_route,
    html_route,
    json_route,
    scrape_route,
)
from exporter.edge.server import Limits, Server
from exporter.metrics import families
from exporter.metrics.anomalies import AnomalyMeter
from exporter.metrics.exporter import ExporterMeter
from exporter.metrics.exposition import Exposition
from exporter.metrics.registry import Registry
from exporter.model import Probed, Scores
from exporter.pipeline import Pipeline
from exporter.signals import probe_latency
from exporter.signals.probe_latency import ProbeLatency
from exporter.sources.supervise import supervise
from exporter.web import api, page

log = logging.getLogger(__name__)

_TASKS = ("probe", "stream", "book", "tick", "lag")
_LAG_EVERY = 0.25  # seconds between two looks at how late the event loop wakes us


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line adds to the config."""

    listen_address: str = ":9717"
    revision: str = ""
    ready: Callable[[int], None] = lambda port: None  # told the port once it is served


class App:
    """The running program: what it holds, and `run`."""

    def __init__(self, config: Config, options: Options) -> None:
        self.config, self.options = config, options
        self.clock = SystemClock()
        self.started = self.clock.wall()
        self.registry = Registry(
            series_limit=config.metrics.series_limit,
            buckets={
                families.PROBE_DURATION.name: config.metrics.probe_buckets,
                families.STREAM_LATENCY.name: config.metrics.latency_buckets,
            },
        )
        self.meter = ExporterMeter(
            self.registry, version=__version__, revision=options.revision, tasks=_TASKS
        )
        self.exchanges: list[Exchange] = []
        names = [each.name for each in config.exchanges]
        self._latencies = (ProbeLatency(names, 0.5), ProbeLatency(names, 0.95))
        judges = {name: detectors.load(name) for name in detectors.names()}
        self.detectors = tuple(judges)
        trackers = tuple(zip(probe_latency.SIGNALS, self._latencies, strict=True))
        self.pipeline = Pipeline(names, trackers, Bank((), judges))
        self.scores: Scores | None = None
        self.prices = Prices(config.prices, self.registry)
        self._anomalies = AnomalyMeter(self.registry, self.pipeline.series, self.detectors)

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises ListenError."""
        config = self.config
        async with AsyncExitStack() as edges:
            server = Server(
                self.options.listen_address,
                self._routes(),
                limits=_limits(config),
                refused=self.meter.connections_refused,
                expired=self.meter.connections_expired,
            )
            await edges.enter_async_context(server)
            fetch = await edges.enter_async_context(
                HttpClient(
                    limit=config.probes.connections,
                    limit_per_host=config.probes.connections_per_host,
                    dns_ttl=config.probes.dns_cache,
                )
            )
            around = Surroundings(
                config=config,
                registry=self.registry,
                fetch=fetch,
                dial=self._dial,
                clock=self.clock,
                slots=asyncio.Semaphore(config.probes.concurrency),
                probed=self._probed,
                online=lambda: True,
            )
            self.exchanges += [
                Exchange(each, venues.load(each.venue), around) for each in config.exchanges
            ]
            self.meter.config_loaded(config_hash(config), self.clock.wall())
            self.options.ready(server.port)
            await self._serve()

    async def _serve(self) -> None:
        stop = asyncio.Event()
        with _stopping(stop):
            async with asyncio.TaskGroup() as tasks:
                running = [self._start(tasks, *task) for task in self._tasks()]
                await stop.wait()
                log.info("stopping tasks=%d", len(running))
                for task in running:
                    task.cancel()

    def _tasks(self) -> Iterator[tuple[str, str, Callable[[], Awaitable[None]]]]:
        yield "lag", "lag", self._watch_lag
        yield "tick", "tick", self._tick
        for exchange in self.exchanges:
            yield from exchange.tasks()

    def _start(
        self, tasks: asyncio.TaskGroup, kind: str, name: str, make: Callable[[], Awaitable[None]]
    ) -> asyncio.Task[None]:
        async def counted() -> None:
            self.meter.task_started(kind)
            try:
                await make()
            finally:
                self.meter.task_ended(kind)

        supervised = supervise(
            name,
            counted,
            clock=self.clock,
            chance=random,
            on_restart=partial(self.meter.task_restarted, kind),
        )
        return tasks.create_task(supervised, name=name)

    # --- what runs ----------------------------------------------------------------------------

    async def _watch_lag(self) -> None:
        while True:
            due = self.clock.monotonic() + _LAG_EVERY
            await self.clock.sleep(_LAG_EVERY)
            self.meter.loop_lag.observe(max(0.0, self.clock.monotonic() - due))

    async def _tick(self) -> None:
        every = self.config.anomaly.tick
        due = self.clock.monotonic()
        while True:
            # A tick that was missed is left out: its values are gone, two in a row teach nothing.
            due = max(due + every, self.clock.monotonic())
            await self.clock.sleep(due - self.clock.monotonic())
            wall = self.clock.wall()
            for exchange in self.exchanges:
                exchange.tick(wall)
            self.prices.look(self.exchanges, wall)
            if not self.config.anomaly.enabled:
                continue
            for tick in self.pipeline.tick(self.clock.monotonic(), wall):
                self.scores = tick.scores
                await self.clock.sleep(0.0)
            if self.scores is not None:
                self._anomalies.show(self.scores)

    def _probed(self, done: Probed) -> None:
        if done.ok:
            now = self.clock.monotonic()
            for latency in self._latencies:
                latency.observe(done.exchange, done.duration, now)

    def _dial(
        self, bounds: InboxBounds, meter: InboxMeter, on_ping_rtt: Callable[[float], None]
    ) -> Connect:
        streams = self.config.streams
        return partial(
            websocket.connect,
            clock=self.clock,
            timeout=streams.connect_timeout,
            max_message=streams.max_message,
            bounds=bounds,
            meter=meter,
            ping_every=streams.ping_interval,
            ping_timeout=streams.ping_timeout,
            on_ping_rtt=on_ping_rtt,
            compression=streams.compression,
        )

    # --- what is served -----------------------------------------------------------------------

    def _routes(self) -> Mapping[str, Handler]:
        routes = {
            "/": html_route(self._page),
            "/metrics": scrape_route(Exposition(self.registry)),
            "/-/healthy": health_route(lambda: None),
            "/-/ready": health_route(self._obstacle),
        }
        for path, (kind, content) in page.static_files().items():
            routes[path] = file_route(kind, content)
        if self.config.server.api:
            routes["/api/v1/state"] = json_route(self._answer_state)
            routes["/api/v1/exchanges/{exchange}"] = json_route(self._answer_exchange)
            routes["/api/v1/anomalies"] = json_route(self._answer_anomalies)
        return routes

    async def _page(self) -> str:
        # Rendering takes milliseconds that probes must not wait for; the snapshot is frozen.
        return await asyncio.to_thread(page.render, snapshot(self))

    async def _answer_state(self, request: Request) -> object:
        return api.overview(snapshot(self))

    async def _answer_exchange(self, request: Request) -> object:
        name = request.parameters["exchange"]
        found = api.exchange_named(snapshot(self), name)
        if found is None:
            known = ", ".join(exchange.name for exchange in self.exchanges)
            raise RefusedError(404, f"no exchange of that name; there are {known}")
        return found

    async def _answer_anomalies(self, request: Request) -> object:
        return api.anomalies(snapshot(self))

    def _obstacle(self) -> str | None:
        """Name what has not had its first turn yet."""
        waiting = [exchange.name for exchange in self.exchanges if not exchange.begun]
        return f"waiting for {', '.join(waiting)}" if waiting else None


def _limits(config: Config) -> Limits:
    server = config.server
    return Limits(
        connections=server.connections,
        requests=server.requests,
        header=server.header_limit,
        body=server.body_limit,
        head_timeout=server.header_timeout,
        request_timeout=server.request_timeout,
        idle_timeout=server.idle_timeout,
    )


@contextmanager
def _stopping(stop: asyncio.Event) -> Iterator[None]:
    """Set ``stop`` at SIGTERM or SIGINT; the second one ends the process as it always does."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)

    def once() -> None:
        stop.set()
        for each in signals:
            loop.remove_signal_handler(each)

    for each in signals:
        loop.add_signal_handler(each, once)
    try:
        yield
    finally:
        for each in signals:
            loop.remove_signal_handler(each)
