"""The web server over real sockets: routes, refusals, and what it does with rude clients."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp
import bcrypt
import pytest

from exporter.config.server import ServerLimits
from exporter.metrics import families as f
from exporter.metrics.exposition import Exposition
from exporter.metrics.registry import Registry
from exporter.web.basic_auth import BasicAuth
from exporter.web.connection_limits import abort
from exporter.web.routes import (
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
    text_reply,
)
from exporter.web.server import ListenError, Server, listen_address
from exporter.web.tls import Security
from tests.http.test_requests import CERTIFICATES


class Tally:
    """A counter that tests read."""

    value = 0.0

    def inc(self, amount: float = 1.0) -> None:
        """Count."""
        self.value += amount


@dataclass
class State:
    """Something that a JSON route answers."""

    name: str
    ratio: float


async def _page() -> str:
    return "<!doctype html><title>ok</title>"


async def _state(request: Request) -> object:
    return {"asked": dict(request.query), "state": State("up", 0.5), **request.parameters}


async def _broken(request: Request) -> Response:
    raise KeyError("secret detail")


async def _slow(request: Request) -> Response:
    await asyncio.sleep(60)
    return text_reply("late")


async def _large(request: Request) -> Response:
    return Response(pieces=[bytes(1 << 20)] * 64)


async def _echo(request: Request) -> Response:
    return text_reply(request.body.decode())


async def _refuses(request: Request) -> object:
    raise RefusedError(409, "busy with another")


def routes(
    registry: Registry, ready: Callable[[], str | None] = lambda: None
) -> dict[str, Handler]:
    """Return one route of each kind."""
    return {
        "/": html_route(_page),
        "/metrics": scrape_route(Exposition(registry)),
        "/-/healthy": health_route(lambda: None),
        "/-/ready": health_route(ready),
        "/static/style.css": file_route("text/css; charset=utf-8", b"body{}"),
        "/api/v1/state": json_route(_state),
        "/api/v1/jobs/{job}": json_route(_state),
        "/api/v1/refuses": json_route(_refuses),
        "/broken": _broken,
        "/slow": _slow,
        "/large": _large,
        "POST /echo": _echo,
    }


def serve(
    talk: Callable[[Server], Awaitable[None]],
    limits: ServerLimits | None = None,
    refused: Tally | None = None,
    expired: Tally | None = None,
    body: int = 64 * 1024,
) -> None:
    """Run ``talk`` against a server on loopback; the whole may take 50 s."""

    async def main() -> None:
        async with asyncio.timeout(50):
            async with Server(
                "127.0.0.1:0",
                routes(Registry()),
                limits=limits,
                body=body,
                refused=refused,
                expired=expired,
            ) as server:
                await talk(server)

    asyncio.run(main())


async def get(
    server: Server, path: str, method: str = "GET", **options: object
) -> tuple[int, Mapping[str, str], str]:
    """Ask once, on a connection of its own; give status, headers, text."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"http://127.0.0.1:{server.port}{path}", **options) as answer,  # type: ignore[arg-type]
    ):
        return answer.status, answer.headers, await answer.text()


