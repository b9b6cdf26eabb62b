"""Scripted servers on loopback, and requests to them."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exporter.contracts import FetchFailedError
from exporter.http.client import HttpClient
from exporter.model import Answer
from exporter.web.connection_limits import abort

CERTIFICATES = Path(__file__).parent / "certificates"
ENDED = datetime(2021, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()
ENDS = datetime(2124, 1, 1, tzinfo=UTC).timestamp()

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Used: 7\r\n\r\nok"


def say(*replies: bytes, before: float = 0.0, between: float = 0.0) -> Handler:
    """Return a server that answers each request with ``replies``, piece by piece."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            await asyncio.sleep(before)
            for number, reply in enumerate(replies):
                await asyncio.sleep(between if number else 0.0)
                writer.write(reply)

    return handle


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take the request and drop the connection."""
    await reader.readuntil(b"\r\n\r\n")
    abort(writer.transport)


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take the request and reset the connection, as a firewall would."""
    await reader.readuntil(b"\r\n\r\n")
    opened = writer.get_extra_info("socket")
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    abort(writer.transport)


async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take the request and close the connection in good order."""
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


class Server:
    """A scripted server on loopback; counts the connections it was given."""

    def __init__(self, handler: Handler, certificate: str | None = None) -> None:
        self.handler = handler
        self.certificate = certificate
        self.connections = 0
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Server:
        context = None
        if self.certificate is not None:
            self.context = context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATES / self.certificate)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.url = f"http{'s' if context else ''}://127.0.0.1:{self.port}/x"
        return self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            await self.handler(reader, writer)
        writer.close()

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            abort(writer.transport)
        await self._server.wait_closed()
        await asyncio.sleep(0.01)


async def get(
    client: HttpClient, url: str, timeout: float = 30.0, body_limit: int = 1 << 20
) -> Answer:
    return await client("GET", url, headers={}, timeout=timeout, body_limit=body_limit)


def fetched(
    handler: Handler,
    *,
    certificate: str | None = None,
    trusted: bool = True,
    timeout: float = 30.0,
    body_limit: int = 1 << 20,
    times: int = 1,
    host: str = "127.0.0.1",
) -> list[Answer]:
    """Ask a scripted server so many times over one client."""

    async def main() -> list[Answer]:
        ca_file = str(CERTIFICATES / "ca.pem") if trusted else None
        async with Server(handler, certificate) as server, HttpClient(ca_file=ca_file) as client:
            url = server.url.replace("127.0.0.1", host)
            return [await get(client, url, timeout, body_limit) for _ in range(times)]

    return asyncio.run(main())


def failure(handler: Handler, **how: object) -> FetchFailedError:
    with pytest.raises(FetchFailedError) as caught:
        fetched(handler, **how)  # type: ignore[arg-type]  # passed on as they are
    return caught.value
