"""Runs the relay: alerts posted by Alertmanager are stored on disk, then delivered to receivers."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from random import random
from typing import Final

from exporter import __version__, logs
from exporter.clock import SystemClock
from exporter.config import ConfigError, config_hash, credentials
from exporter.config.secret import revealed
from exporter.contracts import Clock, Fetch, FetchFailedError
from exporter.decoding import DOUBTFUL
from exporter.flow.mailbox import Mailbox, MailboxFullError
from exporter.flow.tasks import supervise
from exporter.logs import SPARING
from exporter.metrics.process import ExporterMeter
from exporter.metrics.registry import Registry
from exporter.model import Answer
from exporter.notification import HttpRequest
from exporter.relay import heartbeat, notifiers, outbox, suppression, unreadable
from exporter.relay.config import RelayConfig
from exporter.relay.metrics import RelayMeter
from exporter.relay.routes import RelayRoutes
from exporter.relay.runtime import RelayRuntime, ended
from exporter.relay.store import DiskError, FullError, Store, StoreError
from exporter.relay.unreadable import UnreadableNotice
from exporter.relay.watchdog import Watchdog
from exporter.web.security import WebSecurity
from exporter.web.server import Server

log = logging.getLogger(__name__)

_TASKS: Final = ("deliver", "tick", "ping", "quota", "reload", "web")
_NEXT_START: Final = ("spool", "server", "log")  # sections that a reload leaves as they were
_TICK: Final = 0.5  # seconds
_PURGE_EVERY: Final = 3600.0
_REHEARSE_EVERY: Final = 5.0
_QUOTA_EVERY: Final = 600.0
_WAITING: Final = 4000  # jobs in line for the disk


class InUseError(Exception):
    """Another relay works on the same spool; the text is one line for the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayOptions:
    """What the command line adds to the config. ``folder``: where relative paths begin.

    ``reload`` reads the config anew, or raises ConfigError.
    """

    folder: Path
    listen_address: str = "127.0.0.1:9719"
    revision: str = ""
    config_file: str | None = None
    ready: Callable[[int], None] = lambda port: None
    reload: Callable[[], RelayConfig] | None = None
    web: WebSecurity | None = None  # loaded


