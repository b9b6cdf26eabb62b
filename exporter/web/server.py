"""The web server: routes given as a table, every size, number and wait bounded.

Beneath the routes sits aiohttp. What it leaves open is closed here: connections are counted and
limited, a request must arrive and its answer be read within deadlines, and every answer, errors
too, has a Content-Type (Prometheus 3 takes a target without one for down).
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack, aclosing
from http import HTTPStatus
from types import TracebackType

import msgspec
from aiohttp import HttpVersion10, HttpVersion11, web

from exporter.config.server import ServerLimits
from exporter.contracts import Counter
from exporter.logs import SPARING
from exporter.web.connection_limits import (
    ClientRates,
    ConnectionLimiter,
    ConnectionLimiters,
    abort,
    reserved,
)
from exporter.web.listener import Listener
from exporter.web.routes import (
    JSON,
    TEXT,
    Following,
    Handler,
    RefusedError,
    Request,
    Response,
    Routes,
)
from exporter.web.tls import Security
from exporter.words import why

log = logging.getLogger(__name__)

# Port scanners and half-spoken requests are the internet's weather: answered 400, not logged.
_unlogged = logging.getLogger(f"{__name__}.protocol")
_unlogged.disabled = True

_VERSIONS = (HttpVersion10, HttpVersion11)
_PATH = 1024  # characters
_BODY = 64 * 1024  # bytes

_SECURITY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Server": "exchange-exporter",
}


class ListenError(Exception):
    """The address cannot be listened on; the text is one line for the user."""


def listen_address(text: str) -> tuple[str, int]:
    """Read ``:9717``, ``127.0.0.1:0`` or ``[::1]:9717``; no host is all. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not port.isdecimal() or int(port) > 65535 or (":" in host and not bracketed):
        raise ValueError(f"expected HOST:PORT, :PORT or [IPV6]:PORT, got {text!r}")
    return host.strip("[]"), int(port)


class _Uncounted:
    """A counter that nobody reads."""

    def inc(self, amount: float = 1.0) -> None:
        """Count nothing."""


