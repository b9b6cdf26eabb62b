"""Every reader of untrusted bytes, for a moment; ``make fuzz`` goes on for millions of inputs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

from exporter.config.server import ServerLimits
from exporter.web.connection_limits import abort
from exporter.web.routes import Request, Response, health_route, text_reply
from exporter.web.server import Server
from tests.fuzz.loop import Finding, fuzz
from tests.fuzz.mutate import wounded
from tests.fuzz.targets import Target, targets

MOMENT = 0.5  # seconds each: 20 s in all
TARGETS = list(targets())


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: str(target.name))
def test_wounded_inputs_are_read_or_refused(target: Target, tmp_path: Path) -> None:
    """Nothing but the documented refusal, each within its time; what once failed is tried first."""
    done = fuzz(target, 1_000_000, seed=7, seconds=MOMENT, findings=tmp_path)
    assert done > 5


def test_the_loop_finds_what_is_to_be_found(tmp_path: Path) -> None:
    """A reader that cannot bear a quote is caught, and the input is kept."""

    def fragile(data: bytes) -> None:
        if b'"' in data:
            raise KeyError(data)

    with pytest.raises(Finding, match="fragile: KeyError"):
        fuzz(Target("fragile", (b"a", b"b"), fragile), 10_000, 1, 10.0, tmp_path)
    (found,) = (tmp_path / "fragile").glob("*.bin")
    assert b'"' in found.read_bytes()


REQUESTS = (
    b"GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"GET /-/healthy HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YTpi\r\n"
    b"X-Prometheus-Scrape-Timeout-Seconds: 10\r\nAccept: text/plain;q=0.5\r\n\r\n",
    b"GET http://a/-/healthy?x=%00 HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
)


async def _echo(request: Request) -> Response:
    return text_reply(request.body.decode("latin-1"))


def test_wounded_requests_leave_the_server_as_it_was(caplog: pytest.LogCaptureFixture) -> None:
    """Some thousand broken requests: answered or closed, no error of ours, and then it still works.

    None of them is answered with 500, for that would be an exception nobody expected.
    """
    chance = Random(7)

    async def talk(port: int, data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(data)
            async with asyncio.timeout(30.0):
                return await reader.read(65536)
        except (ConnectionError, TimeoutError):
            return b""
        finally:
            abort(writer.transport)

    async def main() -> int:
        routes = {"/-/healthy": health_route(lambda: None), "POST /echo": _echo}
        # All of it comes from one client, whose share must not be what answers.
        limits = ServerLimits(
            header_timeout=0.2, request_timeout=1.0, connections=500, requests=500,
            connections_per_client=500, requests_per_second=5000,
        )  # fmt: skip
        count = 0
        async with Server("127.0.0.1:0", routes, limits=limits) as server:
            for _ in range(20):
                batch = [talk(server.port, wounded(chance, REQUESTS)) for _ in range(64)]
                for answer in await asyncio.gather(*batch):
                    assert not answer.startswith(b"HTTP/1.1 500"), answer
                count += len(batch)
            assert b"200 OK" in await talk(server.port, REQUESTS[0])
        return count

    assert asyncio.run(main()) == 20 * 64
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