async def raw(server: Server, sent: bytes, patience: float = 15.0) -> bytes:
    """Send bytes and return all that comes back until the server closes, or patience ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(sent)
        async with asyncio.timeout(patience):
            return await reader.read()
    except (TimeoutError, ConnectionResetError):
        return b""
    finally:
        writer.close()


def test_each_kind_of_route_has_its_content_type() -> None:
    """Page, file, JSON and health answer 200 with their type and the security headers."""

    async def talk(server: Server) -> None:
        for path, kind in {
            "/": "text/html; charset=utf-8",
            "/static/style.css": "text/css; charset=utf-8",
            "/api/v1/state": "application/json; charset=utf-8",
            "/-/healthy": "text/plain; charset=utf-8",
            "/metrics": "text/plain; version=0.0.4; charset=utf-8",
        }.items():
            status, headers, _ = await get(server, path)
            assert (status, headers["Content-Type"]) == (200, kind)
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert "default-src 'none'" in headers["Content-Security-Policy"]
            assert headers["Server"] == "exchange-exporter"
        assert (await get(server, "/static/style.css"))[1]["Cache-Control"] == "max-age=3600"
        _, _, text = await get(server, "/api/v1/state?since=5")
        assert text == '{"asked":{"since":"5"},"state":{"name":"up","ratio":0.5}}'
        _, _, text = await get(server, "/api/v1/jobs/17")
        assert '"job":"17"' in text

    serve(talk)


def test_scrape_by_headers_of_prometheus() -> None:
    """OpenMetrics and gzip when asked for; HEAD has the same headers and no body."""

    async def talk(server: Server) -> None:
        wanted = {
            "Accept": "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.3",
            "Accept-Encoding": "gzip",
            "X-Prometheus-Scrape-Timeout-Seconds": "10",
        }
        status, headers, text = await get(server, "/metrics", headers=wanted)
        assert status == 200
        kind = "application/openmetrics-text; version=1.0.0; charset=utf-8"
        assert headers["Content-Type"] == kind
        assert headers["Content-Encoding"] == "gzip"
        assert text.endswith("# EOF\n")
        status, headers, text = await get(server, "/metrics", "HEAD", headers=wanted)
        assert (status, headers["Content-Type"], text) == (200, kind, "")

    serve(talk)


def test_not_ready_says_why() -> None:
    """Until it is ready the readiness route answers 503 and names what is missing."""
    missing: list[str] = ["no probe has ended yet"]

    async def main() -> None:
        table = routes(Registry(), lambda: missing[0] if missing else None)
        async with Server("127.0.0.1:0", table) as server:
            status, headers, text = await get(server, "/-/ready")
            assert (status, text) == (503, "no probe has ended yet\n")
            assert headers["Content-Type"].startswith("text/plain")
            missing.clear()
            assert (await get(server, "/-/ready"))[0] == 200

    asyncio.run(main())


@pytest.mark.parametrize(
    ("path", "method", "status", "kind"),
    [
        ("/nothing", "GET", 404, "text/plain; charset=utf-8"),
        ("/api/v1/nothing", "GET", 404, "application/json; charset=utf-8"),
        ("/metrics", "POST", 405, "text/plain; charset=utf-8"),
        ("/api/v1/state", "DELETE", 405, "application/json; charset=utf-8"),
        ("/api/v1/refuses", "GET", 409, "application/json; charset=utf-8"),
        ("/echo", "GET", 405, "text/plain; charset=utf-8"),
        ("/broken", "GET", 500, "text/plain; charset=utf-8"),
        ("/" + "x" * 2000, "GET", 414, "text/plain; charset=utf-8"),
        ("/api/v1/jobs/a/b", "GET", 404, "application/json; charset=utf-8"),
        ("/..%2f..%2fetc/passwd", "GET", 404, "text/plain; charset=utf-8"),
    ],
)
def test_refusals_have_status_and_content_type(
    path: str, method: str, status: int, kind: str
) -> None:
    """Whatever goes wrong, the answer is not 200 and says what it is; no detail of ours leaks."""

    async def talk(server: Server) -> None:
        got, headers, text = await get(server, path, method)
        assert (got, headers["Content-Type"]) == (status, kind)
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "secret" not in text
        assert "Traceback" not in text
        assert len(text) < 200
        if status == 405:
            assert headers["Allow"] == ("POST" if path == "/echo" else "GET, HEAD")

    serve(talk)


def test_a_handler_s_mistake_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """What the client may not see is in the log."""

    async def talk(server: Server) -> None:
        await get(server, "/broken")

    serve(talk)
    assert [record.getMessage() for record in caplog.records] == ["request_failed path=/broken"]
    assert caplog.records[0].exc_info is not None


def test_bodies_are_bounded() -> None:
    """A body within the limit arrives, a larger one is answered 413, chunked or not."""

    async def talk(server: Server) -> None:
        assert (await get(server, "/echo", "POST", data=b"hello"))[::2] == (200, "hello\n")
        assert (await get(server, "/echo", "POST", data=b"x" * 2000))[0] == 413
        head = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer = await raw(server, head + b"7d0\r\n" + b"x" * 2000 + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 413 ")

    serve(talk, body=1000)


def test_slow_handlers_are_cut_off() -> None:
    """A request ends at the server's limit, or before the moment at which the scraper gives up."""

    async def in_time_for_the_scraper(server: Server) -> None:
        wanted = {"X-Prometheus-Scrape-Timeout-Seconds": "0.2"}
        status, headers, text = await get(server, "/slow", headers=wanted)
        assert (status, text) == (503, "503 this took too long\n")
        assert headers["Content-Type"].startswith("text/plain")
        for nonsense in ("soon", "-1", "nan"):
            wanted = {"X-Prometheus-Scrape-Timeout-Seconds": nonsense}
            assert (await get(server, "/-/healthy", headers=wanted))[0] == 200

    async def by_the_limit(server: Server) -> None:
        assert (await get(server, "/slow"))[0] == 503

    # The other limit, and the handler's own minute, would come too late for `serve`.
    serve(in_time_for_the_scraper, ServerLimits(request_timeout=60.0))
    serve(by_the_limit, ServerLimits(request_timeout=0.2))


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
        found = [await get(server, "/-/healthy") for _ in range(6)]
        assert [status for status, _, _ in found[:4]] == [200] * 4
        status, headers, _ = found[-1]
        assert status == 429
        assert headers["Retry-After"] == "1"

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


