"""The routes of the relay's web server: posts, pages, metrics."""

from __future__ import annotations

import asyncio
import base64
import hmac
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from exporter import __version__
from exporter.decoding import ParseError
from exporter.logs import SPARING
from exporter.metrics.exposition import Exposition
from exporter.relay import incident_store, outbox, page, webhook
from exporter.relay.metrics import AlertStatus, Refusal
from exporter.relay.store import StoreError
from exporter.relay.webhook import Post
from exporter.web import administration
from exporter.web import page as web
from exporter.web.routes import (
    JSON,
    Handler,
    RefusedError,
    Request,
    Response,
    file_route,
    health_route,
    html_route,
    json_route,
    refuse_foreign,
    scrape_route,
)

if TYPE_CHECKING:
    from exporter.relay.app import Relay

log = logging.getLogger(__name__)

ACCEPT: Final = 5.0  # seconds for a post to reach the disk; then 503
_BIG: Final = 64 * 1024  # bytes of a post that are read in a thread


class RelayRoutes:
    """The routes of the running relay, and what is behind them."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def routes(self) -> Mapping[str, Handler]:
        """Return all routes."""
        relay = self._relay
        routes: dict[str, Handler] = {
            "POST /api/v1/alertmanager": partial(self._post, webhook.read),
            "POST /api/v1/grafana": partial(self._post, webhook.read),
            "POST /api/v1/alert": partial(self._post, webhook.read_plain),
            "/": html_route(self._page),
            "/api/v1/state": json_route(self._state),
            "/api/v1/incidents/{id}": json_route(self._incident),
            "/metrics": scrape_route(Exposition(relay.registry)),
            "/-/healthy": health_route(lambda: None),
            "/-/ready": health_route(lambda: relay.obstacle),
            "POST /-/reload": json_route(self._reload),
            "PUT /-/reload": json_route(self._reload),
        }
        for path, (kind, content) in web.static_files().items():
            routes[path] = file_route(kind, content)
        return routes

    async def _post(self, read: Callable[[bytes, float], Post], request: Request) -> Response:
        """Take a post: 200 once it is on the disk, 503 when it cannot be, never 429 (see docs)."""
        relay, meter = self._relay, self._relay.meter
        login = self._authorize(request)
        self._admit(request, login=login)
        now = relay.clock.wall()
        try:
            if len(request.body) > _BIG:
                post = await asyncio.to_thread(read, request.body, now)
            else:
                post = read(request.body, now)
        except ParseError as error:
            meter.refused[Refusal.INVALID].inc()
            relay.unreadable.saw(1, str(error))
            raise RefusedError(400, str(error)[:300]) from error
        if post.unread:
            relay.unreadable.saw(post.unread, post.why)
        post = await relay.watchdog.fed(post)
        if post.alerts:
            # Shielded: a caller who hangs up must not leave a message that no courier knows of.
            task = relay.group.create_task(relay.force.take(post), name="take")
            try:
                async with asyncio.timeout(ACCEPT):
                    failed = await asyncio.shield(task)
            except TimeoutError:
                failed = StoreError("the disk is too slow")
            if failed is not None:
                meter.refused[Refusal.FULL].inc()
                raise RefusedError(503, "the spool cannot take it now", {"Retry-After": "5"})
        for alert in post.alerts:
            meter.received[AlertStatus.FIRING if alert.firing else AlertStatus.RESOLVED].inc()
        return Response(pieces=(b'{"status":"ok"}',), headers={"Content-Type": JSON})

    def _admit(self, request: Request, *, login: bool) -> None:
        """Take JSON, and from no web page: a form or a script could post else. Raises RefusedError.

        ``text/plain`` and forms are what a page may send anywhere without asking.
        """
        kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        try:
            refuse_foreign(request, login=login)
            if kind != "application/json":
                raise RefusedError(415, "Content-Type: application/json is needed")
        except RefusedError as refusal:
            self._relay.meter.refused[Refusal.FOREIGN].inc()
            log.warning("post_foreign reason=%r", refusal.reason, extra=SPARING)
            raise

    def _authorize(self, request: Request) -> bool:
        """Check the login in constant time; return whether there is one. Raises RefusedError."""
        config = self._relay.config.intake
        # What HTTP carries are bytes; those that are no text come as half surrogates.
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        kind, _, shown = given.strip().partition(b" ")
        if config.bearer_token is not None:
            scheme, wanted = "Bearer", config.bearer_token.reveal().encode()
        elif config.password is not None:
            pair = f"{config.username}:{config.password.reveal()}".encode()
            scheme, wanted = "Basic", base64.b64encode(pair)
        else:
            return self._relay.asks
        right = hmac.compare_digest(shown.strip(), wanted)
        if not (right and kind.lower() == scheme.lower().encode()):
            self._relay.meter.refused[Refusal.UNAUTHORIZED].inc()
            headers = {"WWW-Authenticate": f'{scheme} realm="relay"'}
            raise RefusedError(401, "wrong or no login", headers)
        return True

    async def _reload(self, request: Request) -> object:
        relay = self._relay
        administration.allow_change(relay.config.server, request, login=self._authorize(request))
        return await administration.reload(relay.reloads, relay.config.server)

    async def _page(self) -> str:
        return await asyncio.to_thread(page.render, await self._overview())

    async def _state(self, request: Request) -> object:
        """Answer with what the page shows."""
        return page.plain(await self._overview())

    async def _overview(self) -> page.Overview:
        relay, states = self._relay, tuple(outbox.DeliveryState)
        incidents, rows = await relay.store.write(
            lambda db: (incident_store.recent(db, 50), outbox.listed(db, states, 50))
        )
        return page.Overview(
            version=__version__,
            now=relay.clock.wall(),
            incidents=incidents,
            deliveries=rows,
            depth=relay.force.depth,
            dead=relay.dead,
            beat=relay.watchdog.beaten,
            silent=relay.watchdog.silent,
        )

    async def _incident(self, request: Request) -> object:
        name = request.parameters["id"]
        found = await self._relay.store.write(lambda db: incident_store.one(db, name))
        if found is None:
            raise RefusedError(404, "no incident of that id")
        return found
