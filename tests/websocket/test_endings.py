"""How WebSocket connections are opened, kept alive and ended, against real servers."""

from __future__ import annotations

import asyncio
import os
import resource
from contextlib import suppress
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from exporter.clock import SystemClock
from exporter.contracts import ConnectionLostError
from exporter.model import Lost
from exporter.websocket.client import connect, verifying
from tests.websocket.servers import collect, loss, raw, run, serving, upgrade


def test_a_close_code_is_kept() -> None:
    """What the server says on leaving is told, after all that it sent before."""

    async def handler(server: ServerConnection) -> None:
        await server.send("last")
        await server.close(4001, "too many topics")

    async def main() -> tuple[list[bytes], ConnectionLostError]:
        async with serving(handler) as url:
            socket = await connect(url, clock=SystemClock())
            await asyncio.sleep(0.1)
            frames = await collect(socket, 1)
            lost = await loss(socket)
            await socket.close()
            with pytest.raises(ConnectionLostError):
                await socket.send("too late")
            return frames, lost

    frames, lost = run(main())
    assert frames == [b"last"]
    assert (lost.reason, lost.code, lost.detail) == (Lost.SERVER_CLOSE, 4001, "too many topics")


def test_a_connection_cut_off_is_the_networks_fault() -> None:
    """No close frame, no close code of theirs."""

    async def handler(server: ServerConnection) -> None:
        server.transport.abort()

    async def main() -> ConnectionLostError:
        async with serving(handler) as url:
            socket = await connect(url, clock=SystemClock())
            lost = await loss(socket)
            await socket.close()
            return lost

    assert run(main()).reason is Lost.NETWORK


@pytest.mark.parametrize(
    "frame",
    [
        b"\x83\x00",  # an opcode that nobody defined
        b"\xc1\x01x",  # compressed, which was not agreed
        b"\x81\x81\0\0\0\0x",  # masked by a server
        b"\x80\x01x",  # the end of nothing
        b"\x89\x7e\x00\x80" + b"x" * 128,  # a ping that is too long
        b"\x01\x01a\x81\x01b",  # a message within a message
        b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff",  # a length beyond all bounds
        b"\x88\x01x",  # half a close code
    ],
)
def test_broken_frames_end_the_connection(frame: bytes) -> None:
    """What RFC 6455 forbids is a protocol error, and a message before it is still delivered."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgrade(reader, writer)
        writer.write(b"\x81\x02ok")
        await asyncio.sleep(0.05)
        writer.write(frame)
        await reader.read()

    async def main() -> tuple[list[bytes], ConnectionLostError]:
        async with raw(script) as url:
            socket = await connect(url, clock=SystemClock(), close_timeout=0.2)
            frames = await collect(socket, 1)
            lost = await loss(socket)
            await socket.close()
            return frames, lost

    frames, lost = run(main())
    assert frames == [b"ok"]
    assert lost.reason is Lost.PROTOCOL_ERROR


def test_of_many_pings_the_newest_is_answered() -> None:
    """Each alone has its pong; of a hundred in one piece the newest, and what follows is read."""
    sent: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgrade(reader, writer)
        for pings in (range(1), range(1, 101)):
            writer.write(b"".join(b"\x89\x04%04d" % number for number in pings) + b"\x81\x02ok")
            head = await reader.readexactly(6)
            payload = await reader.readexactly(head[1] & 127)
            sent.append(bytes(a ^ b for a, b in zip(payload, head[2:] * 32, strict=False)))
        await reader.read()

    async def main() -> list[bytes]:
        async with raw(script) as url:
            socket = await connect(url, clock=SystemClock(), ping_every=None, close_timeout=0.2)
            frames = await collect(socket, 2)
            await socket.close()
            return frames

    assert run(main()) == [b"ok", b"ok"]
    assert sent == [b"0000", b"0100"]


def test_a_flood_of_pings_ends_the_connection() -> None:
    """A thousand in a second are more than any venue sends; who goes on is left."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgrade(reader, writer)
        writer.write(b"\x89\x00" * 2000)
        await reader.read()

    async def main() -> ConnectionLostError:
        async with raw(script) as url:
            socket = await connect(url, clock=SystemClock(), close_timeout=0.2)
            lost = await loss(socket)
            await socket.close()
            return lost

    lost = run(main())
    assert str(lost) == "protocol_error: more than 1000 pings in a second"


def test_closing_is_polite_and_bounded() -> None:
    """The server sees 1000; one that never answers is left within the close timeout."""
    codes: list[int | None] = []

    async def handler(server: ServerConnection) -> None:
        await server.wait_closed()
        codes.append(server.close_code)

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgrade(reader, writer)
        await reader.read()

    async def main() -> None:
        async with serving(handler) as url:
            socket = await connect(url, clock=SystemClock())
            await socket.close()
            await socket.close()
            assert (await loss(socket)).reason is Lost.SHUTDOWN
            await asyncio.sleep(0.1)
        async with raw(deaf) as url:
            socket = await connect(url, clock=SystemClock(), close_timeout=0.2)
            await socket.close()

    run(main())
    assert codes == [1000]


