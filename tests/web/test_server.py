"""The web server over real sockets: routes, refusals, and what it does with rude clients."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import aiohttp
import pytest

from exporter.config.server import ServerLimits
from exporter.metrics.exposition import Exposition
from exporter.metrics.registry import Registry
from exporter.web.routes import (
    Handler,
    RefusedError,
    Request,
    Response,
    file_route,
    health_route,
    html_route,
    json_route,
    scrape_route,
    text_reply,
)
from exporter.web.server import Server


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
