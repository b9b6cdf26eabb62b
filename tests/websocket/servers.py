"""Servers for tests of WebSocket connections, and what receives from them."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

from exporter.contracts import ConnectionLostError, Socket

Handler = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler, **settings: Any) -> AsyncIterator[str]:
    """Serve WebSocket connections; return the URL."""
    async with serve(handler, "127.0.0.1", 0, **settings) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/feed"


@asynccontextmanager
async def raw(
    script: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """Serve TCP connections, for what no library would send."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await script(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()


async def upgrade(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tail: bytes = b""
) -> None:
    """Accept a handshake, with ``tail`` in the same packet."""
    from websockets.utils import accept_key

    request = (await reader.readuntil(b"\r\n\r\n")).decode()
    key = next(
        line for line in request.split("\r\n") if line.lower().startswith("sec-websocket-key")
    )
    accept = accept_key(key.split(": ")[1])
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n" + tail
    )


async def collect(socket: Socket, count: int) -> list[bytes]:
    """Receive until ``count`` messages are there."""
    frames: list[bytes] = []

    def take(batch: Any) -> bool:
        frames.extend(frame for _, frame in batch)
        return len(frames) >= count

    async with asyncio.timeout(60):
        while len(frames) < count:
            await socket.receive(take)
    return frames


async def loss(socket: Socket) -> ConnectionLostError:
    """Receive until the connection is lost; give why."""
    async with asyncio.timeout(60):
        try:
            while True:
                await socket.receive(lambda batch: False)
        except ConnectionLostError as error:
            return error


def run(main: Awaitable[Any]) -> Any:
    """Run, and let nothing unclosed or unretrieved pass."""

    async def whole() -> Any:
        return await main

    result = asyncio.run(whole())
    gc.collect()
    return result
