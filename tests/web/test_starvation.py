"""Clients that connect and give nothing: whoever scrapes is answered, from wherever they come."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from http import HTTPStatus

import bcrypt
import pytest

from exporter.config.server import ServerLimits
from exporter.web.basic_auth import BasicAuth
from exporter.web.connection_limits import (
    ClientRates,
    ConnectionLimiter,
    ConnectionLimiters,
    client_of,
)
from exporter.web.routes import Handler, Request, Response, text_reply
from exporter.web.server import Server
from exporter.web.tls import Security
from tests.http.servers import CERTIFICATES
from tests.web.test_server import Tally

HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # of TLS, and never the rest
CROWD = 140  # more than the connections that there may be


def _trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(CERTIFICATES / "ca.pem"))


def _security() -> Security:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / "valid.pem")
    return Security(tls=context)


async def _page(request: Request) -> Response:
    return text_reply("up 1")


async def _large(request: Request) -> Response:
    return Response(pieces=[bytes(1 << 20)] * 64)


async def _echo(request: Request) -> Response:
    return text_reply(request.body.decode())


ROUTES: dict[str, Handler] = {"/metrics": _page, "/large": _large, "POST /echo": _echo}


class Crowd:
    """Sockets of hostile clients at one address."""

    def __init__(self, port: int, address: str) -> None:
        self.port, self.address = port, address
        self.sockets: list[socket.socket] = []
        self._stack = ExitStack()

    async def come(self, count: int, sent: bytes) -> None:
        """Connect so many times, and send the same each time."""
        loop = asyncio.get_running_loop()
        for _ in range(count):
            each = self._stack.enter_context(socket.socket())
            each.setblocking(False)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            each.bind((self.address, 0))
            await loop.sock_connect(each, ("127.0.0.1", self.port))
            try:
                await loop.sock_sendall(each, sent)
            except OSError:  # turned away at once
                continue
            self.sockets.append(each)

    def close(self) -> None:
        """Go away."""
        self._stack.close()


async def scrape(server: Server, tls: ssl.SSLContext | None, login: str = "") -> bytes:
    """Ask for the metrics over a new connection; return the whole answer."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", server.port, ssl=tls, server_hostname=None if tls is None else "localhost"
    )
    head = f"GET /metrics HTTP/1.1\r\nHost: x\r\n{login}Connection: close\r\n\r\n"
    writer.write(head.encode())
    try:
        return await reader.read()
    finally:
        writer.close()


def serve(
    talk: Callable[[Server], Awaitable[None]], security: Security, limits: ServerLimits
) -> tuple[Tally, Tally]:
    """Run ``talk`` against a server; return what it counted as refused and as expired."""
    refused, expired = Tally(), Tally()

    async def main() -> None:
        async with (
            asyncio.timeout(50),
            Server(
                "127.0.0.1:0",
                ROUTES,
                limits=limits,
                security=security,
                refused=refused,
                expired=expired,
            ) as server,
        ):
            await talk(server)

    asyncio.run(main())
    return refused, expired


