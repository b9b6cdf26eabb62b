"""The connections of the web server: how many there may be, and how long each may keep us waiting.

aiohttp bounds the size of a request's head and the idle time between requests, but neither the
number of connections nor the time that a head may take to trickle in. This stands in front of it.
"""

from __future__ import annotations

import asyncio
from collections import Counter as Counting
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from exporter.contracts import Counter

_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: 21\r\nConnection: close\r\n\r\ntoo many connections\n"
)
_LOOK = 0.25  # seconds between two looks at slow requests


def abort(transport: asyncio.BaseTransport) -> None:
    """Drop a connection at once, however often aiohttp has closed it before.

    Python 3.11.2 (Debian 12): a TLS transport that is closed a second time, or after the other
    side's end, forgets its protocol, and `abort` then raises AttributeError. The protocol is
    shutting the connection down already, within its own timeout.
    """
    with suppress(AttributeError):
        cast(asyncio.Transport, transport).abort()  # uvloop's is none by inheritance


class ConnectionLimiter(asyncio.Protocol):
    """One connection: passes everything on, and notes since when it keeps us waiting."""

    def __init__(self, limiters: ConnectionLimiters, inner: asyncio.Protocol) -> None:
        self._limiters = limiters
        self._inner = inner
        self.transport: asyncio.Transport | None = None
        self.address = ""  # of the client, without its port
        self.idle_since = 0.0  # since its last byte or answer; monotonic
        self.waiting_since: float | None = None  # for the rest of a request's head; monotonic
        self.retired = False  # its next answer is its last
        self._working = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection on, or turn it away."""
        transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self.address = address_of(transport)
        self.idle_since = self._limiters.now()
        if not self._limiters.enter(self, transport):
            transport.write(_FULL)
            transport.close()
            return
        self.transport = transport
        self.waiting_since = self._limiters.now()
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Pass bytes on."""
        if self.transport is not None:
            if not self._working and self.waiting_since is None:
                self.waiting_since = self._limiters.now()
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass on that the other side has said all."""
        return self._inner.eof_received() if self.transport is not None else None

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the connection go."""
        if self.transport is not None:
            self._limiters.leave(self.transport)
            self.transport = None
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass on that the other side reads too slowly."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that the other side has caught up."""
        self._inner.resume_writing()

    def begin(self) -> None:
        """A request's head is complete: from here its handler's deadline holds."""
        self._working = True
        self.waiting_since = None

    def end(self) -> None:
        """The answer is sent: from here the idle timeout holds."""
        self._working = False
        self.idle_since = self._limiters.now()

    @property
    def working(self) -> bool:
        """Return whether a request of it is being answered."""
        return self._working


def address_of(transport: asyncio.BaseTransport | None) -> str:
    """Return the client's address without its port, empty where there is none."""
    name = None if transport is None else transport.get_extra_info("peername")
    return str(name[0]) if isinstance(name, tuple) and name else ""


class ConnectionLimiters:
    """All connections of one server, at most ``limit``; timeouts in seconds.

    When there is no room, the client that holds the most connections loses the one that has been
    idle for longest, so that nobody shuts the others out by connecting and saying nothing. One
    client has at most ``per_client`` connections.
    """

    def __init__(
        self,
        *,
        limit: int,
        per_client: int,
        head_timeout: float,
        refused: Counter,
        expired: Counter,
    ) -> None:
        self._limit = limit
        self._per_client = per_client
        self._head_timeout = head_timeout
        self._refused = refused
        self._expired = expired
        self._open: dict[asyncio.BaseTransport, ConnectionLimiter] = {}
        self._held: Counting[str] = Counting()  # connections by client
        self._timer: asyncio.TimerHandle | None = None
        self.now: Callable[[], float] = asyncio.get_running_loop().time

    def limited(self, inner: asyncio.Protocol) -> ConnectionLimiter:
        """Return the protocol of one connection with a limiter in front of it."""
        return ConnectionLimiter(self, inner)

    def of(self, transport: asyncio.BaseTransport | None) -> ConnectionLimiter | None:
        """Return the limiter of a connection, None once that is lost."""
        return None if transport is None else self._open.get(transport)

    def enter(self, limiter: ConnectionLimiter, transport: asyncio.Transport) -> bool:
        """Admit a connection if there is room or room can be made; count it as refused if not."""
        held = self._held
        if held[limiter.address] >= self._per_client:
            admitted = self._make_room(limiter.address)
        elif len(self._open) >= self._limit:
            admitted = self._make_room(held.most_common(1)[0][0])
        else:
            admitted = True
        if not admitted:
            self._refused.inc()
            return False
        self._open[transport] = limiter
        held[limiter.address] += 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LOOK, self._look)
        return True

    def _make_room(self, address: str) -> bool:
        """End the connection that has been idle for longest; return whether there was one."""
        idle = [
            each for each in self._open.values() if each.address == address and not each.working
        ]
        if not idle:
            return False
        oldest = min(idle, key=lambda each: each.idle_since)
        if oldest.transport is not None:
            self._expired.inc()
            transport = oldest.transport
            self.leave(transport)
            abort(transport)
        return True

    def leave(self, transport: asyncio.BaseTransport) -> None:
        """Forget a connection."""
        limiter = self._open.pop(transport, None)
        if limiter is not None:
            self._held[limiter.address] -= 1
            if not self._held[limiter.address]:
                del self._held[limiter.address]

    def retire(self) -> None:
        """Let every connection have one more answer and then end."""
        for limiter in self._open.values():
            limiter.retired = True

    def close(self) -> None:
        """End every connection at once."""
        if self._timer is not None:
            self._timer.cancel()
        for transport in list(self._open):
            abort(transport)

    def _look(self) -> None:
        """End the connections whose request takes too long to arrive."""
        latest = self.now() - self._head_timeout
        for each in list(self._open.values()):
            if each.waiting_since is not None and each.waiting_since < latest and each.transport:
                self._expired.inc()
                abort(each.transport)
        again = asyncio.get_running_loop().call_later
        self._timer = again(_LOOK, self._look) if self._open else None
