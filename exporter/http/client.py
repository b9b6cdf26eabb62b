"""HTTP requests straight over sockets, each phase timed: ``contracts.Fetch`` for the program.

A probe is worth what its clock is worth. Here each phase is timed by the very line that does it.
The relay, `check --online` and pushes to Alertmanager use the same client.

What each phase covers, in seconds of the monotonic clock:
- resolve: asking the system for the name's addresses; absent when they were still in the cache
- connect: the TCP handshake, several when the first address fails; behind a proxy the handshake
  with it, and its answer that it has connected further, for https
- tls: from the handshake's first byte to its last
- processing: from writing the request to the arrival of the answer's headers
- transfer: from the headers to the arrival of the body's end
The kernel says when bytes arrived and how long a TCP handshake took, where it can: our being late
to look counts in none of them, and is summed up beside.
Waiting for a free connection is in none of them. Behind a proxy, resolve is about the proxy's name.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from random import random
from time import monotonic
from typing import Final

from yarl import URL

from exporter.contracts import FetchFailedError
from exporter.flow.workers import WorkersBusyError
from exporter.http.connection import STALLED, connect, is_local
from exporter.http.proxy import Proxies, Proxy, ask, environment
from exporter.http.resolver import NAMES, Addresses, Resolver, resolve
from exporter.http.response import BareLineFeedError, ParsedResponse, ResponseError
from exporter.http.tcp import TcpConnection
from exporter.http.tls import certificate_end, tls_context
from exporter.model import Answer, ConnectAttempt, Phase, Reason
from exporter.words import quoted, why

USER_AGENT: Final = "exchange-exporter"
_ORIGINS = 1000  # routes remembered
_SECOND_LOOK = 3.0  # seconds for fetching the certificate of a handshake that failed
_SAFE = ("GET", "HEAD")  # may be sent again when a reused connection turns out to be dead
_CERT_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED, see the manual page X509_STORE_CTX_get_error


class ClosedError(ConnectionError):
    """The other side closed the connection before it answered."""


@dataclass(slots=True)
class _Host:
    """What is shared by all requests to one host, port and scheme."""

    name: str
    port: int
    tls: bool
    free: asyncio.Semaphore
    proxy: Proxy | None
    idle: deque[TcpConnection] = field(default_factory=deque)  # the one used last on the right
    addresses: Addresses = ()  # the proxy's, where there is one
    resolved: float = 0.0  # when they were asked for, monotonic
    asking: Future[Addresses | OSError] | None = None  # for them anew, in a thread

    @property
    def near(self) -> tuple[str, int]:
        """Where its connections go first: name and port, the proxy's where there is one."""
        at = self if self.proxy is None else self.proxy
        return (self.name if self.proxy is None else self.proxy.host), at.port


