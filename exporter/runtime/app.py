"""The program: opens sockets and files, and runs every task in one TaskGroup."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from random import random
from typing import TYPE_CHECKING

from exporter import __version__, logs, venues
from exporter import config as settings
from exporter.clock import SystemClock
from exporter.config import Config, config_hash, credentials
from exporter.config.placement import Shard
from exporter.config.reload import Changes
from exporter.config.secret import revealed
from exporter.exchange.exchange import Exchange
from exporter.flow.dead_letters import nowhere
from exporter.flow.mailbox import Mailbox, MailboxFullError
from exporter.flow.stalls import BEAT
from exporter.flow.tasks import supervise
from exporter.gates.gates import TradingGates
from exporter.http.connection import STALLED
from exporter.logs import SPARING
from exporter.metrics import families
from exporter.metrics.process import ExporterMeter
from exporter.metrics.registry import Registry
from exporter.probes.bans import Bans
from exporter.probes.context import Task
from exporter.runtime.anomalies import Anomalies
from exporter.runtime.diagnostics import Diagnostics
from exporter.runtime.fleet import end
from exporter.runtime.local_health import Lateness, show_domains
from exporter.runtime.routes import ExporterRoutes
from exporter.runtime.runtime import PATIENCE, Runtime
from exporter.runtime.storage import Storage, StorageError, wants_storage
from exporter.runtime.timelines import Timelines
from exporter.streams.dead_letters import DeadLetterWriter
from exporter.web.server import Server
from exporter.web.state import Trouble

if TYPE_CHECKING:
    from exporter.web.security import WebSecurity

log = logging.getLogger(__name__)

_TASKS = ("probe", "stream", "book", "cross_check", "markets", "tick", "lag", "reload", "network",
    "status",
    "state", "mailbox", "jobs", "deadletters", "web", "push", "nudge", "garbage",
    "gate")  # fmt: skip
_NAMED = 20  # exchanges in the line at the start
_GARBAGE_EVERY = 10.0  # seconds
_REFUSED = "The changed config is refused, and the one before stays in force"
_NEXT_START = ("metrics", "server", "log")  # sections that a reload leaves as they were


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What the command line adds to the config. ``reload`` reads it anew, given the one in force,
    or raises ConfigError; ``refused`` says what the config leaves out of its file, and why.

    ``saved`` is told when all that must outlive the process is written, and only the end is left.
    """

    listen_address: str = ":9717"
    revision: str = ""
    ready: Callable[[int], None] = lambda port: None  # told the port once it is served
    saved: Callable[[], None] = lambda: None
    config_file: str | None = None  # where the config was read
    reload: Callable[[Config], Config] | None = None
    refused: settings.ConfigError | None = None
    web: WebSecurity | None = None  # loaded
    shard: Shard | None = None  # of all exchanges of the config, which to watch
    storage: Path | None = None  # a directory for what must outlive this process