class Relay:
    """The whole program, from opening the spool to the last answer."""

    store: Store  # these from the moment at which the spool is open
    group: asyncio.TaskGroup
    force: RelayRuntime
    watchdog: Watchdog
    unreadable: UnreadableNotice

    def __init__(
        self, config: RelayConfig, options: RelayOptions, clock: Clock | None = None
    ) -> None:
        self.config, self._options = config, options
        self.clock: Clock = clock or SystemClock()
        self.registry = Registry()
        self.meter = RelayMeter(self.registry, [each.name for each in config.receivers])
        self._own = ExporterMeter(
            self.registry, version=__version__, revision=options.revision, tasks=_TASKS
        )
        self.obstacle: str | None = "starting"  # what keeps us from being ready
        self._version: int | None = None  # of the spool, as another process changes it
        self.dead = 0
        self.reloads: Mailbox[bool, object] = Mailbox(capacity=4)
        self.port = 0

    @property
    def asks(self) -> bool:
        """Return whether the web config lets nobody in who does not show who they are."""
        web = self._options.web
        return web is not None and web.asks

    # --- life -----------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set. Raises ListenError, StoreError and InUseError."""
        spool = self._options.folder / self.config.spool.path
        with _locked(spool):
            async with Store(
                spool, outbox.begin, size=self.config.spool.size, waiting=_WAITING
            ) as store:
                self.store = store
                async with asyncio.TaskGroup() as self.group:
                    await self._work(stop)
        log.info("relay_ended")

    async def _work(self, stop: asyncio.Event) -> None:
        clock, meter = self.clock, self.meter
        self.force = force = RelayRuntime(
            store=self.store, clock=clock, meter=meter, group=self.group, start=self._start
        )
        self.watchdog = Watchdog(
            lambda: self.config.heartbeat,
            force,
            store=self.store,
            clock=clock,
            meter=meter,
            group=self.group,
        )
        self.unreadable = UnreadableNotice(force, clock=clock, meter=meter)
        background: list[asyncio.Task[None]] = []
        try:
            await force.change(self.config)
            self._own.config_loaded(config_hash(self.config), clock.wall())
            beaten = await self.store.write(lambda db: outbox.recall(db, "watchdog"))
            lost = await force.open_since(heartbeat.GROUP)
            self.watchdog.recall(beaten, lost)
            self.unreadable.recall(await force.open_since(unreadable.GROUP))
            self._tell_lost()
            self.registry.refresh(lambda: meter.depth.set(force.depth))
            background = [
                self._start("tick", self._tick_for_ever),
                self._start("ping", partial(self.watchdog.ping, lambda: self.obstacle is None)),
                self._start("quota", self._watch_quotas),
                self._start("reload", partial(self.reloads.serve, self._reload)),
                self._start(
                    "reload",
                    partial(
                        credentials.follow,
                        clock,
                        lambda: self.config,
                        partial(self.read_anew, credentials=True),
                    ),
                ),
            ]
            await self._serve(stop, background)
            await force.stop()
        finally:
            await ended(background)
            await force.close()

    def _tell_lost(self) -> None:
        """Tell people of what the spool held for them and is damaged."""
        found = self.store.recovered
        if found is not None and found.lost != 0:
            lost = "an unknown number of" if found.lost is None else found.lost
            why = f"the spool was damaged: {lost} messages that waited in it are lost"
            self.unreadable.saw(found.lost or 1, why)

    async def _serve(self, stop: asyncio.Event, background: list[asyncio.Task[None]]) -> None:
        own, web = self._own, self._options.web
        server = Server(
            self._options.listen_address,
            RelayRoutes(self).routes(),
            limits=self.config.server,
            body=self.config.intake.body_limit,
            security=None if web is None else web.security,
            too_many=HTTPStatus.SERVICE_UNAVAILABLE,
            refused=own.connections_refused,
            expired=own.connections_expired,
            unauthorized=own.unauthorized,
        )
        async with server:
            if web is not None:
                own.web_config_loaded(True)
                follow = partial(web.follow, self.clock, server.secure, own.web_config_loaded)
                background.append(self._start("web", follow))
            self.port = server.port
            self.obstacle = None
            log.info(
                "relay_started version=%s revision=%s config=%s address=%s port=%d spool=%s "
                "receivers=%s",
                __version__,
                self._options.revision[:12] or None,
                self._options.config_file,
                self._options.listen_address,
                server.port,
                self.config.spool.path,
                ",".join(each.name for each in self.config.receivers),
            )
            self._options.ready(server.port)
            await stop.wait()
            self.obstacle = "stopping"

    # --- the config in force --------------------------------------------------------------------

    def read_anew(self, *, credentials: bool = False) -> None:
        """Read the config anew, as at SIGHUP, or only the files of its secrets."""
        try:
            self.reloads.post(credentials)
        except MailboxFullError:
            log.warning("reload_ignored reason=%r", "several wait already")

    async def _reload(self, only_credentials: bool) -> object:
        """Read the config anew, or the files of its secrets, and follow it.

        Raises ConfigError; the old one stays in force.
        """
        read = self._options.reload
        if only_credentials:
            read = partial(credentials.renewed, self.config)
        if read is None:
            raise ValueError("this relay was started without a config file")
        try:
            config = await asyncio.to_thread(read)
        except ConfigError as error:
            self._own.config_refused()
            for complaint in error.complaints:
                log.error("config_refused mistake=%r", complaint[:500])
            raise
        logs.hide(revealed(config))
        config, later = _for_now(config, self.config)
        changes = await self.force.change(config)
        self.config = config
        self._own.config_loaded(config_hash(config), self.clock.wall())
        shown = asdict(changes)
        log.info(
            "config_loaded added=%d removed=%d restarted=%d kept=%d", *map(len, shown.values())
        )
        if later:
            log.warning("config_needs_restart sections=%s", ",".join(later))
        return {**shown, "at_next_start": later}

    def _start(self, kind: str, make: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        return self.group.create_task(self._supervised(kind, make), name=kind)

    async def _supervised(self, kind: str, make: Callable[[], Awaitable[None]]) -> None:
        self._own.task_started(kind)
        try:
            await supervise(
                kind,
                make,
                clock=self.clock,
                chance=random,
                on_restart=lambda: self._own.task_restarted(kind),
            )
        finally:
            self._own.task_ended(kind)

    # --- the passing of time --------------------------------------------------------------------

    async def _tick_for_ever(self) -> None:
        purged = rehearsed = -_PURGE_EVERY
        while True:
            now, wall = self.clock.monotonic(), self.clock.wall()
            try:
                await self.force.settle(wall, await self.store.write(suppression.receivers))
                await self._look_around()
                if gone := await self.store.write(_make_room):
                    log.warning("spool_full forgotten=%d", gone)
                if now - purged >= _PURGE_EVERY:
                    await self._purge(wall)
                    purged = now
                if self.force.refused or now - rehearsed >= _REHEARSE_EVERY:
                    rehearsed = now
                    await self.force.rehearse()
                self._stands(None)
            except StoreError as error:
                log.warning("spool_unwritable error=%s", error, extra=SPARING)
                self._stands(self._remedy(error))
            await self.watchdog.update(now, wall)
            await self.unreadable.update(now, wall)
            await self.clock.sleep(_TICK)

    def _stands(self, obstacle: str | None) -> None:
        if self.obstacle != "stopping":
            self.obstacle = obstacle

    def _remedy(self, error: StoreError) -> str:
        """Say what keeps posts from being taken, where, and what to do about it."""
        spool = self._options.folder / self.config.spool.path
        remedy = "restart the relay: it sets a damaged file aside and begins a fresh one"
        if isinstance(error, DiskError):
            remedy = "see whether its disk is full, over a quota, read-only or broken"
        if isinstance(error, FullError):
            remedy = "make room on the disk, give spool.size more, or drop what waits: relay outbox"
        return f"the spool {spool} takes no posts: {error}; {remedy}"

    async def _purge(self, wall: float) -> None:
        keep = self.config.spool.keep
        await self.store.write(lambda db: outbox.purge(db, wall, keep))

    async def _look_around(self) -> None:
        """See how the outbox stands, and what a command of another process has changed in it."""
        found = await self.store.write(outbox.backlog)
        self.meter.oldest.set(found.oldest)
        self.meter.dead.set(found.dead)
        self.dead = found.dead
        if self._version not in (None, found.version):
            log.info("outbox_changed_by_hand")
            await self.force.take_up()
        self._version = found.version

    async def _watch_quotas(self) -> None:
        """Ask for what is left of a month's messages, where a service tells."""
        while True:
            send = self.force.carrier(notifiers.load("webhook"), optional=True)
            for receiver in self.force.receivers:
                notifier = receiver.notifier
                if notifier.quota is None or notifier.read_quota is None:
                    continue
                limit, used = notifier.quota(receiver.accounts[0])
                try:
                    answers = [await _asked(send, limit), await _asked(send, used)]
                    figures = notifier.read_quota(answers[0].body, answers[1].body)
                    self.meter.quota(receiver.name, *figures)
                except (FetchFailedError, *DOUBTFUL) as error:
                    log.info("quota_unknown receiver=%s error=%s", receiver.name, error)
            await self.clock.sleep(_QUOTA_EVERY)


def _for_now(config: RelayConfig, old: RelayConfig) -> tuple[RelayConfig, list[str]]:
    """Keep what only a start can change as it is; name what that is."""
    later = [name for name in _NEXT_START if getattr(config, name) != getattr(old, name)]
    kept = replace(config, **{name: getattr(old, name) for name in _NEXT_START})
    if config.intake.body_limit != old.intake.body_limit:
        later.append("intake.body_limit")
        kept = replace(kept, intake=replace(kept.intake, body_limit=old.intake.body_limit))
    return kept, later


def _make_room(db: sqlite3.Connection) -> int:
    return outbox.shed(db) if outbox.full(db) else 0


async def _asked(send: Fetch, request: HttpRequest) -> Answer:
    return await send(
        request.method, request.url, headers=request.headers, timeout=10.0, body_limit=65_536
    )


@contextmanager
def _locked(spool: Path) -> Iterator[None]:
    """Keep a second relay off the spool: two would send everything twice. Raises InUseError."""
    try:
        lock = spool.with_name(f"{spool.name}.lock")
        lock.touch(mode=0o600, exist_ok=True)
        file = lock.open("a")
    except OSError as error:
        raise StoreError(f"{spool}: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InUseError(f"another relay works on {spool}") from error
        yield
