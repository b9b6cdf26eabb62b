"""Where the server listens, and how it begins and ends."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest

from exporter.metrics import families as f
from exporter.metrics.registry import Registry
from exporter.web.connection_limits import abort
from exporter.web.server import ListenError, Server, listen_address
from tests.http.servers import CERTIFICATES
from tests.web.test_server import get, routes


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

    asyncio.run(asyncio.wait_for(main(), 60.0))