POST = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nx"
IDLE = ServerLimits(header_timeout=60.0)  # too late to be of help


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.9"])
@pytest.mark.parametrize(
    ("tls", "sent"),
    [
        (False, b""),
        (False, b"GET /metrics HT"),
        (True, b""),
        (True, HELLO),
    ],
    ids=["idle", "half a head", "idle before TLS", "half a handshake"],
)
def test_a_scrape_comes_through_whatever_one_client_holds(
    tls: bool, sent: bytes, address: str
) -> None:
    """More connections than there may be, none of which asks anything: they make room."""

    async def talk(server: Server) -> None:
        crowd = Crowd(server.port, address)
        for _ in range(3):
            await crowd.come(CROWD // 3, sent)
            answer = await scrape(server, _trusting() if tls else None)
            assert answer.startswith(b"HTTP/1.1 200 ")
        crowd.close()

    refused, expired = serve(talk, _security() if tls else Security(), IDLE)
    assert refused.value == 0
    assert expired.value >= CROWD - 2 - 64, "one client holds at most 64"


def test_unfinished_handshakes_have_a_deadline() -> None:
    """Who begins TLS and says no more is gone after the time that a request's head has."""

    async def talk(server: Server) -> None:
        crowd = Crowd(server.port, "127.0.0.1")
        await crowd.come(5, HELLO)
        loop = asyncio.get_running_loop()
        assert [await loop.sock_recv(each, 1) for each in crowd.sockets] == [b""] * 5
        crowd.close()

    _, expired = serve(talk, _security(), ServerLimits(header_timeout=0.2))
    assert expired.value == 5


def test_requests_that_wait_for_their_client_make_room() -> None:
    """As many as may be worked on, with bodies that do not come or answers that nobody reads."""

    async def talk(server: Server) -> None:
        crowd = Crowd(server.port, "127.0.0.9")
        await crowd.come(5, POST)
        await crowd.come(5, b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(1.2)  # after a second a request that waits may lose its place
        for _ in range(10):
            assert (await scrape(server, None)).startswith(b"HTTP/1.1 200 ")
        crowd.close()

    serve(talk, Security(), ServerLimits(requests=10, request_timeout=60.0))


def test_places_are_kept_for_clients_that_were_answered_before() -> None:
    """Strangers get 503 for the last eighth; who has scraped before is served at once."""

    async def talk(server: Server) -> None:
        assert (await scrape(server, None)).startswith(b"HTTP/1.1 200 ")
        crowd = Crowd(server.port, "127.0.0.9")
        await crowd.come(14, POST)
        late = Crowd(server.port, "127.0.0.8")
        await late.come(1, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await asyncio.get_running_loop().sock_recv(late.sockets[0], 100)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert (await scrape(server, None)).startswith(b"HTTP/1.1 200 ")
        late.close()
        crowd.close()

    serve(talk, Security(), ServerLimits(requests=16, request_timeout=60.0))


def test_a_login_known_to_be_right_has_a_share_of_its_own() -> None:
    """Whoever asks too often from the same address does not use up its requests."""
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    right = "Authorization: Basic YWRtaW46c2VjcmV0\r\n"

    async def talk(server: Server) -> None:
        assert (await scrape(server, None, right)).startswith(b"HTTP/1.1 200 ")
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        _, kept = reader, writer
        found = []
        for _ in range(12):
            kept.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            found.append(int(head.split()[1]))
            length = int(head.lower().split(b"content-length: ")[1].split()[0])
            await reader.readexactly(length)
        assert found[-1] == 429
        assert set(found) == {401, 429}
        kept.write(f"GET /metrics HTTP/1.1\r\nHost: x\r\n{right}\r\n".encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        kept.close()

    serve(talk, Security(login=BasicAuth({"admin": hashed})), ServerLimits(requests_per_second=5))


class Transport(asyncio.Transport):
    """A connection that can be ended."""

    aborted = False

    def abort(self) -> None:
        """End it."""
        self.aborted = True


def _limiters(
    too_many: HTTPStatus = HTTPStatus.TOO_MANY_REQUESTS, **changes: int
) -> ConnectionLimiters:
    limits = {"limit": 16, "per_client": 8, "rate": 1000} | changes
    return ConnectionLimiters(
        asyncio.Protocol,
        **limits,
        too_many=too_many,
        head_timeout=5.0,
        refused=Tally(),
        expired=Tally(),
    )


def _entered(limiters: ConnectionLimiters, client: str) -> ConnectionLimiter:
    found = limiters.enter(client)
    assert isinstance(found, ConnectionLimiter)
    found.connection_made(Transport())
    return found


def _ended(limiter: ConnectionLimiter) -> bool:
    return isinstance(limiter.transport, Transport) and limiter.transport.aborted


def test_another_client_loses_nothing_to_who_holds_the_most() -> None:
    """Full, the client with the most connections makes room, not the one with a single one."""

    async def main() -> None:
        limiters = _limiters(limit=4, per_client=3)
        alone, *many = [_entered(limiters, f"192.0.2.{last}") for last in (1, 7, 7, 7, 7)]
        newcomer = _entered(limiters, "192.0.2.8")
        assert [_ended(each) for each in many] == [True, True, False, False]
        late = _entered(limiters, "192.0.2.9")
        assert [_ended(each) for each in many] == [True, True, True, False]
        assert not any(_ended(each) for each in (alone, newcomer, late))
        limiters.close()

    asyncio.run(main())


def test_who_opens_too_many_is_told_when_to_come_back() -> None:
    """Faster than its share, or more at a time while all of them work: 429 with Retry-After."""

    async def main() -> None:
        limiters = _limiters(rate=2)
        for _ in range(2 * 2 + 3 * 16):
            limiters.enter("192.0.2.1")
        answer = limiters.enter("192.0.2.1")
        assert isinstance(answer, bytes)
        assert answer.startswith(b"HTTP/1.1 429 ")
        assert b"\r\nRetry-After: 1\r\n" in answer
        assert isinstance(limiters.enter("192.0.2.2"), ConnectionLimiter)
        for status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            limiters = _limiters(status, per_client=2)
            for _ in range(2):
                _entered(limiters, "192.0.2.1").begin()
            answer = limiters.enter("192.0.2.1")
            assert isinstance(answer, bytes)
            assert answer.startswith(f"HTTP/1.1 {status} ".encode())

    asyncio.run(main())


def test_strangers_make_room_before_those_answered_before() -> None:
    """A thousand addresses with a connection each cost no client that is known its own."""

    async def main() -> None:
        limiters = _limiters()
        scraper = _entered(limiters, "192.0.2.1")
        scraper.begin()
        scraper.end(well=True)
        for last in range(100):
            _entered(limiters, f"198.51.100.{last}")
        assert not _ended(scraper)
        again = [_entered(limiters, "192.0.2.1") for _ in range(4)]
        assert not any(_ended(each) for each in (scraper, *again))
        limiters.close()

    asyncio.run(main())


def test_an_answered_connection_outlives_silent_ones_of_its_client() -> None:
    """The connection that Prometheus keeps between scrapes is not the one that makes room."""

    async def main() -> None:
        limiters = _limiters()
        kept = _entered(limiters, "192.0.2.1")
        kept.begin()
        kept.end(well=True)
        for _ in range(50):
            _entered(limiters, "192.0.2.1")
        assert not _ended(kept)
        limiters.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2a00:1450:4001:82a::200e", "2a00:1450:4001:82a::/64"),
        ("2a00:1450:4001:82a:1:2:3:4", "2a00:1450:4001:82a::/64"),
        ("::1", "::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("fd00::1", "fd00::1"),
        ("", ""),
    ],
)
def test_whom_an_address_belongs_to(address: str, client: str) -> None:
    """One site of IPv6 is one client, however many addresses it has; IPv4 is the same in both."""
    assert client_of(address) == client


def test_shares_are_remembered_for_a_bounded_number_of_clients() -> None:
    """Whoever was forgotten begins anew, and nobody's share is another's."""
    rates = ClientRates(2, 4)
    assert [rates.take("a", 0.0) for _ in range(5)] == [0, 0, 0, 0, 1]
    for number in range(5000):
        assert rates.take(str(number), 0.0) == 0
    assert rates.take("a", 0.0) == 0
