"""Joins the relay's parts: what Alertmanager posts goes onto the disk, and from there to people."""

from __future__ import annotations

import asyncio
import base64
import fcntl
import hmac
import logging
import secrets
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import random
from typing import Final

import msgspec

from exporter import __version__, notifiers
from exporter.alerting import courier, heartbeat, held, intake, ledger, outbox, page, texts
from exporter.alerting.adviser import Advice, Adviser, Outcome
from exporter.alerting.adviser import Rules as AdviserRules
from exporter.alerting.courier import Courier
from exporter.alerting.incident import Incident
from exporter.alerting.intake import Post
from exporter.alerting.ledger import Ledger
from exporter.alerting.store import Store, StoreError
from exporter.alerting.writing import Taken
from exporter.app.relay_settings import (
    ledger_settings,
    model_of,
    plain,
    policy_of,
    receiver_of,
    sending,
)
from exporter.config.relay import Config
from exporter.contracts import Clock, FetchFailedError, Notifier, Send
from exporter.edge.clock import SystemClock
from exporter.edge.routes import (
    JSON,
    Handler,
    RefusedError,
    Reply,
    Request,
    file_route,
    health_route,
    html_route,
    json_route,
    scrape_route,
)
from exporter.edge.server import Limits, Server
from exporter.metrics.exporter import ExporterMeter
from exporter.metrics.exposition import Exposition
from exporter.metrics.registry import Registry
from exporter.metrics.relay import Refusal, RelayMeter, Status
from exporter.model import Answer
from exporter.model import Request as WireRequest
from exporter.sources.supervise import supervise
from exporter.web import page as web
from exporter.wire import ParseError

log = logging.getLogger(__name__)

_TASKS: Final = ("deliver", "tick", "ping", "quota")
_TICK: Final = 0.5  # seconds
_PURGE_EVERY: Final = 3600.0
_QUOTA_EVERY: Final = 600.0
_ACCEPT: Final = 5.0  # seconds for a post to reach the disk; then 503
_LEAVE: Final = 12.0  # seconds that tries under way have to end at the end
_BIG: Final = 64 * 1024  # bytes of a post that are read in a thread
_WAITING: Final = 4000  # jobs in line for the disk
_LONGEST_DELAY: Final = 3600.0


class InUseError(Exception):
    """Another relay works on the same spool; the text is one line for the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line adds to the config. ``folder``: where relative paths begin."""

    folder: Path
    listen_address: str = "127.0.0.1:9719"
    revision: str = ""
    ready: Callable[[int], None] = lambda port: None