def test_leaving_ends_running_requests_soon() -> None:
    """Ctrl-C does not wait for a slow handler or an idle connection."""

    async def main() -> None:
        async with Server("127.0.0.1:0", routes(Registry())) as server:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
            idle = await asyncio.open_connection("127.0.0.1", server.port)
            await asyncio.sleep(0.1)
        for each in (writer, idle[1]):
            each.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", server.port)

    asyncio.run(asyncio.wait_for(main(), 30.0))  # the handler takes a minute


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":9717", ("", 9717)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("[::1]:9717", ("::1", 9717)),
        ("localhost:80", ("localhost", 80)),
    ],
)
def test_listen_address(text: str, expected: tuple[str, int]) -> None:
    """The three spellings of the Prometheus family."""
    assert listen_address(text) == expected


@pytest.mark.parametrize("text", ["", "9717", "host", "::1:9717", "host:", ":99999", ":-1", "a:b"])
def test_bad_listen_address_is_told_in_one_line(text: str) -> None:
    """The complaint names what was found and what was expected."""
    with pytest.raises(ValueError, match="expected HOST:PORT"):
        listen_address(text)

    async def main() -> None:
        async with Server(text, {}):
            pass

    with pytest.raises(ListenError, match="expected HOST:PORT"):
        asyncio.run(main())


def test_port_in_use_is_told_in_one_line() -> None:
    """Somebody else's port is named, with the reason, without a traceback's worth of text."""

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            with pytest.raises(ListenError) as caught:
                async with Server(address, {}):
                    pass
            assert str(caught.value) == f"cannot listen on {address}: Address already in use"
        with pytest.raises(ListenError, match="cannot listen on no-such-host"):
            async with Server("no-such-host.invalid:1", {}):
                pass

    asyncio.run(main())


def test_without_a_host_both_families_are_served() -> None:
    """`:0` listens on IPv4, and on IPv6 where the machine has it, on one port."""

    async def main() -> None:
        async with Server(":0", routes(Registry())) as server:
            assert (await get(server, "/-/healthy"))[0] == 200

    asyncio.run(main())


def test_large_page_arrives_whole() -> None:
    """A page of megabytes comes through in pieces, plain and gzip."""

    async def main() -> None:
        registry = Registry(series_limit=50_000)
        for number in range(1500):
            registry.histogram(f.PROBE_DURATION, "acme", f"endpoint{number}", "new").observe(1.0)
        async with Server("127.0.0.1:0", routes(registry)) as server:
            for coding in ("identity", "gzip"):
                status, _, text = await get(server, "/metrics", headers={"Accept-Encoding": coding})
                assert status == 200
                assert text.count('le="+Inf"') == 1500

    asyncio.run(main())


def test_an_abort_after_two_closes_ends_the_connection() -> None:
    """A TLS connection that was closed twice is dropped without an error, on every Python."""

    async def main() -> None:
        closed = asyncio.Event()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.close()
            writer.close()  # Python 3.11.2: abort() alone raises AttributeError from here on
            abort(writer.transport)
            closed.set()

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATES / "valid.pem")
        trusted = ssl.create_default_context(cafile=str(CERTIFICATES / "ca.pem"))
        server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        async with server:
            reader, writer = await asyncio.open_connection("localhost", port, ssl=trusted)
            writer.write(b"\n")
            assert await reader.read() == b""
            await closed.wait()
            writer.close()

    asyncio.run(asyncio.wait_for(main(), 20.0))
