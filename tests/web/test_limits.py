"""What no client can do to the server: hold it, fill it, or hide behind odd bytes."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import bcrypt
import pytest

from exporter.config.server import ServerLimits
from exporter.metrics.registry import Registry
from exporter.web.basic_auth import BasicAuth
from exporter.web.routes import (
    RefusedError,
    Request,
    Response,
    refuse_foreign,
    text_reply,
)
from exporter.web.server import Server
from exporter.web.tls import Security
from tests.web.test_server import Tally, get, raw, routes, serve


def test_trickling_request_is_cut_off() -> None:
    """A head that does not arrive whole in time ends its connection, also on a reused one."""
    expired = Tally()

    async def talk(server: Server) -> None:
        for opening in (b"", b"GET /metrics HTT", b"GET / HTTP/1.1\r\nHost: x\r\nX-A: b\r\n"):
            assert await raw(server, opening) == b""
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"OK\n")).startswith(b"HTTP/1.1 200 ")
        writer.write(b"GET /-/hea")
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()

    serve(talk, ServerLimits(header_timeout=0.5), expired=expired)
    assert expired.value == 4


def test_idle_connection_is_kept_and_reused() -> None:
    """Between two scrapes the connection stays open for longer than a head may take."""

    async def talk(server: Server) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for _ in range(2):
            writer.write(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readuntil(b"OK\n")).startswith(b"HTTP/1.1 200 ")
            await asyncio.sleep(0.8)
        writer.close()

    serve(talk, ServerLimits(header_timeout=0.2))


def test_reader_that_stalls_is_cut_off() -> None:
    """Who asks for much and reads nothing does not hold memory for ever."""
    expired = Tally()

    async def talk(server: Server) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
        writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(2)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(64 << 20)
        writer.close()
        assert (await get(server, "/-/healthy"))[0] == 200

    serve(talk, ServerLimits(request_timeout=0.5), expired=expired)
    assert expired.value == 1


def test_too_many_connections_are_turned_away_and_counted() -> None:
    """While all are at work the next one gets 503 with a Content-Type; then there is room again."""
    refused = Tally()

    async def talk(server: Server) -> None:
        async with asyncio.TaskGroup() as group:
            slow = [group.create_task(get(server, "/slow")) for _ in range(3)]
            await asyncio.sleep(0.3)
            answer = await raw(server, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"Content-Type: text/plain" in answer
            head, _, body = answer.partition(b"\r\n\r\n")
            assert f"Content-Length: {len(body)}".encode() in head
        assert [task.result()[0] for task in slow] == [503, 503, 503]
        assert (await get(server, "/-/healthy"))[0] == 200

    serve(talk, ServerLimits(connections=3, request_timeout=1.0), refused=refused)
    assert refused.value == 1


def test_idle_connections_shut_nobody_out() -> None:
    """Whoever connects and says nothing makes room for who asks, and the loss is counted."""
    refused, expired = Tally(), Tally()

    async def talk(server: Server) -> None:
        held = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(10)]
        for _ in range(5):
            assert (await get(server, "/-/healthy"))[0] == 200
        for _, writer in held:
            writer.close()

    serve(talk, ServerLimits(connections=3), refused=refused, expired=expired)
    assert refused.value == 0
    assert expired.value >= 7, "seven of ten had to make room for each other"


def test_who_asks_too_often_is_told_when_to_come_back() -> None:
    """Beyond twice its share at once a client gets 429 with Retry-After."""

    async def talk(server: Server) -> None:
        found = [await get(server, "/-/healthy") for _ in range(40)]
        assert [status for status, _, _ in found[:4]] == [200] * 4
        refused = [headers for status, headers, _ in found if status == 429]
        assert refused
        assert {headers["Retry-After"] for headers in refused} == {"1"}

    serve(talk, ServerLimits(requests_per_second=2))


def test_too_many_requests_at_a_time_are_refused() -> None:
    """The work in progress is bounded; one more is answered 503 at once."""

    async def talk(server: Server) -> None:
        async with asyncio.TaskGroup() as group:
            slow = [group.create_task(get(server, "/slow")) for _ in range(2)]
            await asyncio.sleep(0.3)
            status, _, text = await get(server, "/-/healthy")
            assert (status, text) == (503, "503 too many requests at a time\n")
        assert [task.result()[0] for task in slow] == [503, 503]

    serve(talk, ServerLimits(requests=2, request_timeout=1.0))


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 2000 + b"\r\n",
    ],
    ids=["tls", "nonsense", "long header", "long path", "bad length", "many headers"],
)
def test_what_is_no_request_is_answered_400_and_not_logged(
    sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Garbage costs one connection and no log line, and its answer has a Content-Type."""

    async def talk(server: Server) -> None:
        answer = await raw(server, sent + b"\r\n\r\n")
        status = HTTPStatus(int(answer.split(b" ")[1]))
        assert status in (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        assert b"Content-Type: text/plain" in answer
        assert (await get(server, "/-/healthy"))[0] == 200

    serve(talk, ServerLimits(header_timeout=1.0))
    assert caplog.records == []


async def _guarded(request: Request) -> Response:
    refuse_foreign(request)
    return text_reply("ok")


async def _quoting(request: Request) -> Response:
    raise RefusedError(400, f"no {request.headers['X-Name']}")


@pytest.mark.parametrize(
    ("request_line", "header", "login", "status"),
    [
        ("GET /-/healthy", b"Authorization: Basic \xff\xfe", True, 401),
        ("GET /-/healthy", b"Authorization: \xe9", True, 401),
        ("GET /-/healthy", b"Authorization: Basic YTr//v8A", True, 401),
        ("POST /echo", b"Content-Encoding: gzip", False, 400),
        ("POST /echo", b"Content-Encoding: deflate", False, 400),
        ("POST /guarded", b"Origin: http://[", False, 403),
        ("POST /guarded", b"Origin: http://[::1", False, 403),
        ("POST /guarded", b"Origin: \xff", False, 403),
        ("GET /api/quoting", b"X-Name: \xff", False, 400),
        ("GET /quoting", b"X-Name: \xff", False, 400),
    ],
)
def test_a_stranger_s_odd_bytes_are_refused_without_a_traceback(
    request_line: str, header: bytes, login: bool, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistake of theirs is none of ours: never 500, and nothing in the log."""
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    table = routes(Registry()) | {
        "POST /guarded": _guarded,
        "/api/quoting": _quoting,
        "/quoting": _quoting,
    }

    async def main() -> bytes:
        security = Security(login=BasicAuth({"admin": hashed}) if login else None)
        async with Server("127.0.0.1:0", table, security=security) as server:
            head = f"{request_line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n".encode()
            body = b"Content-Length: 5\r\n\r\n\xff\xff\xff\xff\xff"
            return await raw(server, head + header + b"\r\n" + body)

    assert int(asyncio.run(main()).split(b" ")[1]) == status
    assert caplog.records == []
