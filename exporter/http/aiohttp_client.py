"""HTTP requests over one bounded pool, each phase timed: ``contracts.Fetch`` on aiohttp.

What each phase covers, in seconds of the monotonic clock:
- resolve: asking the system for the name's addresses; absent when they were still in the cache
- connect: from the first socket's creation to the TLS handshake's begin, or without TLS to the
  moment the request is written: the TCP handshake, several when the first address fails; behind a
  proxy that with it, and its answer that it has connected further
- tls: from the handshake's begin to the moment the request is written
- processing: from the moment the request is written to the answer's headers
- transfer: from the headers to the end of the body
Waiting for a free connection is in none of them. aiohttp's own tracing times TCP and TLS as one
span, and costs 25 µs a request; the hooks here are its public seams for resolver, socket, TLS
context and request.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Mapping
from contextvars import ContextVar
from io import BytesIO
from time import monotonic
from types import TracebackType
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from exporter.contracts import FetchFailedError
from exporter.http.proxy import Proxies, Proxy, environment
from exporter.http.tls import certificate_end, tls_context
from exporter.model import Answer, Phase, Reason

USER_AGENT: Final = "exchange-exporter"
_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED, see the manual page X509_STORE_CTX_get_error
_SECOND_LOOK = 3.0  # seconds for fetching the certificate of a handshake that failed
_ORIGINS = 1000  # whose certificate's end is remembered
_GATEWAY_TIMEOUT = 504


class AiohttpTiming:
    """The moments of one request, noted on its way; monotonic seconds, None when not reached."""

    __slots__ = ("addresses", "connecting", "ready", "resolved", "resolving", "shaking", "tls")

    def __init__(self) -> None:
        self.resolving: float | None = None
        self.resolved: float | None = None
        self.connecting: float | None = None
        self.shaking: float | None = None
        self.ready: float | None = None
        self.addresses: tuple[str, ...] = ()
        self.tls: ssl.SSLObject | None = None


_course: ContextVar[AiohttpTiming] = ContextVar("course")


class _Resolver(AbstractResolver):
    """The system's resolver, timed. It runs in a task of its own, which inherits the context."""

    def __init__(self) -> None:
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        course = _course.get()
        course.resolving = monotonic()
        found = await self._resolver.resolve(host, port, family)
        course.resolved = monotonic()
        course.addresses = tuple(sorted({entry["host"] for entry in found}))
        return found

    async def close(self) -> None:
        await self._resolver.close()


def _open_socket(address: tuple[Any, ...]) -> socket.socket:
    course = _course.get()
    if course.connecting is None:
        course.connecting = monotonic()
    return socket.socket(address[0], address[1], address[2])


class _Context(ssl.SSLContext):
    """A TLS client context that notes when a handshake begins."""

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        course = _course.get()
        course.shaking = monotonic()
        course.tls = super().wrap_bio(*args, **kwargs)
        return course.tls


class _Request(aiohttp.ClientRequest):
    """A request that notes when it is written: from here on it waits for the server alone."""

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        _course.get().ready = monotonic()
        return await super().send(conn)


class AiohttpClient:
    """``contracts.Fetch``; open it with ``async with``.

    ``limit`` and ``limit_per_host`` bound the connections; idle ones stay for ``keepalive``
    seconds, or are never used again when that is None. ``proxies`` are the environment's unless
    given. Redirects are answers like any other.
    """

    def __init__(
        self,
        *,
        limit: int = 100,
        limit_per_host: int = 8,
        dns_ttl: float = 60.0,
        keepalive: float | None = 75.0,
        ca_file: str | None = None,
        proxies: Proxies | None = None,
    ) -> None:
        self._proxies = environment() if proxies is None else proxies
        self._limit = limit
        self._limit_per_host = limit_per_host
        self._dns_ttl = dns_ttl
        self._keepalive = keepalive
        self._ca_file = ca_file
        self._ends: dict[tuple[str | None, int | None], float] = {}
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}

    async def __aenter__(self) -> AiohttpClient:
        connector = aiohttp.TCPConnector(
            limit=self._limit,
            limit_per_host=self._limit_per_host,
            ttl_dns_cache=max(1, round(self._dns_ttl)),
            resolver=_Resolver(),
            ssl=tls_context(self._ca_file, _Context),
            socket_factory=_open_socket,
            # aiohttp refuses a keepalive beside force_close, even None's stand-in.
            **({"force_close": True} if self._keepalive is None else self._kept()),
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            request_class=_Request,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": USER_AGENT},
        )
        return self

    def _kept(self) -> dict[str, Any]:
        return {"keepalive_timeout": self._keepalive}

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

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
        course = AiohttpTiming()
        token = _course.set(course)
        try:
            target = URL(url)
            proxy = self._proxies.of(target.scheme, target.raw_host or "", target.port or 0)
            login = _login(proxy)
            async with self._session.request(
                method,
                target,
                # Without TLS the proxy reads the request itself.
                headers=headers if target.scheme == "https" else {**headers, **login},
                data=None if body is None else BytesIO(body),
                timeout=self._timeout(timeout),
                allow_redirects=False,
                proxy=None if proxy is None else proxy.url,
                proxy_headers=login,
            ) as response:
                answered = monotonic()
                content = await _read(response.content, body_limit)
                done = monotonic()
        except _EXPECTED as error:
            reason = _reason(error, course)
            end = None
            if reason is Reason.CERT_EXPIRED or isinstance(error, aiohttp.ClientSSLError):
                patience = min(timeout, _SECOND_LOOK)
                end = await certificate_end(
                    target.raw_host or "", target.port or 443, patience, proxy
                )
            raise FetchFailedError(reason, _detail(error), end) from error
        finally:
            _course.reset(token)
        return Answer(
            status=response.status,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=content,
            new_connection=course.connecting is not None,
            phases=_phases(course, answered, done),
            addresses=course.addresses,
            certificate_end=self._end(target, course),
        )

    def _timeout(self, total: float) -> aiohttp.ClientTimeout:
        found = self._timeouts.get(total)
        if found is None:
            # aiohttp would round timeouts above 5 s up to a whole second.
            found = aiohttp.ClientTimeout(total=total, ceil_threshold=total + 1.0)
            if len(self._timeouts) < _ORIGINS:
                self._timeouts[total] = found
        return found

    def _end(self, url: URL, course: AiohttpTiming) -> float | None:
        """Give the end of the certificate, on a reused connection as its handshake showed it."""
        origin = (url.raw_host, url.port)
        if course.tls is None:
            return self._ends.get(origin) if url.scheme == "https" else None
        end = ssl.cert_time_to_seconds(str((course.tls.getpeercert() or {})["notAfter"]))
        if len(self._ends) >= _ORIGINS:
            self._ends.clear()
        self._ends[origin] = end
        return end