@dataclass(slots=True)
class _Route:
    """Where a URL leads, and the request last sent there, which is mostly the next one too."""

    host: _Host
    path: str
    named: str
    asked: tuple[str, dict[str, str]] | None = None  # method and headers of the request
    request: bytes = b""

    def write(self, method: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
        """Return a request's bytes. Raises ValueError."""
        if body is None and self.asked == (method, headers):
            return self.request
        relayed = None if self.host.tls else self.host.proxy
        request = _request(method, self.path, self.named, headers, body, relayed)
        if body is None:
            self.asked, self.request = (method, dict(headers)), request
        return request


@dataclass(slots=True)
class RequestTiming:
    """How far a request has come: the phase it is in, and the seconds of those behind it."""

    phase: Phase | None = None
    phases: dict[Phase, float] = field(default_factory=dict)
    addresses: tuple[str, ...] = ()
    attempts: list[ConnectAttempt] = field(default_factory=list)  # to connect
    new: bool = False
    held: float = 0.0  # seconds before the request for which it waited for a place, or was late
    late: float = 0.0  # of those and later ones: for which what had arrived waited for us
    answered: bool = False

    def begin(
        self, phase: Phase, ended: Phase | None, since: float, now: float | None = None
    ) -> float:
        """Enter a phase, at ``now``, and note how long the last one took. Gives the time."""
        if now is None:
            now = monotonic()
        if ended is not None:
            self.phases[ended] = now - since
        self.phase = phase
        return now


class HttpClient:
    """``contracts.Fetch``; open it with ``async with``.

    ``limit`` and ``limit_per_host`` bound the connections; idle ones are kept for ``keepalive``
    seconds, or not at all when that is None, and none for more than ``oldest`` seconds, a fifth
    more or less: a new one sees the certificate anew. Names are asked for every ``dns_ttl``
    seconds, by ``names``; connections to addresses that a name
    has no more are given up. ``proxies`` are the environment's unless given. Redirects are answers
    like any other.
    """

    def __init__(
        self,
        *,
        limit: int = 100,
        limit_per_host: int = 8,
        dns_ttl: float = 60.0,
        keepalive: float | None = 75.0,
        oldest: float = 300.0,
        ca_file: str | None = None,
        address: str | None = None,
        proxies: Proxies | None = None,
        names: Resolver = NAMES,
    ) -> None:
        """Prepare; ``address`` is where every request goes instead of where its name leads."""
        self._address = address
        self._proxies = environment() if proxies is None else proxies
        self._limit_per_host = limit_per_host
        self._dns_ttl = dns_ttl
        self._keepalive = keepalive
        self._oldest = oldest
        self._ca_file = ca_file
        self._names = names
        self._free = asyncio.Semaphore(limit)
        self._hosts: dict[tuple[str, int, bool], _Host] = {}
        self._routes: dict[str, _Route] = {}

    async def __aenter__(self) -> HttpClient:
        self._tls = tls_context(self._ca_file)
        return self

    async def __aexit__(self, *_: object) -> None:
        for host in self._hosts.values():
            while host.idle:
                host.idle.pop().close()

    async def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        timeout: float,
        body_limit: int,
        body: bytes | None = None,
    ) -> Answer:
        """Send one request. ``timeout`` (seconds) is for all of it, ``body_limit`` in bytes.

        Raises FetchFailedError.
        """
        course, begun = RequestTiming(), monotonic()
        route = None
        try:
            route = self._routes.get(url) or self._route(url)
            host, request = route.host, route.write(method, headers, body)
            async with asyncio.timeout(timeout), self._free, host.free:
                course.held = monotonic() - begun
                return await self._ask(host, method, request, body_limit, course)
        except (OSError, ValueError) as error:
            reason, end = _reason(error, course, monotonic() - begun - timeout), None
            if route is not None and isinstance(error, ssl.SSLCertVerificationError):
                host = route.host
                patience = min(timeout, _SECOND_LOOK)
                end = await certificate_end(host.name, host.port, patience, host.proxy)
            detail = why(error)[:300]
            if isinstance(error, TimeoutError) and not str(error):
                detail = f"no complete answer within {timeout:g} s"
            raise FetchFailedError(reason, detail, end, tuple(course.attempts)) from error

    def _route(self, url: str) -> _Route:
        parsed = URL(url)
        if parsed.scheme not in ("http", "https") or not parsed.raw_host or not parsed.port:
            raise ValueError(f"expected an http or https URL, got {quoted(url[:200])}")
        key = (parsed.raw_host, parsed.port, parsed.scheme == "https")
        host = self._hosts.get(key)
        if host is None:
            proxy = self._proxies.of(parsed.scheme, parsed.raw_host, parsed.port)
            free = asyncio.Semaphore(self._limit_per_host)
            host = self._hosts[key] = _Host(*key, free, proxy)
        if len(self._routes) >= _ORIGINS:
            self._routes.clear()
        named = parsed.host_port_subcomponent or parsed.raw_host
        path = parsed.raw_path_qs
        if host.proxy is not None and not host.tls:
            path = f"http://{named}{path}"  # which the proxy wants: RFC 9112, section 3.2.2
        route = _Route(host, path, named)
        self._routes[url] = route
        return route

    async def _ask(
        self, host: _Host, method: str, request: bytes, limit: int, course: RequestTiming
    ) -> Answer:
        if host.idle:
            self._follow_name(host)
        wire = self._idle(host)
        if wire is not None:
            asked = monotonic()
            try:
                return await self._exchange(host, wire, method, request, limit, course)
            except OSError:
                # The server may close an idle connection just as we write: no failure of it.
                if course.answered or method not in _SAFE:
                    raise
                course.phases.clear()
                course.held += monotonic() - asked
        wire = await self._open(host, course)
        return await self._exchange(host, wire, method, request, limit, course)

    async def _exchange(
        self,
        host: _Host,
        wire: TcpConnection,
        method: str,
        request: bytes,
        limit: int,
        course: RequestTiming,
    ) -> Answer:
        response = ParsedResponse(method, limit)
        whole, before = False, wire.late
        try:
            begun = course.begin(Phase.PROCESSING, None, 0.0)
            await wire.send(request)
            while not response.done:
                data = await wire.receive()
                if data:
                    course.answered = True
                    response.feed(data)
                elif not response.begun:
                    raise ClosedError("closed without an answer")
                else:
                    response.end()
                if response.begun and course.phase is Phase.PROCESSING:
                    # Never before the question, should the wall clock be set in between.
                    arrived = max(begun, wire.arrived)
                    begun = course.begin(Phase.TRANSFER, Phase.PROCESSING, begun, arrived)
            course.phases[Phase.TRANSFER] = max(begun, wire.arrived) - begun
            whole = True
        finally:
            if whole and response.reusable and self._keepalive is not None:
                wire.idle_since = begun
                host.idle.append(wire)
            else:
                wire.close()
        return Answer(
            status=response.status,
            headers=response.headers,
            body=response.body,
            new_connection=course.new,
            phases=course.phases,
            addresses=course.addresses,
            certificate_end=wire.certificate_end,
            chain_end=wire.chain_end,
            attempts=tuple(course.attempts),
            unread=monotonic() - wire.arrived,
            held=course.held,
            late=course.late + wire.late - before,
        )

    def _idle(self, host: _Host) -> TcpConnection | None:
        """Return the connection used last, if it is still alive; forget those idle for too long."""
        if self._keepalive is None:
            return None
        oldest = monotonic() - self._keepalive
        while host.idle and host.idle[0].idle_since < oldest:
            host.idle.popleft().close()
        while host.idle:
            wire = host.idle.pop()
            if monotonic() < wire.retires and self._leads_to(host, wire) and wire.alive():
                return wire
            wire.close()
        return None

    def _follow_name(self, host: _Host) -> None:
        """Ask for a name's addresses beside the request, when it is time: it must not wait."""
        name, _ = host.near
        if host.asking is not None:
            if host.asking.done():
                found, host.asking, host.resolved = host.asking.result(), None, monotonic()
                # An error leaves what is known until a new connection needs the name.
                host.addresses = host.addresses if isinstance(found, OSError) else found
        elif monotonic() - host.resolved > self._dns_ttl and self._address is None:
            with suppress(WorkersBusyError):
                host.asking = None if _is_address(name) else self._names.ask(name)

    @staticmethod
    def _leads_to(host: _Host, wire: TcpConnection) -> bool:
        """Return whether a connection is with an address that its name had when last asked."""
        return not host.addresses or any(wire.address == each for _, each in host.addresses)

    async def _open(self, host: _Host, course: RequestTiming) -> TcpConnection:
        course.new = True
        self._sweep()
        now = monotonic()
        if self._address is not None:
            family = socket.AF_INET6 if ":" in self._address else socket.AF_INET
            host.addresses, host.resolved = ((int(family), self._address),), now
        name, port = host.near
        if not host.addresses or now - host.resolved > self._dns_ttl:
            now = course.begin(Phase.RESOLVE, None, 0.0)
            host.addresses = await self._names.resolve(name)
            host.resolved = monotonic()
            if not _is_address(name):
                course.phases[Phase.RESOLVE] = host.resolved - now
                if host.proxy is None:
                    course.addresses = tuple(sorted({address for _, address in host.addresses}))
        begun = course.begin(Phase.CONNECT, None, 0.0)
        try:
            wire = await connect(host.addresses, port, course.attempts)
        except OSError:
            host.addresses = ()  # ask anew: perhaps it has moved
            raise
        wire.retires = wire.opened + self._oldest * (0.8 + 0.4 * random())
        try:
            if host.tls and host.proxy is not None:
                await ask(wire, host.proxy, host.name, host.port)
            late = wire.late
            if host.tls:
                begun = course.begin(Phase.TLS, Phase.CONNECT, begun)
                course.phases[Phase.CONNECT] -= late
                await wire.shake_hands(self._tls, host.name)
                late = wire.late - late
            spent = monotonic() - begun - late
            course.phases[Phase.TLS if host.tls else Phase.CONNECT] = max(0.0, spent)
            course.held += wire.late
            course.late += wire.late
        except BaseException:
            wire.close()
            raise
        return wire

    def _sweep(self) -> None:
        """Close what idles for too long at hosts that nobody asks any more."""
        if self._keepalive is not None:
            oldest = monotonic() - self._keepalive
            for host in self._hosts.values():
                while host.idle and host.idle[0].idle_since < oldest:
                    host.idle.popleft().close()


