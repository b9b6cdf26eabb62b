"""A stream over real sockets: what a server can do to it, and what it reports."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from exporter.clock import SystemClock
from exporter.flow import backoff
from exporter.flow.rate_limit import Ban
from exporter.model import Data, Lost
from exporter.streams.admission import ConnectAdmission
from exporter.streams.connection import StreamListener
from exporter.streams.stream import Stream
from exporter.websocket import client as websocket
from tests.streams import toy

Part = Callable[[ServerConnection], Awaitable[None]]


async def witness(
    parts: list[Part], count: int, **settings: Any
) -> tuple[list[tuple[str, object]], list[int | None]]:
    """Serve one part a connection, until ``count`` of them are over; give reports and numbers."""
    said: list[tuple[str, object]] = []
    numbers: list[int | None] = []
    over = asyncio.Event()
    left = iter(parts)

    async def handler(server: ServerConnection) -> None:
        await server.send(next(iter(toy.obliging(str(await server.recv())))))
        await next(left)(server)

    def lost(reason: Lost) -> None:
        said.append(("lost", reason))
        if len([what for what, _ in said if what == "lost"]) == count:
            over.set()

    def take(event: Data, received: float) -> None:
        numbers.append(getattr(event, "sequence", None))

    def note(what: str) -> Callable[[object], None]:
        return lambda value: said.append((what, value))

    async with serve(handler, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        clock = SystemClock()
        stream = Stream(
            "toy",
            toy.VENUE,
            toy.subscriptions("A"),
            connect=partial(websocket.connect, clock=clock, close_timeout=0.2, **settings),
            clock=clock,
            meter=StreamListener(
                attempted=note("attempted"),
                connected=note("connected"),
                lost=lost,
                subscriptions=lambda counts: None,
                armed=lambda topic: None,
                control=note("control"),
                unknown=note("unknown"),
                unreadable=note("unreadable"),
                processed=lambda decode, apply: None,
            ),
            sinks={"t.A": take},
            stale_after=lambda topic: 0.5,
            chance=lambda: 0.1,
            admission=ConnectAdmission(exchange="x", clock=clock, ban=Ban(clock)),
            urls=[f"ws://127.0.0.1:{port}"],
            rules=backoff.BackoffRules(base=0.1, cap=0.2),
        )
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(stream.run())
            async with asyncio.timeout(60):
                await over.wait()
            task.cancel()
    return said, numbers


async def _hostile(server: ServerConnection) -> None:
    for frame in (b"\xff\xfe", "[" * 50_000, "x" * 10_000_000, '{"trade": NaN}', "{", ""):
        await server.send(frame)
    await server.send(toy.trade("t.A", 1))
    await server.close(4009, "rotated")


async def _silent(server: ServerConnection) -> None:
    await server.send(toy.trade("t.A", 2))
    await server.wait_closed()


async def _too_big(server: ServerConnection) -> None:
    try:
        await server.send("x" * (17 << 20))
        await server.wait_closed()
    except ConnectionClosed:
        pass  # which is what it is for


def test_a_stream_survives_what_a_server_does() -> None:
    """Bad frames cost themselves, a close its reconnect, silence and excess are named."""
    said, numbers = asyncio.run(witness([_hostile, _too_big, _silent], 3))
    assert [value for what, value in said if what == "lost"][:3] == [
        Lost.SERVER_CLOSE,
        Lost.PROTOCOL_ERROR,
        Lost.IDLE,
    ]
    assert len([what for what, _ in said if what == "unreadable"]) == 6
    assert numbers == [1, 2]


def test_a_server_that_stops_reading_is_noticed() -> None:
    """Its data flows on, its pongs do not."""

    async def deaf(server: ServerConnection) -> None:
        server.transport.pause_reading()
        try:
            for number in range(10_000):
                await server.send(toy.trade("t.A", number))
                await asyncio.sleep(0.02)
        except ConnectionClosed:
            pass  # which is what it is for

    said, numbers = asyncio.run(witness([deaf], 1, ping_every=0.1, ping_timeout=0.3))
    assert next(value for what, value in said if what == "lost") is Lost.PING_TIMEOUT
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 5
