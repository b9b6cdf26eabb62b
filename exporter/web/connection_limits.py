"""Limits of the web server's connections: their number, and how long each may be slow.

aiohttp bounds the size of a request's head and the idle time between requests, but neither the
number of connections nor the time that a head may take to trickle in. This stands in front of it,
from the moment at which a connection is accepted: a TLS handshake that is not finished counts.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter as Counting
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from http import HTTPStatus
from math import ceil
from typing import Final, cast

from exporter.contracts import Counter
from exporter.flow.rate_limit import Bucket, TokenBucket

_LOOK: Final = 0.25  # seconds between two looks at slow requests
_STALLED: Final = 1.0  # seconds without the client's doing after which a request may lose its place
_OPENING: Final = 16  # handshakes at a time that there may always be
_CLIENTS: Final = 4096  # whose share is remembered
_SERVED: Final = 256  # clients that were answered before, and are remembered


def abort(transport: asyncio.BaseTransport) -> None:
    """Drop a connection at once, however often aiohttp has closed it before.

    Python 3.11.2 (Debian 12): a TLS transport that is closed a second time, or after the other
    side's end, forgets its protocol, and `abort` then raises AttributeError. The protocol is
    shutting the connection down already, within its own timeout.
    """
    with suppress(AttributeError):
        cast(asyncio.Transport, transport).abort()  # uvloop's is none by inheritance


@lru_cache(maxsize=_CLIENTS)
def client_of(address: str) -> str:
    """Return whom the limits take an address for: itself, or the /64 that IPv6 gives one site."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 4:
        return address
    mapped = found.ipv4_mapped
    if mapped is not None:
        return str(mapped)
    return str(ipaddress.ip_network((int(found), 64), strict=False)) if found.is_global else address


def reserved(limit: int) -> int:
    """Return how many of ``limit`` places are kept for clients that were answered before."""
    return limit // 8


class ClientRates:
    """A token bucket for each client: ``rate`` a second, ``burst`` at once."""

    def __init__(self, rate: int, burst: int) -> None:
        self._rate = TokenBucket(burst, burst / rate)
        self._left: OrderedDict[str, Bucket] = OrderedDict()  # the latest last

    def take(self, client: str, now: float) -> int:
        """Take one; return the whole seconds until it may be had, 0 when it was."""
        before = self._left.pop(client, None) or self._rate.start(now)
        self._left[client], wait = self._rate.take(before, 1, now)
        if len(self._left) > _CLIENTS:
            self._left.popitem(last=False)
        return ceil(wait)


class ConnectionLimiter(asyncio.Protocol):
    """One connection: passes everything on, and notes since when it keeps us waiting."""

    def __init__(self, limiters: ConnectionLimiters, client: str) -> None:
        self._limiters = limiters
        self._inner: asyncio.Protocol | None = None  # once the connection is made
        self.transport: asyncio.Transport | None = None
        self.opening: asyncio.Task[None] | None = None  # its handshake
        self.client = client
        self.idle_since = limiters.now()  # since its last byte or answer; monotonic
        self.waiting_since: float | None = self.idle_since  # for a request's head; monotonic
        self.stalled_since: float | None = None  # for a body, or a reader; monotonic
        self.retired = False  # its next answer is its last
        self.answered = False  # at least once, and well
        self.working = False  # a request of it is being answered

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Pass on that the connection, and the handshake if there is one, is made."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self.idle_since = self.waiting_since = self._limiters.now()
        self._inner = self._limiters.made(self, transport)
        if self._inner is None:
            abort(transport)
        else:
            self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Pass bytes on."""
        if self._inner is not None:
            if not self.working and self.waiting_since is None:
                self.waiting_since = self._limiters.now()
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass on that the other side has said all."""
        return self._inner.eof_received() if self._inner is not None else None

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the connection go."""
        self._limiters.leave(self)
        inner, self._inner = self._inner, None
        if inner is not None:
            inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass on that the other side reads too slowly."""
        self.stalled_since = self._limiters.now()
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that the other side has caught up."""
        self.stalled_since = None
        if self._inner is not None:
            self._inner.resume_writing()

    def begin(self) -> None:
        """A request's head is complete: from here its handler's deadline holds."""
        self.working = True
        self.waiting_since = None

    def wait_for_body(self, waiting: bool) -> None:
        """Note whether it is the client's turn to send the rest of its request."""
        self.stalled_since = self._limiters.now() if waiting else None

    def end(self, *, well: bool) -> None:
        """The answer is sent, ``well`` when it was none of refusal: the idle timeout holds."""
        self.working = False
        self.idle_since = self._limiters.now()
        if well:
            self.answered = True
            self._limiters.remember(self.client)

    @property
    def known(self) -> bool:
        """Return whether its client was answered well of late."""
        return self._limiters.knows(self.client)

    def drop(self) -> None:
        """End the connection at once, in whatever state it is."""
        self._limiters.leave(self)
        if self.transport is not None:
            abort(self.transport)
        elif self.opening is not None:
            self.opening.cancel()