async def addresses(url: str) -> tuple[str, ...]:
    """Return all addresses of the name in a URL, in the system's order. Raises OSError."""
    parsed = URL(url)
    return tuple(address for _, address in await resolve(parsed.raw_host or ""))


def proxied(url: str) -> bool:
    """Return whether a URL is asked over a proxy, which does the resolving."""
    parsed = URL(url)
    return environment().of(parsed.scheme, parsed.raw_host or "", parsed.port or 0) is not None


def _is_address(name: str) -> bool:
    return ":" in name or name.replace(".", "").isdigit()


def _request(
    method: str,
    path: str,
    host: str,
    headers: Mapping[str, str],
    body: bytes | None,
    proxy: Proxy | None,
) -> bytes:
    """Write a request; ``proxy`` is the one that reads it itself."""
    # A name of the config's own, as for one of several sites at an address; TLS goes by the URL.
    host = next((value for name, value in headers.items() if name.lower() == "host"), host)
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
    if proxy is not None and proxy.authorization is not None:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    given = {name.lower() for name in headers} if headers else ()
    for name, value in (
        ("User-Agent", USER_AGENT),
        ("Accept", "*/*"),
        ("Accept-Encoding", "gzip, deflate"),
    ):
        if name.lower() not in given:
            lines.append(f"{name}: {value}")
    lines += [f"{name}: {value}" for name, value in headers.items() if name.lower() != "host"]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    text = "\r\n".join(lines)
    if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1:
        raise ValueError("a line break in the method or a header")
    return (text + "\r\n\r\n").encode("latin-1") + (body or b"")