class Relay:
    """The whole program, from opening the spool to the last answer."""

    def __init__(self, config: Config, options: Options, clock: Clock | None = None) -> None:
        self.config, self._options = config, options
        self._clock: Clock = clock or SystemClock()
        self.registry = Registry()
        self._meter = RelayMeter(self.registry, [each.name for each in config.receivers])
        self._own = ExporterMeter(
            self.registry, version=__version__, revision=options.revision, tasks=_TASKS
        )
        self._receivers = [receiver_of(each) for each in config.receivers]
        self._ledger = Ledger(self._receivers, ledger_settings(config))
        self._couriers: list[Courier] = []
        self._asking: set[asyncio.Task[None]] = set()
        self._beat: heartbeat.Beat | None = None  # None: no watchdog was ever seen
        self._beaten: float | None = None  # epoch seconds
        self._obstacle: str | None = "starting"
        self._version: int | None = None  # of the spool, as another process changes it
        self._dead = 0
        self.port = 0

    # --- life -----------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set. Raises ListenError, StoreError and InUseError."""
        spool = self._options.folder / self.config.spool.path
        with _locked(spool):
            async with (
                Store(spool, outbox.begin, size=self.config.spool.size, waiting=_WAITING) as store,
                sending(self.config) as carrier,
            ):
                self._store = store
                await self._open(carrier)
                await self._serve(stop, carrier)

    async def _open(self, carrier: Callable[[Notifier], Send]) -> None:
        for receiver, config in zip(self._receivers, self.config.receivers, strict=True):
            self._couriers.append(
                Courier(
                    receiver,
                    policy_of(config),
                    store=self._store,
                    send=carrier(receiver.notifier),
                    clock=self._clock,
                    meter=self._meter,
                    chance=random,
                )
            )
        careful = [r.name for r in self._receivers if not (r.resend or r.notifier.keyed)]
        now = self._clock.wall()
        await self._store.write(lambda db: outbox.interrupted(db, careful, now))
        pending = await self._store.write(lambda db: outbox.pending(db, now, _LONGEST_DELAY))
        courier.shared(self._couriers, pending)
        known = {receiver.name for receiver in self._receivers}
        for name in sorted({each.receiver for each in pending} - known):
            log.warning("receiver_gone receiver=%s", name)
        beaten = await self._store.write(lambda db: outbox.recall(db, "watchdog"))
        lost = await self._store.write(lambda db: self._ledger.open_since(db, heartbeat.GROUP))
        if beaten is not None and self.config.heartbeat.enabled:
            self._beaten = float(beaten)
            self._beat = heartbeat.Beat(fed=self._clock.monotonic(), lost=lost)
            self._meter.watchdog.set(self._beaten)
        self._meter.heartbeat_lost.set(0 if lost is None else 1)
        self.registry.refresh(self._sample)
        for receiver in self._receivers:
            texts.warm(receiver)

    async def _serve(self, stop: asyncio.Event, carrier: Callable[[Notifier], Send]) -> None:
        limits = Limits(
            connections=512,
            requests=256,
            body=self.config.intake.body_limit,
            request_timeout=_ACCEPT + 5.0,
        )
        adviser = None
        if self.config.triage.enabled:
            ask = self.config.triage
            rules = AdviserRules(deadline=ask.deadline, evidence_url=ask.evidence_url)
            adviser = Adviser(
                model_of(ask),
                rules,
                send=carrier(notifiers.load("webhook")),
                clock=self._clock,
                fence=lambda: f"=== {secrets.token_hex(8)} ===",
            )
        self._adviser = adviser
        refused, expired = self._own.connections_refused, self._own.connections_expired
        async with asyncio.TaskGroup() as group:
            self._group = group
            workers = [
                group.create_task(self._supervised("deliver", each.run)) for each in self._couriers
            ]
            background = [group.create_task(self._supervised("tick", self._tick_for_ever))]
            if self.config.heartbeat.ping_url is not None:
                ping = partial(self._ping, carrier(notifiers.load("webhook")))
                background.append(group.create_task(self._supervised("ping", ping)))
            if any(receiver.notifier.quota for receiver in self._receivers):
                quota = partial(self._watch_quotas, carrier(notifiers.load("webhook")))
                background.append(group.create_task(self._supervised("quota", quota)))
            address = self._options.listen_address
            async with Server(
                address, self._routes(), limits=limits, refused=refused, expired=expired
            ) as server:
                self.port = server.port
                self._obstacle = None
                log.info("relay_started address=%s port=%d", address, server.port)
                self._options.ready(server.port)
                await stop.wait()
                self._obstacle = "stopping"
            for each in self._couriers:
                each.stop()
            # What is under way has some time; what is cut off is tried again at the next start.
            await asyncio.wait(workers, timeout=_LEAVE)
            for task in (*workers, *background, *self._asking):
                task.cancel()
        log.info("relay_ended")

    async def _supervised(self, name: str, make: Callable[[], Awaitable[None]]) -> None:
        self._own.task_started(name)
        try:
            await supervise(
                name,
                make,
                clock=self._clock,
                chance=random,
                on_restart=lambda: self._own.task_restarted(name),
            )
        finally:
            self._own.task_ended(name)

    # --- routes ---------------------------------------------------------------------------------

    def _routes(self) -> Mapping[str, Handler]:
        routes: dict[str, Handler] = {
            "POST /api/v1/alertmanager": partial(self._post, intake.read),
            "POST /api/v1/grafana": partial(self._post, intake.read),
            "POST /api/v1/alert": partial(self._post, intake.read_plain),
            "/": html_route(self._page),
            "/api/v1/incidents/{id}": json_route(self._answer_incident),
            "/metrics": scrape_route(Exposition(self.registry)),
            "/-/healthy": health_route(lambda: None),
            "/-/ready": health_route(lambda: self._obstacle),
        }
        for path, (kind, content) in web.static_files().items():
            routes[path] = file_route(kind, content)
        return routes

    async def _post(self, read: Callable[[bytes, float], Post], request: Request) -> Reply:
        """Take a post: 200 once it is on the disk, 503 when it cannot be, never 429 (see docs)."""
        self._authorize(request)
        now = self._clock.wall()
        try:
            if len(request.body) > _BIG:
                post = await asyncio.to_thread(read, request.body, now)
            else:
                post = read(request.body, now)
        except ParseError as error:
            self._meter.refused[Refusal.INVALID].inc()
            log.warning("post_invalid reason=%s", str(error)[:200])
            raise RefusedError(400, str(error)[:300]) from error
        post = await self._fed(post)
        if post.alerts:
            # Shielded: a caller who hangs up must not leave a message that no courier knows of.
            task = self._group.create_task(self._take(post), name="take")
            try:
                async with asyncio.timeout(_ACCEPT):
                    failed = await asyncio.shield(task)
            except TimeoutError:
                failed = StoreError("the disk is too slow")
            if failed is not None:
                self._meter.refused[Refusal.FULL].inc()
                raise RefusedError(503, "the spool cannot take it now", {"Retry-After": "5"})
        for alert in post.alerts:
            self._meter.received[Status.FIRING if alert.firing else Status.RESOLVED].inc()
        return Reply(pieces=(b'{"status":"ok"}',), headers={"Content-Type": JSON})

    def _authorize(self, request: Request) -> None:
        """Check the login in constant time. Raises RefusedError."""
        config = self.config.intake
        given = request.headers.get("Authorization", "").encode()
        if config.bearer_token is not None:
            wanted, scheme = f"Bearer {config.bearer_token.reveal()}".encode(), "Bearer"
        elif config.password is not None:
            login = f"{config.username}:{config.password.reveal()}".encode()
            wanted, scheme = b"Basic " + base64.b64encode(login), "Basic"
        else:
            return
        if not hmac.compare_digest(given, wanted):
            self._meter.refused[Refusal.UNAUTHORIZED].inc()
            headers = {"WWW-Authenticate": f'{scheme} realm="relay"'}
            raise RefusedError(401, "wrong or no login", headers)

    async def _take(self, post: Post) -> StoreError | None:
        """Write a post down and hand over what follows from it; what went wrong is given back."""
        now = self._clock.wall()
        try:
            taken = await self._store.write(lambda db: self._ledger.take(db, post, now))
        except StoreError as error:
            log.warning("post_not_taken error=%s", error)
            return error
        except Exception:  # a mistake of ours must not end the task group: it is said and counted
            log.exception("post_not_taken group=%s", post.group)
            return StoreError("internal error")
        self._follow(taken)
        return None

    def _follow(self, taken: Taken) -> None:
        courier.shared(self._couriers, taken.pending)
        self._meter.deduplicated.inc(taken.duplicates)
        for receiver, reason in taken.held:
            self._meter.held(receiver, reason.value)
        for receiver in taken.truncated:
            self._meter.tried(receiver, "truncated")
        for _ in range(taken.unasked):
            self._meter.triaged("budget")
        if self._adviser is None:
            for _ in range(taken.urgent):
                self._meter.triaged("disabled")
            return
        for incident in taken.triage:
            task = self._group.create_task(self._advise(self._adviser, incident), name="triage")
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    # --- triage ---------------------------------------------------------------------------------

    async def _advise(self, adviser: Adviser, incident: Incident) -> None:
        """Ask about an incident that people have been told of, and send them the answer after."""
        advice = Advice(outcome=Outcome.ERROR)
        try:
            advice = await adviser.ask(incident)
        except Exception:  # as above: nothing that a model says may end the relay
            log.exception("triage_broken incident=%s", incident.id)
        self._meter.triaged(advice.outcome.value, advice.seconds)
        parts: Mapping[str, str] = {}
        if advice.found is not None:
            parts = advice.found.parts
            self._meter.tokens(advice.found.prompt_tokens, advice.found.completion_tokens)
        now, outcome = self._clock.wall(), advice.outcome.value
        try:
            taken = await self._store.write(
                lambda db: self._ledger.triaged(db, incident.id, outcome, parts, now)
            )
            self._follow(taken)
        except StoreError as error:
            log.warning("triage_not_kept incident=%s error=%s", incident.id, error)
        for each in self._couriers:
            each.hurry(incident.id)

    # --- heartbeats -----------------------------------------------------------------------------

    async def _fed(self, post: Post) -> Post:
        """Take the watchdog alert out of a post and feed the timer with it."""
        config = self.config.heartbeat
        if not config.enabled:
            return post
        signs = [alert for alert in post.alerts if alert.name == config.alertname]
        if not signs:
            return post
        if any(alert.firing for alert in signs):
            wall, now = self._clock.wall(), self._clock.monotonic()
            before = self._beat or heartbeat.Beat(fed=now)
            self._beat, back = heartbeat.feed(before, now)
            self._beaten = wall
            self._meter.watchdog.set(wall)
            if back and before.lost is not None:
                self._meter.heartbeat_lost.set(0)
                log.warning("heartbeat_back silent_since=%.0f", before.lost)
                # A task of its own: a caller who hangs up must not cut it off half-way.
                self._group.create_task(self._say_heartbeat(before.lost, firing=False))
            with suppress(StoreError):  # only a restart would need it
                await self._store.write(lambda db: outbox.remember(db, "watchdog", repr(wall)))
        rest = tuple(alert for alert in post.alerts if alert.name != config.alertname)
        return replace(post, alerts=rest)

    async def _say_heartbeat(self, lost: float, *, firing: bool) -> None:
        """Write the heartbeat's own alert down; until the disk takes it, it is tried again."""
        timeout, wall = self.config.heartbeat.timeout, self._clock.wall()
        post = heartbeat.post(lost=lost, firing=firing, wall=wall, timeout=timeout)
        while await self._take(post) is not None:
            await self._clock.sleep(1.0)

    async def _ping(self, send: Send) -> None:
        """Tell a dead man's switch elsewhere that the relay lives and its disk takes writes."""
        url = plain(self.config.heartbeat.ping_url)
        while True:
            if self._obstacle is None:
                with suppress(FetchFailedError):
                    answer = await send("GET", url, headers={}, timeout=10.0, body_limit=65_536)
                    if answer.status < 400:
                        self._meter.outbound.set(self._clock.wall())
            await self._clock.sleep(self.config.heartbeat.ping_every)

    # --- the passing of time --------------------------------------------------------------------

    async def _tick_for_ever(self) -> None:
        purged = -_PURGE_EVERY
        while True:
            now, wall = self._clock.monotonic(), self._clock.wall()
            try:
                self._follow(await self._store.write(partial(self._ledger.settle, now=wall)))
                for name in await self._store.write(held.receivers):
                    release = partial(self._ledger.release, name=name, now=wall)
                    self._follow(await self._store.write(release))
                await self._look_around(wall)
                if gone := await self._store.write(_make_room):
                    log.warning("spool_full forgotten=%d", gone)
                if now - purged >= _PURGE_EVERY:
                    await self._purge(wall)
                    purged = now
                self._obstacle = None if self._obstacle != "stopping" else "stopping"
            except StoreError as error:
                log.warning("spool_unwritable error=%s", error)
                self._obstacle = "the spool cannot be written"
            if self._beat is not None:
                timeout = self.config.heartbeat.timeout
                self._beat, silent = heartbeat.look(self._beat, now, wall, timeout)
                if silent and self._beat.lost is not None:
                    self._meter.heartbeat_lost.set(1)
                    log.error("heartbeat_lost timeout_s=%.0f", timeout)
                    await self._say_heartbeat(self._beat.lost, firing=True)
            await self._clock.sleep(_TICK)

    async def _purge(self, wall: float) -> None:
        keep, dedup = self.config.spool.keep, self.config.incidents.dedup_window
        await self._store.write(lambda db: outbox.purge(db, wall, keep, dedup))

    async def _look_around(self, wall: float) -> None:
        """See how the outbox stands, and what a command of another process has changed in it."""
        found = await self._store.write(outbox.backlog)
        self._meter.oldest.set(found.oldest)
        self._meter.dead.set(found.dead)
        self._dead = found.dead
        if self._version not in (None, found.version):
            log.info("outbox_changed_by_hand")
            pending = await self._store.write(lambda db: outbox.pending(db, wall, _LONGEST_DELAY))
            courier.shared(self._couriers, pending)
        self._version = found.version

    async def _watch_quotas(self, send: Send) -> None:
        """Ask for what is left of a month's messages, where a service tells."""
        while True:
            for receiver in self._receivers:
                notifier = receiver.notifier
                if notifier.quota is None or notifier.read_quota is None:
                    continue
                limit, used = notifier.quota(receiver.accounts[0])
                try:
                    answers = [await _asked(send, limit), await _asked(send, used)]
                    figures = notifier.read_quota(answers[0].body, answers[1].body)
                    self._meter.quota(receiver.name, *figures)
                except (FetchFailedError, ValueError, msgspec.MsgspecError) as error:
                    log.info("quota_unknown receiver=%s error=%s", receiver.name, error)
            await self._clock.sleep(_QUOTA_EVERY)

    # --- for people -----------------------------------------------------------------------------

    def _sample(self) -> None:
        self._meter.depth.set(sum(each.depth for each in self._couriers))

    async def _page(self) -> str:
        states = tuple(outbox.State)
        incidents, rows = await self._store.write(
            lambda db: (ledger.recent(db, 50), outbox.listed(db, states, 50))
        )
        seen = page.Overview(
            version=__version__,
            now=self._clock.wall(),
            incidents=incidents,
            deliveries=rows,
            depth=sum(each.depth for each in self._couriers),
            dead=self._dead,
            beat=self._beaten,
            silent=self._beat is not None and self._beat.lost is not None,
        )
        return await asyncio.to_thread(page.render, seen)

    async def _answer_incident(self, request: Request) -> object:
        name = request.parameters["id"]
        found = await self._store.write(lambda db: ledger.one(db, name))
        if found is None:
            raise RefusedError(404, "no incident of that id")
        return found


def _make_room(db: sqlite3.Connection) -> int:
    return outbox.shed(db) if outbox.full(db) else 0


async def _asked(send: Send, request: WireRequest) -> Answer:
    return await send(
        request.method, request.url, headers=request.headers, timeout=10.0, body_limit=65_536
    )


@contextmanager
def _locked(spool: Path) -> Iterator[None]:
    """Keep a second relay off the spool: two would send everything twice. Raises InUseError."""
    try:
        file = spool.with_name(f"{spool.name}.lock").open("a")
    except OSError as error:
        raise StoreError(f"{spool}: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InUseError(f"another relay works on {spool}") from error
        yield