def _login(proxy: Proxy | None) -> Mapping[str, str]:
    if proxy is None or proxy.authorization is None:
        return {}
    return {"Proxy-Authorization": proxy.authorization}


async def _read(content: aiohttp.StreamReader, limit: int) -> bytes:
    """Read the body up to ``limit`` bytes after decompression; more is a failure, not a cut."""
    body = await content.readany()
    while not content.at_eof():
        if len(body) > limit:
            break
        body += await content.readany()
    if len(body) > limit:
        raise FetchFailedError(Reason.BODY_INVALID, f"more than {limit} bytes")
    return body


def _phases(course: AiohttpTiming, answered: float, done: float) -> dict[Phase, float]:
    ready = answered if course.ready is None else course.ready
    phases = {}
    if course.resolving is not None and course.resolved is not None:
        phases[Phase.RESOLVE] = course.resolved - course.resolving
    if course.connecting is not None:
        connected = ready if course.shaking is None else course.shaking
        phases[Phase.CONNECT] = connected - course.connecting
    if course.shaking is not None:
        phases[Phase.TLS] = ready - course.shaking
    phases[Phase.PROCESSING] = answered - ready
    phases[Phase.TRANSFER] = done - answered
    return phases


# --- failures -----------------------------------------------------------------------------------

_EXPECTED = (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError)
_ERRNO = {
    errno.ECONNREFUSED: Reason.CONNECT_REFUSED,
    errno.ETIMEDOUT: Reason.CONNECT_TIMEOUT,
}
# The first that fits, from the most special to the most general.
_REASONS: tuple[tuple[type[Exception], Reason], ...] = (
    (aiohttp.ClientConnectorDNSError, Reason.DNS),
    (aiohttp.ClientConnectorCertificateError, Reason.TLS),
    (aiohttp.ClientConnectorSSLError, Reason.TLS),
    (ssl.SSLError, Reason.TLS),
    (aiohttp.ClientHttpProxyError, Reason.CONNECT_REFUSED),
    (aiohttp.ClientPayloadError, Reason.BODY_INVALID),
    (aiohttp.ClientResponseError, Reason.BODY_INVALID),  # no HTTP, or headers beyond all bounds
)


def _reason(error: Exception, course: AiohttpTiming) -> Reason:
    """Say why no answer came. The table and nothing else maps exceptions to reasons."""
    if isinstance(error, TimeoutError):
        return _late(course)
    if isinstance(error, aiohttp.ClientHttpProxyError) and error.status == _GATEWAY_TIMEOUT:
        return Reason.CONNECT_TIMEOUT
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
        if isinstance(cause, ssl.SSLCertVerificationError) and cause.verify_code == _EXPIRED:
            return Reason.CERT_EXPIRED
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason
    if course.ready is None and course.shaking is not None:
        return Reason.TLS  # reset or closed in the middle of the handshake
    if isinstance(error, OSError) and error.errno in _ERRNO:
        return _ERRNO[error.errno]
    return Reason.OTHER


def _late(course: AiohttpTiming) -> Reason:
    """Name the phase in which the time ran out."""
    if course.ready is not None:
        return Reason.READ_TIMEOUT
    if course.shaking is not None:
        return Reason.TLS
    if course.connecting is not None:
        return Reason.CONNECT_TIMEOUT
    if course.resolving is not None:
        return Reason.DNS
    return Reason.OTHER  # waited for a free connection


def _detail(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answered {error.status}"  # its own words may repeat the login
    return f"{type(error).__name__}: {error}"[:300]
