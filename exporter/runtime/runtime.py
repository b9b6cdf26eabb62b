"""The current config and everything built from it; a reload replaces them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial

from exporter import config as settings
from exporter import venues
from exporter.anomaly.engine import AnomalyEngine
from exporter.config import Config
from exporter.config.reload import Changes
from exporter.contracts import Clock, Connect, FetchFailedError
from exporter.deadlines.watch import DeadlineWatch
from exporter.exchange.exchange import Exchange
from exporter.exchange.prices import Prices
from exporter.flow.concurrency import FairSemaphore
from exporter.flow.cooperative import in_cooperative_steps
from exporter.flow.dead_letters import DeadLetterSink
from exporter.flow.overflow import Overflows
from exporter.http.client import HttpClient
from exporter.metrics.registry import Registry
from exporter.model import Answer, Probed, Reason
from exporter.probes.bans import Bans
from exporter.probes.context import ExchangeContext, Task
from exporter.probes.status_page import PageListener, StatusPages
from exporter.runtime.fleet import Fleet, end
from exporter.runtime.local_health import ControlTargets, Lateness
from exporter.websocket import client as websocket
from exporter.websocket.receive_queue import ReceiveQueueBounds, ReceiveQueueMeter

log = logging.getLogger(__name__)

PATIENCE = 5.0  # seconds that what runs is given to end


class Runtime:
    """What runs by the config in force. ``start`` runs one task of it."""

    def __init__(
        self,
        *,
        registry: Registry,
        clock: Clock,
        start: Callable[[Task], asyncio.Task[None]],
        judging: AnomalyEngine,
        lateness: Lateness,
        bans: Bans,
        post: DeadLetterSink,
        overflows: Overflows | None = None,
    ) -> None:
        self._registry, self._clock, self._start = registry, clock, start
        self._judging, self._lateness, self._bans = judging, lateness, bans
        self._post, self._overflows = post, overflows
        self._config: Config | None = None
        self._client: HttpClient | None = None
        self._fleet = Fleet(start)
        self._controls: ControlTargets | None = None
        self._watching: list[asyncio.Task[None]] = []
        self._prices: Prices | None = None
        self._pages = StatusPages(self._fetch, clock)
        self._deadlines = DeadlineWatch(registry, clock, self._fetch)

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """Those that run now, in the config's order."""
        return self._fleet.exchanges

    @property
    def deviations(self) -> Mapping[tuple[str, str], float]:
        """By exchange and symbol: how far a price is from its peers', as a ratio."""
        return {} if self._prices is None else self._prices.deviation

    @property
    def controls(self) -> ControlTargets | None:
        """The control targets, once there is a config."""
        return self._controls

    def online(self) -> bool:
        """Return whether our own network works, as far as anybody can tell."""
        return self._controls is None or self._controls.network.online

    async def change(self, config: Config) -> Changes:
        """Follow this config from now on; an error of making what is new changes nothing."""
        before = self._config
        probes = before is None or before.probes != config.probes
        streams = before is None or before.streams != config.streams
        client = await _opened(config) if self._client is None or probes else self._client
        slots = FairSemaphore(config.probes.concurrency)
        spill = None
        if self._overflows is not None:
            spill = partial(self._overflows.open, max_bytes=config.streams.spill_bytes)

        known = venues.within(config)

        def make(configured: settings.ExchangeConfig) -> Exchange:
            venue = known(configured.venue)
            if cut := settings.cut_timeouts(configured, venue, config.probes):
                log.warning(
                    "probe_timeout_is_interval exchange=%s endpoints=%s",
                    configured.name,
                    ",".join(cut),
                )
            around = ExchangeContext(
                config=config,
                registry=self._registry,
                fetch=client,
                dial=partial(self._dial, config.streams),
                clock=self._clock,
                slots=slots.share(len(config.exchanges)),
                probed=self._probed,
                online=self.online,
                bans=self._bans,
                post=self._post,
                spill=spill,
                settle=partial(self._fleet.settle, configured.name),
            )
            return Exchange(configured, venue, around)

        try:
            changes = await self._fleet.change(
                config.exchanges, make, known, all_anew=probes or streams, patience=PATIENCE
            )
        except BaseException:
            if client is not self._client:
                await client.__aexit__(None, None, None)
            raise
        if before is None or before.control_targets != config.control_targets or probes:
            await self._watch(config, client)
        if client is not self._client:
            await self._close_client()
            self._client = client
        self._compare(before, config)
        self._follow_pages(config)
        self._deadlines.follow(config.deadlines, config.exchanges, known)
        self._config = config
        log.info(
            "config_loaded added=%d removed=%d restarted=%d kept=%d",
            *(len(names) for names in asdict(changes).values()),
        )
        return changes

    def tasks(self) -> Iterator[Task]:
        """Yield what must run whatever the config."""
        yield "status", "status pages", self._pages.run
        yield "reload", "deadlines", self._deadlines.run

    async def update(self, now: float) -> None:
        """Look once a tick at what passes with time alone; ``now`` in epoch seconds."""
        await in_cooperative_steps(self.exchanges, lambda exchange: exchange.tick(now), self._clock)
        books = tuple(
            book
            for exchange in self.exchanges
            if exchange.books.books
            for book in exchange.books.measured
        )
        await in_cooperative_steps(books, lambda book: book.measure(), self._clock)
        prices = self._prices
        for _ in () if prices is None else prices.steps(self.exchanges, now):
            await self._clock.sleep(0.0)
            if prices is not self._prices:
                return  # another config since: the next tick is its

    async def stop(self) -> None:
        """Stop all that runs by the config; the last figures stay on the page."""
        await self._fleet.stop(PATIENCE)
        await end(self._watching, PATIENCE)

    async def close(self) -> None:
        """Close what is open, once all has stopped."""
        await self._close_client()

    async def _watch(self, config: Config, client: HttpClient) -> None:
        await end(self._watching, PATIENCE)
        if self._controls is not None:
            self._controls.close()
        self._controls = ControlTargets(config.control_targets, self._registry, client, self._clock)
        self._watching = [self._start(task) for task in self._controls.tasks()]

    def _compare(self, before: Config | None, config: Config) -> None:
        if (
            self._prices is None
            or before is None
            or (before.prices, before.pegs)
            != (
                config.prices,
                config.pegs,
            )
        ):
            if self._prices is not None:
                self._prices.close()
            self._prices = Prices(config.prices, self._registry, config.pegs)
        self._prices.update(self.exchanges, self._clock.wall())  # forgets those that are gone

    def _follow_pages(self, config: Config) -> None:
        wanted = []
        for configured, exchange in zip(config.exchanges, self.exchanges, strict=True):
            url = settings.status_page(configured, exchange.venue)
            if url is not None:
                listener = PageListener(
                    tell=exchange.probing.page_said,
                    components=configured.status_components,
                    watched=exchange.probing.watched,
                )
                wanted.append((url, listener))
        if left_out := self._pages.want(wanted):
            log.warning("status_pages_left_out exchanges=%d", left_out)

    async def _fetch(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        timeout: float,
        body_limit: int,
        body: bytes | None = None,
    ) -> Answer:
        """Ask over the client in force. Raises FetchFailedError."""
        if self._client is None:
            raise FetchFailedError(Reason.OTHER, "not open yet")
        return await self._client(
            method, url, headers=headers, timeout=timeout, body_limit=body_limit, body=body
        )

    async def _close_client(self) -> None:
        if self._client is not None:
            await self._client.__aexit__(None, None, None)
            self._client = None

    def _probed(self, done: Probed) -> None:
        self._judging.probed(done)
        self._lateness.probed(done)

    def _dial(
        self,
        streams: settings.StreamsConfig,
        bounds: ReceiveQueueBounds,
        meter: ReceiveQueueMeter,
        on_ping_rtt: Callable[[float | None], None],
    ) -> Connect:
        def waited(duration: float) -> None:
            meter.waited(duration)
            self._lateness.waited(duration)

        return partial(
            websocket.connect,
            clock=self._clock,
            timeout=streams.connect_timeout,
            max_message=streams.max_message,
            bounds=bounds,
            meter=replace(meter, waited=waited),
            ping_every=streams.ping_interval,
            ping_timeout=streams.ping_timeout,
            on_ping_rtt=on_ping_rtt,
            stalls=self._lateness.stalls,
            compression=streams.compression,
            tls=None if streams.ca_file is None else websocket.verifying(streams.ca_file),
        )


async def _opened(config: Config) -> HttpClient:
    client = HttpClient(
        limit=config.probes.connections,
        limit_per_host=config.probes.connections_per_host,
        dns_ttl=config.probes.dns_cache,
        oldest=config.probes.connection_age,
        ca_file=config.probes.ca_file,
    )
    await client.__aenter__()
    return client