class App:
    """The running program: what it holds, and `run`."""

    def __init__(self, config: Config, options: RunOptions) -> None:
        self.config, self.options = config, options
        self.clock = SystemClock()
        self.started = self.clock.wall()
        self.registry = Registry(
            series_limit=config.metrics.series_limit,
            symbols=config.metrics.own_symbols,
            buckets={
                families.PROBE_DURATION.name: config.metrics.probe_buckets,
                families.STREAM_LATENCY.name: config.metrics.latency_buckets,
            },
        )
        self.meter = ExporterMeter(
            self.registry,
            version=__version__,
            revision=options.revision,
            tasks=_TASKS,
            shard=None if options.shard is None else (options.shard.index, options.shard.count),
        )
        self.stopping = False
        self.anomalies = Anomalies(self.registry, self.clock)
        self.judging = self.anomalies.judging
        self.gates = TradingGates(self.registry, self.clock, lambda: self.exchanges)
        self.lateness = Lateness(self.clock)
        self.timelines = Timelines()
        self.bans = Bans()
        self._dead: DeadLetterWriter | None = None  # where there is a storage path
        self.reloads: Mailbox[bool, object] = Mailbox(capacity=4)
        self.diagnostics: Diagnostics | None = None
        self._storage: Storage | None = None
        self._refused: Trouble | None = None  # the last reload, if its config was refused
        self._force: Runtime | None = None  # both once there is a group to run it in

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """Those that run now, in the config's order."""
        return () if self._force is None else self._force.exchanges

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain. Raises ListenError, StorageError."""
        async with AsyncExitStack() as edges:
            edges.callback(gc.unfreeze)
            self._storage = storage = self._open_storage(edges)
            server = Server(
                self.options.listen_address,
                ExporterRoutes(self).routes(),
                limits=self.config.server,
                body=self.config.server.body_limit,
                security=None if self.options.web is None else self.options.web.security,
                refused=self.meter.connections_refused,
                expired=self.meter.connections_expired,
                unauthorized=self.meter.unauthorized,
            )
            await edges.enter_async_context(server)
            stop = asyncio.Event()
            with _signals(stop, self._read_anew):
                async with asyncio.TaskGroup() as tasks:
                    start = partial(self._start, tasks)
                    self._force = force = Runtime(
                        registry=self.registry,
                        clock=self.clock,
                        start=start,
                        judging=self.judging,
                        lateness=self.lateness,
                        bans=self.bans,
                        post=nowhere if self._dead is None else self._dead.post,
                        overflows=None if storage is None else storage.overflows,
                    )
                    self.diagnostics = Diagnostics(force, self.registry, self.clock)
                    edges.push_async_callback(force.close)
                    edges.push_async_callback(self.anomalies.close)
                    self.anomalies.start = start
                    await self._follow(self.config, force)
                    if self.options.refused is not None:
                        self._refuse(self.options.refused)
                    self._remember(storage)
                    own = [start(task) for task in self._tasks(force, storage)]
                    if self.options.web is not None:
                        own.append(start(self._web(server, self.options.web)))
                    self._log_start(server.port)
                    self.options.ready(server.port)
                    await stop.wait()
                    await self._drain(force, own)
                    await self._save(storage)
                    self.options.saved()

    def _log_start(self, port: int) -> None:
        """Say once what runs, by which config, where it is served and what is watched."""
        options, exchanges = self.options, self.exchanges
        log.info(
            "started version=%s revision=%s config=%s address=%s port=%d storage=%s "
            "exchanges=%s endpoints=%d streams=%d",
            __version__,
            options.revision[:12] or None,
            options.config_file or "built-in",
            options.listen_address,
            port,
            options.storage,
            ",".join(exchange.name for exchange in exchanges[:_NAMED])
            + (f",... ({len(exchanges)} in all)" if len(exchanges) > _NAMED else ""),
            sum(len(exchange.probing.endpoints) for exchange in exchanges),
            sum(len(exchange.streams) for exchange in exchanges),
        )

    def _open_storage(self, edges: AsyncExitStack) -> Storage | None:
        if self.options.storage is None:
            if missing := wants_storage(self.config):
                raise StorageError(missing)
            return None
        storage = Storage(self.options.storage, self.registry, self.clock)
        edges.callback(storage.close)
        self.bans = storage.bans()
        storage.timelines(lambda raw: self.timelines.restore(raw, self.started))
        try:
            self._dead = DeadLetterWriter(storage.folder / "deadletters", self.registry, self.clock)
            self._dead.adopt(storage.folder / "spill")
        except OSError as error:
            raise StorageError(f"cannot use {storage.folder}: {error}") from error
        edges.callback(self._dead.close)
        return storage

    def _remember(self, storage: Storage | None) -> None:
        """Take up what the detectors had learnt, if it fits what there is to judge now."""
        try:
            learnt = None if storage is None else storage.learnt()
            if learnt is not None:
                self.anomalies.restore(learnt)
        except ValueError as error:
            log.warning("detector_state_left reason=%r learning=anew", str(error)[:200])

    async def _save(self, storage: Storage | None) -> None:
        if storage is not None:
            storage.save_bans(self.bans)
            storage.save_learnt(await self.anomalies.snapshot())
            storage.save_timelines(self.timelines.encode())

    async def _drain(self, force: Runtime, own: list[asyncio.Task[None]]) -> None:
        self.stopping = True
        log.info("stopping exchanges=%d patience_s=%.1f", len(force.exchanges), PATIENCE)
        await force.stop()
        if self._dead is not None:
            await self._dead.drain(PATIENCE)
        await self.anomalies.stop()
        await end(own, PATIENCE)
        log.info("stopped")

    def _tasks(self, force: Runtime, storage: Storage | None) -> Iterator[Task]:
        yield "lag", "lag", self._watch_lag
        yield "garbage", "garbage", self._collect_garbage
        yield "tick", "tick", partial(self._tick, force)
        yield "gate", "gates", self.gates.run
        yield from force.tasks()
        if self.diagnostics is not None:
            yield "jobs", "jobs", self.diagnostics.jobs.run
        yield from self.anomalies.tasks()
        if self._dead is not None:
            yield "deadletters", "deadletters", self._dead.run
        if storage is not None:
            yield "state", "state", partial(storage.run, self.bans, self.anomalies.snapshot)
            save = partial(self.timelines.run, self.clock, storage.save_timelines)
            yield "state", "timelines", save
        yield "reload", "reload", partial(self.reloads.serve, partial(self._reload, force))
        changed = partial(self._read_anew, credentials=True)
        follow = partial(credentials.follow, self.clock, lambda: self.config, changed)
        yield "reload", "credentials", follow

    def _web(self, server: Server, web: WebSecurity) -> Task:
        self.meter.web_config_loaded(True)
        follow = partial(web.follow, self.clock, server.secure, self.meter.web_config_loaded)
        return "web", "web config", follow

    def _start(self, tasks: asyncio.TaskGroup, task: Task) -> asyncio.Task[None]:
        kind, name, make = task

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

    def obstacle(self) -> str | None:
        """Name what keeps us from being ready: what had no first turn yet, or our end."""
        if self.stopping:
            return "stopping"
        waiting = [exchange.name for exchange in self.exchanges if not exchange.begun]
        return f"waiting for {', '.join(waiting)}" if waiting else None

    # --- the config in force ------------------------------------------------------------------

    def _read_anew(self, *, credentials: bool = False) -> None:
        try:
            self.reloads.post(credentials)
        except MailboxFullError:
            log.warning("reload_ignored reason=%r", "several wait already")

    async def _reload(self, force: Runtime, only_credentials: bool) -> object:
        """Read the config anew, or the files of its secrets, and follow it.

        Raises ConfigError; the old one stays in force, or of it the exchanges that are excused.
        """
        read = credentials.renewed if only_credentials else self.options.reload
        if read is None:
            raise ValueError("this program was started without a config file")
        wrong: settings.ConfigError | None = None
        try:
            try:
                config = await asyncio.to_thread(read, self.config)
            except settings.ConfigError as error:
                if error.instead is None:
                    raise
                config, wrong = error.instead, error
            if self.options.storage is None and (missing := wants_storage(config)):
                raise settings.ConfigError((missing,))
            logs.hide(revealed(config))
            later = [
                name for name in _NEXT_START
                if getattr(config, name) != getattr(self.config, name)
            ]  # fmt: skip
            config = replace(config, **{name: getattr(self.config, name) for name in _NEXT_START})
            changes = await self._follow(config, force)
            if wrong is not None:  # the exchanges that it is not about have taken over what is new
                raise wrong
        except settings.ConfigError as error:
            self._refuse(error)
            raise
        except Exception as error:
            self._doubt(f"{_REFUSED}: {type(error).__name__}")
            raise
        self._refused = None
        if later:
            log.warning("config_needs_restart sections=%s", ",".join(later))
        return {**asdict(changes), "at_next_start": later}

    def _refuse(self, error: settings.ConfigError) -> None:
        """Tell of a config with mistakes, of which all is followed but the exchanges excused."""
        for complaint in error.complaints:
            log.error("config_refused mistake=%r", complaint[:500])
        said = _REFUSED
        if error.instead is not None:
            running = {each.name for each in self.config.exchanges}
            left = ", ".join(name for name in error.excused if name not in running)
            said = "A venue's definition is refused, and what it defined before stays in force"
            if left:
                said = f"Not watched, because the venue is unknown or its definition wrong: {left}"
        self._doubt(f"{said}: {error.complaints[0][:300]}")

    def _doubt(self, text: str) -> None:
        self.meter.config_refused()
        alert = "ExchangeExporterReloadFailed"
        self._refused = Trouble(text=text, alert=alert, since=self.clock.wall())

    def troubles(self) -> Iterator[Trouble]:
        """Yield what is wrong with this process itself."""
        if self._refused is not None:
            yield self._refused
        if self._storage is not None and self._storage.unsaved is not None:
            why, since = self._storage.unsaved
            text = f"State is not saved to {self._storage.folder}: {why}"
            yield Trouble(text=text, alert="ExchangeExporterStateSaveFailing", since=since)

    async def _follow(self, config: Config, force: Runtime) -> Changes:
        changes = await force.change(self._own(config))
        await self.anomalies.follow(config)
        self.gates.follow(config.gates)
        self.config = config
        # What a config made stays until the next one. To walk through it time and again, in search
        # of garbage, would hold up the loop for a fifth of a second with 10,000 series.
        gc.unfreeze()
        if changes.removed or changes.restarted:
            gc.collect()
        gc.freeze()
        self.meter.config_loaded(config_hash(config), self.clock.wall())
        return changes

    def _own(self, config: Config) -> Config:
        """Leave what is ours: whole exchanges, for a verdict needs all evidence, or parts."""
        shard = self.options.shard
        if shard is None:
            return config
        return replace(
            config,
            exchanges=settings.shares(config, shard.count, venues.within(config))[shard.index],
        )

    # --- what runs ----------------------------------------------------------------------------

    async def _watch_lag(self) -> None:
        while True:
            due = self.clock.monotonic() + BEAT
            await self.clock.sleep(BEAT)
            now = self.clock.monotonic()
            lag = max(0.0, now - due)
            self.meter.loop_lag.observe(lag)
            if lag > STALLED:
                log.warning("event_loop_stalled late_s=%.2f", lag, extra=SPARING)
            self.lateness.looped(lag)
            self.judging.sampling.lagged(lag)
            await self.lateness.stalls.beat(now)

    async def _collect_garbage(self) -> None:
        """Free what connections leave behind in cycles.

        By itself Python would come round to it once in many minutes, and then to megabytes. What a
        config made is left out, so that it takes a millisecond at 10,000 series.
        """
        while True:
            await self.clock.sleep(_GARBAGE_EVERY)
            gc.collect()

    async def _tick(self, force: Runtime) -> None:
        due = self.clock.monotonic()
        while True:
            # A tick that was missed is left out: its values are gone, two in a row teach nothing.
            due = max(due + self.config.anomaly.tick, self.clock.monotonic())
            await self.clock.sleep(due - self.clock.monotonic())
            wall = self.clock.wall()
            await force.update(wall)
            if force.controls is not None:
                site = self.lateness.site(force.controls.network)
                await show_domains(self.exchanges, site, self.clock)
            await self.anomalies.tick(force)
            self.timelines.update(self.exchanges, self.clock.wall())


@contextmanager
def _signals(stop: asyncio.Event, hangup: Callable[[], None]) -> Iterator[None]:
    """Set ``stop`` at SIGTERM or SIGINT; the second one ends the process as it always does."""
    loop = asyncio.get_running_loop()
    ends = (signal.SIGTERM, signal.SIGINT)

    def once() -> None:
        stop.set()
        for each in ends:
            loop.remove_signal_handler(each)

    for each in ends:
        loop.add_signal_handler(each, once)
    loop.add_signal_handler(signal.SIGHUP, hangup)
    try:
        yield
    finally:
        for each in (*ends, signal.SIGHUP):
            loop.remove_signal_handler(each)
