"""The routes of the exporter's web server: pages, metrics and the API."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Literal

import msgspec

from exporter.flow.jobs import Job, JobsFullError
from exporter.flow.mailbox import MailboxFullError, UnansweredError
from exporter.metrics.exposition import Exposition
from exporter.runtime import diagnostics
from exporter.runtime.diagnostics import Diagnostics
from exporter.runtime.state import calendar_entries, failure_lines, snapshot
from exporter.runtime.timelines import health_of
from exporter.web import administration, api, calendar, page
from exporter.web.routes import (
    HTML,
    Handler,
    RefusedError,
    Request,
    Response,
    events,
    file_route,
    health_route,
    html_route,
    json_reply,
    json_route,
    scrape_route,
)

if TYPE_CHECKING:
    from exporter.exchange.exchange import Exchange
    from exporter.runtime.app import App

log = logging.getLogger(__name__)

_PATIENCE = 5.0  # seconds that an exchange is given to answer
_WATCHERS = 64  # pages that may follow at once
_REFRESH, _LOOK = 5.0, 1.0  # seconds between two events at most, and between two looks for changes


class BreakerAction(msgspec.Struct, forbid_unknown_fields=True):
    action: Literal["trip", "reset"]


class ExporterRoutes:
    """The routes of the running program, and what is behind them."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._watching = 0  # pages that follow `/events`

    def routes(self) -> Mapping[str, Handler]:
        """Return all routes that the config allows; closed ones say so."""
        reload = json_route(self._reload)
        routes = {
            "/": html_route(self._page),
            "/metrics": scrape_route(Exposition(self._app.registry)),
            "/-/healthy": health_route(lambda: None),
            "/-/ready": health_route(self._app.obstacle),
            "POST /-/reload": reload,
            "PUT /-/reload": reload,
        }
        routes["/exchanges/{exchange}"] = self._exchange_page
        routes["/events"] = self._events
        for path, (kind, content) in page.static_files().items():
            routes[path] = file_route(kind, content)
        if self._app.config.server.api:
            routes["/api/v1/state"] = json_route(self._state)
            routes["/api/v1/exchanges/{exchange}"] = json_route(self._exchange)
            routes["/api/v1/exchanges/{exchange}/failures"] = json_route(self._failures)
            routes["/api/v1/anomalies"] = json_route(self._anomalies)
            routes["/api/v1/calendar"] = self._calendar
            routes["/api/v1/calendar.ics"] = self._calendar
            routes["/api/v1/gates"] = json_route(self._gates)
            routes["/api/v1/gates/{gate}"] = self._gate
            breaker = "POST /api/v1/exchanges/{exchange}/endpoints/{endpoint}/breaker"
            routes[breaker] = json_route(self._breaker)
            routes["POST /api/v1/jobs"] = json_route(self._submit)
            routes["/api/v1/jobs"] = json_route(self._jobs)
            routes["/api/v1/jobs/{job}"] = json_route(self._job)
            routes["DELETE /api/v1/jobs/{job}"] = json_route(self._cancel)
        return routes

    async def _page(self) -> str:
        # Rendering takes milliseconds that probes must not wait for; the snapshot is frozen.
        return await asyncio.to_thread(page.render, snapshot(self._app))

    async def _exchange_page(self, request: Request) -> Response:
        """Answer with the page of one exchange: the same, with its history."""
        exchange = self._named(request)
        seen = page.of_one(snapshot(self._app), exchange.name)
        text = await asyncio.to_thread(page.render, seen, failures=failure_lines(exchange))
        return Response(pieces=(text.encode(),), headers={"Content-Type": HTML})

    async def _events(self, request: Request) -> Response:
        """Tell a page when to fetch itself: at each change, and every few seconds."""
        if self._watching >= _WATCHERS:
            raise RefusedError(503, "too many clients watch already")
        return events(self._changes())

    async def _changes(self) -> AsyncGenerator[object, None]:
        clock, told, before = self._app.clock, float("-inf"), None
        self._watching += 1
        try:
            while not self._app.stopping:
                now = [(each.name, health_of(each)) for each in self._app.exchanges]
                if now != before or clock.monotonic() - told >= _REFRESH:
                    before, told = now, clock.monotonic()
                    yield {"now": clock.wall()}
                await clock.sleep(_LOOK)
        finally:
            self._watching -= 1

    async def _state(self, request: Request) -> object:
        return api.overview(snapshot(self._app))

    async def _exchange(self, request: Request) -> object:
        self._named(request)
        return api.exchange_named(snapshot(self._app), request.parameters["exchange"])

    async def _failures(self, request: Request) -> object:
        exchange = self._named(request)
        return {
            "endpoints": {
                name: list(state.failures) for name, state in exchange.probing.endpoints.items()
            },
            "streams": {state.name: list(state.failures) for state in exchange.streams},
        }

    async def _anomalies(self, request: Request) -> object:
        return api.anomalies(snapshot(self._app))

    async def _calendar(self, request: Request) -> Response:
        """Answer with iCalendar where the path or the header Accept asks for it, else with JSON."""
        now = self._app.clock.wall()
        entries = calendar_entries(self._app.exchanges, now)
        asked = "text/calendar" in request.headers.get("Accept", "")
        if not (asked or request.path.endswith(".ics")):
            return json_reply(calendar.as_json(entries, now))
        headers = {"Content-Type": calendar.ICALENDAR}
        return Response(pieces=(calendar.as_icalendar(entries, now),), headers=headers)

    async def _gates(self, request: Request) -> object:
        return {"gates": self._app.gates.all()}

    async def _gate(self, request: Request) -> Response:
        """Answer 200 for an open gate, 503 for a closed one; ``?watch`` follows its changes."""
        name = request.parameters["gate"]
        try:
            found = self._app.gates.one(name)
        except LookupError as error:
            raise RefusedError(404, str(error.args[0])) from error
        if "watch" not in request.query:
            return json_reply(found, status=200 if found["quote"] else 503)
        if not self._app.gates.room:
            raise RefusedError(503, "too many clients watch already")
        return events(self._app.gates.watch(name))

    def _named(self, request: Request) -> Exchange:
        name = request.parameters["exchange"]
        for exchange in self._app.exchanges:
            if exchange.name == name:
                return exchange
        known = ", ".join(exchange.name for exchange in self._app.exchanges)
        raise RefusedError(404, f"no exchange of that name; there are {known}")

    # --- what changes something ---------------------------------------------------------------

    def _open(self, request: Request) -> None:
        """Let through what changes something, where the config does. Raises RefusedError."""
        web = self._app.options.web
        login = web is not None and web.asks
        administration.allow_change(self._app.config.server, request, login=login)

    @property
    def _diagnostics(self) -> Diagnostics:
        found = self._app.diagnostics
        if found is None:
            raise RefusedError(503, "not running yet")
        return found

    async def _submit(self, request: Request) -> object:
        """Put a job in line; where that is full, wait for room as the header Prefer allows."""
        self._open(request)
        wait = min(_wait(request), self._app.config.server.request_timeout / 2.0)
        try:
            wanted = diagnostics.read(request.body)
            return {"id": (await self._diagnostics.submit(wanted, wait)).id}
        except LookupError as error:
            raise RefusedError(404, str(error.args[0])) from error
        except (ValueError, RecursionError) as error:
            raise RefusedError(400, str(error)) from error
        except (JobsFullError, TimeoutError) as error:
            why = str(error) or f"no room in line within {wait:g} s"
            raise RefusedError(429, why, {"Retry-After": "10"}) from error

    async def _jobs(self, request: Request) -> object:
        self._open(request)
        return [_shown(job, whole=False) for job in self._diagnostics.jobs.all()]

    async def _job(self, request: Request) -> object:
        self._open(request)
        return _shown(self._found(request), whole=True)

    async def _cancel(self, request: Request) -> object:
        self._open(request)
        job = self._found(request)
        if not self._diagnostics.jobs.cancel(job.id):
            raise RefusedError(409, f"it is {job.status} already")
        return {"id": job.id}

    def _found(self, request: Request) -> Job:
        number = request.parameters["job"]
        job = self._diagnostics.jobs.find(int(number)) if number.isdecimal() else None
        if job is None:
            raise RefusedError(404, "no such job, or it ended too long ago")
        return job

    async def _breaker(self, request: Request) -> object:
        """Open or close an endpoint's breaker by hand."""
        self._open(request)
        exchange = self._named(request)
        state = exchange.probing.endpoints.get(request.parameters["endpoint"])
        if state is None:
            known = ", ".join(exchange.probing.endpoints)
            raise RefusedError(404, f"no endpoint of that name; there are {known}")
        try:
            action = msgspec.json.decode(request.body, type=BreakerAction).action
        except (ValueError, RecursionError) as error:
            wanted = 'expected {"action": "trip"} or {"action": "reset"}'
            raise RefusedError(400, f"{error}; {wanted}") from error
        breaker = state.breaker
        change = breaker.trip if action == "trip" else breaker.reset
        try:
            await exchange.ask(change, _PATIENCE)
        except (MailboxFullError, UnansweredError) as error:
            raise RefusedError(503, f"{exchange.name} does not answer") from error
        log.info(
            "breaker_by_hand exchange=%s endpoint=%s action=%s",
            exchange.name,
            state.target.endpoint,
            action,
        )
        return {"circuit": breaker.state.circuit}

    async def _reload(self, request: Request) -> object:
        self._open(request)
        return await administration.reload(self._app.reloads, self._app.config.server)


def _wait(request: Request) -> float:
    """Return the seconds of ``Prefer: wait=10``, 0 without it."""
    found = re.search(r"(?:^|[,;\s])wait=(\d{1,4})(?=$|[,;\s])", request.headers.get("Prefer", ""))
    return float(found[1]) if found else 0.0


def _shown(job: Job, *, whole: bool) -> dict[str, object]:
    """Return a job for people; ``whole``: with its result."""
    found = {
        "id": job.id,
        "kind": job.kind,
        "asked": job.what,
        "status": job.status,
        "created": job.created,
        "started": job.started,
        "ended": job.ended,
        "tries": job.tries,
        "error": job.error,
    }
    return found | {"result": job.result} if whole else found