class ConnectionLimiters:
    """All connections of one server, at most ``limit``; timeouts in seconds.

    When there is no room, one that is idle makes it, so that nobody shuts the others out by
    connecting and saying nothing: of strangers before clients that were answered before, of who
    holds the most, one that was never answered well, the one idle for longest. One client has at
    most ``per_client`` connections and opens ``rate`` a second on average; strangers leave an
    eighth of the places to the others, and of more than 16 handshakes a quarter of the places at
    most is for unfinished ones. ``serve`` makes what is behind each.
    """

    def __init__(
        self,
        serve: Callable[[], asyncio.Protocol],
        *,
        limit: int,
        per_client: int,
        rate: int,
        too_many: HTTPStatus,
        head_timeout: float,
        refused: Counter,
        expired: Counter,
    ) -> None:
        self._serve = serve
        self._limit = limit
        self._per_client = per_client
        # Who shares the address of a client that holds all it can must still be let in.
        self._rates = ClientRates(rate, 2 * rate + 3 * limit)
        self._too_many = too_many
        self._head_timeout = head_timeout
        self._refused = refused
        self._expired = expired
        self._open: dict[ConnectionLimiter, None] = {}
        self._opening: dict[ConnectionLimiter, None] = {}  # of them, those not made yet
        self._made: dict[asyncio.BaseTransport, ConnectionLimiter] = {}
        self._held: Counting[str] = Counting()  # connections by client
        self._served: OrderedDict[str, None] = OrderedDict()  # the latest last
        self._timer: asyncio.TimerHandle | None = None
        self.now: Callable[[], float] = asyncio.get_running_loop().time

    def enter(self, client: str) -> ConnectionLimiter | bytes:
        """Admit a connection if there is room or room can be made; else return what to answer."""
        if wait := self._rates.take(client, self.now()):
            return self._refuse(self._too_many, "too many connections", wait)
        if self._held[client] >= self._per_client and not self._make_room(
            each for each in self._open if each.client == client
        ):
            return self._refuse(self._too_many, "too many connections of yours", 1)
        if not self._room(client):
            return self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections", 1)
        limiter = ConnectionLimiter(self, client)
        self._open[limiter] = self._opening[limiter] = None
        self._held[client] += 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LOOK, self._look)
        return limiter

    def _room(self, client: str) -> bool:
        """Return whether there is a place for one more, after making it if need be."""
        if len(self._opening) >= max(_OPENING, self._limit // 4):
            self._make_room(self._opening)
        free_to_all = self._limit - reserved(self._limit)
        if len(self._open) >= free_to_all and not self.knows(client):
            strangers = self._strangers()
            if len(strangers) >= free_to_all:
                return self._make_room(strangers)
        return len(self._open) < self._limit or self._make_room(self._open)

    def _refuse(self, status: HTTPStatus, reason: str, wait: int) -> bytes:
        self._refused.inc()
        return (
            f"HTTP/1.1 {status:d} {status.phrase}\r\nContent-Type: text/plain; charset=utf-8\r\n"
            f"Retry-After: {wait}\r\nContent-Length: {len(reason) + 1}\r\nConnection: close\r\n\r\n"
            f"{reason}\n"
        ).encode()

    def make_room(self) -> bool:
        """End an idle connection of a stranger, as descriptors ran out; return whether one was."""
        return self._make_room(self._strangers())

    def _strangers(self) -> list[ConnectionLimiter]:
        return [each for each in self._open if not self.knows(each.client)]

    def _make_room(self, candidates: Iterable[ConnectionLimiter]) -> bool:
        """End one of these that is idle; return whether there was one."""
        return self._end_first([each for each in candidates if not each.working])

    def end_stalled(self) -> bool:
        """End a request whose client keeps us waiting; return whether there was one."""
        latest = self.now() - _STALLED
        return self._end_first(
            [
                each
                for each in self._open
                if each.working and each.stalled_since is not None and each.stalled_since < latest
            ]
        )

    def _end_first(self, candidates: list[ConnectionLimiter]) -> bool:
        if not candidates:
            return False

        def turn(each: ConnectionLimiter) -> tuple[bool, int, bool, float]:
            known = self.knows(each.client)
            return known, -self._held[each.client], each.answered, each.idle_since

        self._expired.inc()
        min(candidates, key=turn).drop()
        return True

    def made(
        self, limiter: ConnectionLimiter, transport: asyncio.BaseTransport
    ) -> asyncio.Protocol | None:
        """Note that a connection is made; return what is behind it, None if it lost its place."""
        if limiter not in self._open:
            return None
        del self._opening[limiter]
        self._made[transport] = limiter
        return self._serve()

    def of(self, transport: asyncio.BaseTransport | None) -> ConnectionLimiter | None:
        """Return the limiter of a connection, None once that is lost."""
        return None if transport is None else self._made.get(transport)

    def knows(self, client: str) -> bool:
        """Return whether a client was answered well of late."""
        return client in self._served

    def remember(self, client: str) -> None:
        """Note that a client was answered well."""
        self._served[client] = None
        self._served.move_to_end(client)
        if len(self._served) > _SERVED:
            self._served.popitem(last=False)

    def leave(self, limiter: ConnectionLimiter) -> None:
        """Forget a connection; a second time does nothing."""
        if limiter not in self._open:
            return
        del self._open[limiter]
        self._opening.pop(limiter, None)
        if limiter.transport is not None:
            del self._made[limiter.transport]
        self._held[limiter.client] -= 1
        if not self._held[limiter.client]:
            del self._held[limiter.client]

    def retire(self) -> None:
        """Let every connection have one more answer and then end."""
        for limiter in self._open:
            limiter.retired = True

    def close(self) -> None:
        """End every connection at once."""
        if self._timer is not None:
            self._timer.cancel()
        for limiter in list(self._open):
            limiter.drop()

    def _look(self) -> None:
        """End the connections whose handshake or request takes too long to arrive."""
        latest = self.now() - self._head_timeout
        for each in list(self._open):
            if each.waiting_since is not None and each.waiting_since < latest:
                self._expired.inc()
                each.drop()
        again = asyncio.get_running_loop().call_later
        self._timer = again(_LOOK, self._look) if self._open else None