class Server:
    """Serves a table of routes from entering the context until leaving it.

    ``routes`` maps a path, or a method and a path (``POST /-/reload``), to a handler; a path alone
    answers GET and HEAD. A path may hold ``{names}``. ``body``: of a request, in bytes at most.
    ``too_many`` is what a client is answered that asks too often: one for which 429 would be final,
    as for Alertmanager, comes again after 503.
    Entering raises ListenError.
    """

    def __init__(
        self,
        address: str,
        routes: Mapping[str, Handler],
        *,
        limits: ServerLimits | None = None,
        body: int = _BODY,
        security: Security | None = None,
        too_many: HTTPStatus = HTTPStatus.TOO_MANY_REQUESTS,
        refused: Counter | None = None,
        expired: Counter | None = None,
        unauthorized: Counter | None = None,
    ) -> None:
        self._address = address
        self._routes = Routes(routes)
        self._limits = limits or ServerLimits()
        self._body = body
        self._security = security or Security()
        self._too_many = too_many
        self._refused: Counter = refused or _Uncounted()
        self._expired: Counter = expired or _Uncounted()
        self._unauthorized: Counter = unauthorized or _Uncounted()
        self._working = 0
        self._rates = ClientRates(
            self._limits.requests_per_second, 2 * self._limits.requests_per_second
        )
        self._stack = AsyncExitStack()
        self._limiters: ConnectionLimiters | None = None
        self.port = 0  # the bound port, once entered

    async def __aenter__(self) -> Server:
        limits = self._limits
        sock = _bound(self._address)
        self.port = sock.getsockname()[1]
        serve = web.Server(
            self._serve,
            access_log=None,
            logger=_unlogged,
            handler_cancellation=True,
            keepalive_timeout=limits.idle_timeout,
            lingering_time=1.0,
            max_line_size=limits.header_limit,
            max_field_size=limits.header_limit,
        )
        limiters = self._limiters = ConnectionLimiters(
            serve,
            limit=limits.connections,
            per_client=limits.connections_per_client,
            rate=limits.requests_per_second,
            too_many=self._too_many,
            head_timeout=limits.header_timeout,
            refused=self._refused,
            expired=self._expired,
        )
        tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
        # Left in reverse: stop listening, let running answers end for a second, cut the rest.
        self._stack.callback(limiters.close)
        self._stack.push_async_callback(serve.shutdown, 1.0)
        self._stack.callback(serve.pre_shutdown)
        listener = Listener(sock, limiters, tasks, lambda: self._security.tls)
        self._stack.callback(listener.close)
        return self

    async def secure(self, security: Security) -> None:
        """Demand this from now on; nobody who connects meanwhile is turned away.

        Open connections have their next answer over the old TLS, and are closed with it.
        """
        before, self._security = self._security, security
        if before.tls is not security.tls and self._limiters is not None:
            self._limiters.retire()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        limiter = self._limiters.of(request.transport) if self._limiters else None
        if limiter is None:
            raise ConnectionResetError("the client has closed the connection")
        limiter.begin()
        well = False
        self._working += 1
        try:
            try:
                reply = await self._reply(request, limiter)
                response = await self._send(request, reply, limiter)
                well = reply.status < 400
            finally:
                self._working -= 1
            if reply.following is not None and request.method != "HEAD":
                await self._follow(request, response, reply.following)
            return response
        finally:
            limiter.end(well=well)

    async def _reply(self, request: web.BaseRequest, limiter: ConnectionLimiter) -> Response:
        """Find the route and run its handler within the deadline; never raises but cancelled."""
        try:
            if request.version not in _VERSIONS:
                raise RefusedError(505, "HTTP/1.1 is required")
            name = self._security.recognise(request.headers.get("Authorization"))
            self._pace(f"login {name}" if name else limiter.client)
            self._take_place(known=bool(name) or limiter.known)
            async with asyncio.timeout(_time_left(request, self._limits.request_timeout)):
                await self._admit(request, limiter.client)
                return await self._handle(request, limiter)
        except RefusedError as refusal:
            return _refusal(request.path, refusal)
        except TimeoutError:
            return _refusal(request.path, RefusedError(503, "this took too long"))
        except Exception:  # the server outlives its handlers' mistakes
            log.exception("request_failed path=%s", request.path, extra=SPARING)
            return _refusal(request.path, RefusedError(500, "internal error, see the log"))

    def _pace(self, client: str) -> None:
        """Take one request of a client's share. Raises RefusedError once it has used it up."""
        now = asyncio.get_running_loop().time()
        if wait := self._rates.take(client, now):
            raise RefusedError(self._too_many, "too many requests", {"Retry-After": str(wait)})
        self._security.pace(now)

    def _take_place(self, *, known: bool) -> None:
        """Let one more request be worked on, in a stalled one's place if need be.

        Raises RefusedError. An eighth of the places are for clients that are ``known``.
        """
        limit = self._limits.requests
        most = limit if known else limit - reserved(limit)
        if self._working > most and not (self._limiters and self._limiters.end_stalled()):
            raise RefusedError(503, "too many requests at a time", {"Retry-After": "1"})

    async def _admit(self, request: web.BaseRequest, client: str) -> None:
        """Let through who may ask anything at all. Raises RefusedError."""
        shown = None if request.transport is None else request.transport.get_extra_info("peercert")
        try:
            await self._security.admit(request.headers.get("Authorization"), shown, client)
        except RefusedError:
            self._unauthorized.inc()
            raise

    async def _handle(self, request: web.BaseRequest, limiter: ConnectionLimiter) -> Response:
        path = request.path
        if len(path) > _PATH:
            raise RefusedError(414, "path too long")
        methods, parameters = self._routes.find(path)
        handler = methods.get(request.method)
        if handler is None:
            allowed = {"Allow": ", ".join(sorted(methods))}
            raise RefusedError(405, f"only {allowed['Allow']} here", allowed)
        body = await self._body_of(request, limiter) if request.body_exists else b""
        return await handler(
            Request(
                path=path,
                parameters=parameters,
                query=request.query,
                headers=request.headers,
                body=body,
            )
        )

    async def _body_of(self, request: web.BaseRequest, limiter: ConnectionLimiter) -> bytes:
        """Read a request's body. Raises RefusedError."""
        body = b""
        limiter.wait_for_body(True)
        try:
            while len(body) <= self._body and (piece := await request.content.readany()):
                body += piece
        except web.RequestPayloadError as error:
            raise RefusedError(400, "the body does not match its headers") from error
        finally:
            limiter.wait_for_body(False)
        if len(body) > self._body:
            raise RefusedError(413, f"at most {self._body} bytes")
        return body

    async def _send(
        self, request: web.BaseRequest, reply: Response, limiter: ConnectionLimiter
    ) -> web.StreamResponse:
        """Send an answer piece by piece, and cut off who does not read it."""
        headers = _SECURITY | dict(self._security.headers) | dict(reply.headers)
        response = web.StreamResponse(status=reply.status, headers=headers)
        if reply.following is None:
            response.content_length = sum(map(len, reply.pieces))
        if limiter.retired:
            response.force_close()
        try:
            async with asyncio.timeout(self._limits.request_timeout):
                await response.prepare(request)
                if request.method != "HEAD":
                    for piece in reply.pieces:
                        await response.write(piece)
                        await asyncio.sleep(0)  # a fast reader would hold the loop for them all
                if reply.following is None:
                    await response.write_eof()
        except TimeoutError:
            self._cut(request)
        return response

    async def _follow(
        self, request: web.BaseRequest, response: web.StreamResponse, following: Following
    ) -> None:
        """Send what comes for as long as somebody reads it; each piece within the deadline."""
        async with aclosing(following) as pieces:
            try:
                async for piece in pieces:
                    async with asyncio.timeout(self._limits.request_timeout):
                        await response.write(piece)
                await response.write_eof()
            except TimeoutError:
                self._cut(request)
            except ConnectionError:
                log.debug("reader_left path=%s", request.path)

    def _cut(self, request: web.BaseRequest) -> None:
        self._expired.inc()
        if request.transport is not None:
            abort(request.transport)


