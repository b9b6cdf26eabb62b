"""Puts TLS in front of a server that speaks none, as a venue's edge does."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from exporter.web.connection_limits import abort

CERTIFICATES = Path(__file__).parents[1] / "http" / "certificates"
AUTHORITY = CERTIFICATES / "ca.pem"


class _Edge:
    """Carries bytes between clients that speak TLS and one server that does not."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.port = 0
        self.ready = threading.Event()
        self.loop = asyncio.new_event_loop()
        self.done = asyncio.Event()

    def run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self._serve())

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.done.set)

    async def _serve(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATES / "valid.pem")
        server = await asyncio.start_server(self._meet, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        await self.done.wait()
        server.close()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, onward = await asyncio.open_connection("127.0.0.1", self.upstream)
        except OSError:
            abort(writer.transport)
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(_carry(there, writer))
            group.create_task(_carry(reader, onward))


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with suppress(OSError):  # ssl.SSLError is one
            while piece := await reader.read(1 << 16):
                writer.write(piece)
                await writer.drain()
    finally:
        writer.close()  # which ends the other direction too


@contextmanager
def tls(upstream: int) -> Iterator[int]:
    """Speak TLS for the server at a port of loopback; return the port where it is spoken."""
    edge = _Edge(upstream)
    thread = threading.Thread(target=edge.run, daemon=True)
    thread.start()
    assert edge.ready.wait(30)
    try:
        yield edge.port
    finally:
        edge.stop()
        thread.join(10)