# --- failures -----------------------------------------------------------------------------------

# By the phase in which the time ran out; before the first one it waited for a free connection.
_LATE = {
    None: Reason.LOCAL_RESOURCE,
    Phase.RESOLVE: Reason.DNS,
    Phase.CONNECT: Reason.CONNECT_TIMEOUT,
    Phase.TLS: Reason.TLS,
    Phase.PROCESSING: Reason.READ_TIMEOUT,
    Phase.TRANSFER: Reason.READ_TIMEOUT,
}
_ERRNO = {
    errno.ECONNREFUSED: Reason.CONNECT_REFUSED,
    errno.ETIMEDOUT: Reason.CONNECT_TIMEOUT,
    errno.ENETUNREACH: Reason.UNREACHABLE,
    errno.EHOSTUNREACH: Reason.UNREACHABLE,
    errno.ENETDOWN: Reason.UNREACHABLE,
    errno.EHOSTDOWN: Reason.UNREACHABLE,
    errno.ECONNRESET: Reason.RESET,
    errno.ECONNABORTED: Reason.RESET,
    errno.EPIPE: Reason.RESET,
}


def _reason(error: Exception, course: RequestTiming, late: float) -> Reason:
    """Say why no answer came: the one table from exceptions to reasons.

    ``late`` is for how many seconds after the timeout we were told of it.
    """
    match error:
        case OSError() if is_local(error):
            return Reason.LOCAL_RESOURCE
        case TimeoutError() if error.errno is None and late > STALLED:
            return Reason.LOCAL_RESOURCE  # an answer may have come, and nobody has looked
        case BareLineFeedError():
            return Reason.BARE_LINE_FEED
        case ResponseError():
            return Reason.BODY_INVALID
        case ClosedError():
            return Reason.CLOSED
        case socket.gaierror():
            return Reason.DNS
        case ssl.SSLCertVerificationError() if error.verify_code == _CERT_EXPIRED:
            return Reason.CERT_EXPIRED
        case ssl.SSLEOFError() if course.phase is Phase.PROCESSING:
            return Reason.CLOSED
        case ssl.SSLError():
            return Reason.TLS
        case TimeoutError() if error.errno is None:
            return _LATE[course.phase]
        case OSError() if course.phase is Phase.TLS:
            return Reason.TLS  # reset or closed in the middle of the handshake
        case OSError() if error.errno is not None:
            return _ERRNO.get(error.errno, Reason.OTHER)
    return Reason.OTHER