def _refusal(path: str, refusal: RefusedError) -> Response:
    """Say no in the caller's language: JSON under /api/, else a line of text."""
    # What is quoted of a request may hold bytes that are no UTF-8.
    reason = refusal.reason.encode(errors="backslashreplace").decode()
    if path.startswith("/api/"):
        body = msgspec.json.encode({"error": reason})
        headers = {"Content-Type": JSON, **refusal.headers}
        return Response(pieces=(body,), status=refusal.status, headers=headers)
    headers = {"Content-Type": TEXT, **refusal.headers}
    line = f"{refusal.status} {reason}\n".encode()
    return Response(pieces=(line,), status=refusal.status, headers=headers)


def _time_left(request: web.BaseRequest, limit: float) -> float:
    """Return the seconds a handler has: a scraper that says when it gives up is answered before."""
    try:
        wanted = float(request.headers.get("X-Prometheus-Scrape-Timeout-Seconds", "inf"))
    except ValueError:
        return limit
    return min(limit, 0.95 * wanted) if wanted > 0 else limit


def _bound(address: str) -> socket.socket:
    """Bind a listening socket; without a host one that takes IPv4 and IPv6. Raises ListenError."""
    try:
        host, port = listen_address(address)
        if host:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            return socket.create_server((host, port), family=family, backlog=128)
        if socket.has_dualstack_ipv6():
            return socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128
            )
        return socket.create_server(("", port), backlog=128)
    except OSError as error:
        # A name that is not found has no errno of the system's, but a text of its own.
        code = error.errno or 0
        reason = os.strerror(code) if code > 0 else why(error).partition(" (while ")[0]
        raise ListenError(f"cannot listen on {address}: {reason}") from error
    except ValueError as error:
        raise ListenError(str(error)) from error