def test_pings_measure_the_round_trip() -> None:
    """Each pong gives one figure; the server's own pings are answered beside."""
    trips: list[float | None] = []
    enough = asyncio.Event()

    def measured(trip: float | None) -> None:
        trips.append(trip)
        if len(trips) == 3:
            enough.set()

    async def handler(server: ServerConnection) -> None:
        await (await server.ping(b"theirs"))
        await server.send("answered")
        await server.wait_closed()

    async def main() -> None:
        async with serving(handler) as url:
            socket = await connect(url, clock=SystemClock(), ping_every=0.05, on_ping_rtt=measured)
            assert await collect(socket, 1) == [b"answered"]
            await enough.wait()
            await socket.close()

    run(main())
    assert all(trip is not None and trip > 0.0 for trip in trips)


def test_a_missing_pong_ends_the_connection() -> None:
    """Data keeps coming, and still: who does not answer a ping does not read us."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgrade(reader, writer)
        while True:
            writer.write(b"\x81\x02hi")
            await writer.drain()
            await asyncio.sleep(0.05)

    async def main() -> ConnectionLostError:
        async with raw(script) as url:
            socket = await connect(
                url, clock=SystemClock(), ping_every=0.1, ping_timeout=0.2, close_timeout=0.1
            )
            lost = await loss(socket)
            await socket.close()
            return lost

    assert run(main()).reason is Lost.PING_TIMEOUT


def test_connections_that_cannot_be_made() -> None:
    """Refused, unanswered, answered with something else: one kind of error, in time."""

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def teapot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 418 I'm a teapot\r\nContent-Length: 100\r\n\r\n")
        await reader.read()

    async def noise(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\0" * 100_000)
        await reader.read()

    async def forged(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: forged\r\n\r\n"
        )
        await reader.read()

    async def attempt(url: str, timeout: float = 30.0) -> str:
        with pytest.raises(ConnectionLostError) as raised:
            await connect(url, clock=SystemClock(), timeout=timeout)
        return raised.value.detail

    async def main() -> None:
        async with raw(never) as url:
            assert "0.3 s" in await attempt(url, timeout=0.3)
        for script, detail in ((teapot, "418"), (noise, ""), (forged, "")):
            async with raw(script) as url:
                assert detail in await attempt(url)
        assert await attempt(url)  # nobody listens there any more
        with pytest.raises(ValueError, match="ws://"):
            await connect("http://127.0.0.1", clock=SystemClock())

    run(main())


def test_cancelling_an_attempt_leaves_nothing_behind() -> None:
    """No socket stays open when the program stops in the middle of a handshake."""
    ended = asyncio.Event

    async def main() -> None:
        gone = ended()

        async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            gone.set()

        async with raw(never) as url, asyncio.TaskGroup() as tasks:
            task = tasks.create_task(connect(url, clock=SystemClock(), timeout=60.0))
            await asyncio.sleep(0.2)
            task.cancel()
            async with asyncio.timeout(60):
                await gone.wait()

    run(main())


def test_what_a_taker_raises_reaches_who_receives() -> None:
    """Our own fault is not the network's, and is not swallowed by an event loop."""

    async def handler(server: ServerConnection) -> None:
        await asyncio.sleep(0.1)
        await server.send("x")
        await server.wait_closed()

    def take(batch: object) -> bool:
        raise ZeroDivisionError

    async def main() -> None:
        async with serving(handler) as url:
            socket = await connect(url, clock=SystemClock())
            with pytest.raises(ZeroDivisionError):
                await socket.receive(take)
            await socket.close()

    run(main())


def test_cancelling_a_receiver_loses_nothing() -> None:
    """What comes while nobody receives waits for the next who does."""

    async def handler(server: ServerConnection) -> None:
        for number in range(3):
            await server.send(str(number))
            await asyncio.sleep(0.1)
        await server.wait_closed()

    async def main() -> list[bytes]:
        async with serving(handler) as url:
            socket = await connect(url, clock=SystemClock())
            got: list[bytes] = []

            def take(batch: Any) -> bool:
                got.extend(frame for _, frame in batch)
                return False

            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await socket.receive(take)
            await asyncio.sleep(0.3)
            frames = got + await collect(socket, 3 - len(got))
            await socket.close()
            return frames

    assert run(main()) == [b"0", b"1", b"2"]


def test_an_endless_handshake_is_no_connection() -> None:
    """A hundred and one, and headers without end: refused at 32 KiB, never taken for open."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\n")
        while not writer.transport.is_closing():
            writer.write(b"X-Padding: " + b"x" * 4000 + b"\r\n")
            await writer.drain()

    async def main() -> ConnectionLostError:
        async with raw(script) as url:
            with pytest.raises(ConnectionLostError) as caught:
                await connect(url, clock=SystemClock(), timeout=5.0)
            return caught.value

    lost = run(main())
    assert lost.reason is Lost.PROTOCOL_ERROR
    assert "headers" in lost.detail


def test_descriptors_of_ours_that_ran_out_are_our_own_fault() -> None:
    """A stream that cannot be opened for them blames nobody else's network."""

    async def main() -> ConnectionLostError:
        verifying()
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        used = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - in a moment, and no path is needed
        resource.setrlimit(resource.RLIMIT_NOFILE, (used - 1, before[1]))
        taken: list[int] = []
        try:
            with suppress(OSError):
                while True:
                    taken.append(os.dup(0))
            with pytest.raises(ConnectionLostError) as caught:
                await connect("ws://127.0.0.1:9/", clock=SystemClock())
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
            for number in taken:
                os.close(number)
        return caught.value

    assert run(main()).reason is Lost.LOCAL_RESOURCE
