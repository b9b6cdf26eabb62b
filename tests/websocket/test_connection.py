"""Both transports against real servers on loopback: one promise, kept twice."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import resource
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Frame, Opcode

from exporter.clock import SystemClock
from exporter.contracts import ConnectionLostError, Socket
from exporter.model import Answer, Lost, QueuePolicy
from exporter.websocket.client import connect, verifying
from exporter.websocket.receive_queue import ReceiveQueueBounds, ReceiveQueueMeter

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


# --- messages ---------------------------------------------------------------------------------


def test_messages_arrive_whole_in_order_and_stamped() -> None:
    """Text and binary, empty and large, fragmented and not, each with the time it was read."""
    messages: list[str | bytes] = ["", "a", b"\x00\xff", "ü" * 100, "x" * 125, "y" * 126]
    messages += ["z" * 65535, "w" * 65536, b"v" * 300_000, "end"]

    async def handler(server: ServerConnection) -> None:
        for message in messages:
            await server.send(message)
        await server.send(["frag", "ment", "ed"])
        await server.wait_closed()

    async def main() -> None:
        clock = SystemClock()
        async with serving(handler) as url:
            before = clock.wall()
            socket = await connect(url, clock=clock)
            stamps: list[float] = []
            frames: list[bytes] = []

            def take(batch: Any) -> bool:
                stamps.extend(stamp for stamp, _ in batch)
                frames.extend(frame for _, frame in batch)
                return len(frames) > len(messages)

            async with asyncio.timeout(60):
                await socket.receive(take)
            await socket.close()
            wanted = [m.encode() if isinstance(m, str) else m for m in messages]
            assert frames == [*wanted, b"fragmented"]
            assert stamps == sorted(stamps)
            assert before <= stamps[0] <= stamps[-1] <= clock.wall()

    run(main())


def test_what_we_send_arrives() -> None:
    """One text message a call, any length."""

    async def handler(server: ServerConnection) -> None:
        async for message in server:
            await server.send(message)

    async def main() -> list[bytes]:
        async with serving(handler) as url:
            socket = await connect(url, clock=SystemClock())
            for text in ("a", "ü" * 5000, ""):
                await socket.send(text)
            frames = await collect(socket, 3)
            await socket.close()
            return frames

    assert run(main()) == [b"a", ("ü" * 5000).encode(), b""]


@pytest.mark.parametrize("seed", range(5))
def test_any_cut_of_the_bytes_gives_the_same_messages(seed: int) -> None:
    """TCP may cut anywhere: in headers, in lengths, in payloads, between fragments."""
    chance = random.Random(seed)
    wire, wanted = b"", []
    for number in range(60):
        size = chance.choice((0, 1, 5, 125, 126, 127, 1000, 70_000))
        payload = bytes([number]) * size
        if chance.random() < 0.2:
            cut = size // 2
            wire += Frame(Opcode.BINARY, payload[:cut], fin=False).serialize(mask=False)
            wire += Frame(Opcode.PING, b"between").serialize(mask=False)
            wire += Frame(Opcode.CONT, payload[cut:]).serialize(mask=False)
        else:
            wire += Frame(Opcode.BINARY, payload).serialize(mask=False)
        wanted.append(payload)

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgrade(reader, writer, wire[:7])
        at = 7
        while at < len(wire):
            step = chance.choice((1, 2, 3, 9, 130, 5000, 60_000))
            writer.write(wire[at : at + step])
            await writer.drain()
            await asyncio.sleep(0)
            at += step
        await reader.read()

    async def main() -> list[bytes]:
        async with raw(script) as url:
            socket = await connect(url, clock=SystemClock())
            frames = await collect(socket, len(wanted))
            await socket.close()
            return frames

    assert run(main()) == wanted


def test_compressed_messages_are_inflated() -> None:
    """permessage-deflate is offered, and used when the server takes it."""

    async def handler(server: ServerConnection) -> None:
        assert server.response is not None
        assert "permessage-deflate" in server.response.headers["Sec-WebSocket-Extensions"]
        for number in range(50):
            await server.send(f"{number} " + "lorem ipsum " * number * 20)
        await server.wait_closed()

    async def main() -> list[bytes]:
        async with serving(handler, compression="deflate") as url:
            socket = await connect(url, clock=SystemClock())
            frames = await collect(socket, 50)
            await socket.close()
            return frames

    assert run(main()) == [(f"{n} " + "lorem ipsum " * n * 20).encode() for n in range(50)]


# --- bounds -----------------------------------------------------------------------------------


def test_a_zip_bomb_ends_the_connection() -> None:
    """A small frame that inflates beyond the bound is refused before it does."""
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    squeezed = bomb.compress(b"\0" * (64 << 20)) + bomb.flush(zlib.Z_SYNC_FLUSH)

    async def handler(server: ServerConnection) -> None:
        frame = Frame(Opcode.BINARY, squeezed[:-4]).serialize(mask=False)
        server.transport.write(b"\xc2" + frame[1:])  # final, compressed, binary
        await server.wait_closed()

    async def main() -> ConnectionLostError:
        async with serving(handler, compression="deflate") as url:
            socket = await connect(url, clock=SystemClock(), max_message=1 << 20)
            lost = await loss(socket)
            await socket.close()
            return lost

    lost = run(main())
    assert (lost.reason, lost.code) == (Lost.PROTOCOL_ERROR, 1009)


@pytest.mark.parametrize("fragments", [1, 40])
def test_a_message_beyond_the_bound_ends_the_connection(fragments: int) -> None:
    """In one frame or in many, it is not buffered."""

    async def handler(server: ServerConnection) -> None:
        size = (2 << 20) // fragments
        parts = ["x" * size] * fragments
        await server.send(parts if fragments > 1 else parts[0])
        await server.wait_closed()

    async def main() -> ConnectionLostError:
        async with serving(handler, compression=None) as url:
            socket = await connect(url, clock=SystemClock(), max_message=1 << 20)
            lost = await loss(socket)
            await socket.close()
            return lost

    lost = run(main())
    assert (lost.reason, lost.code) == (Lost.PROTOCOL_ERROR, 1009)


def test_blocking_holds_the_sender_back_and_loses_nothing() -> None:
    """A reader that stays away stops the reading; memory stays bounded, every message comes."""
    total, received = 5000, list[float]()

    async def handler(server: ServerConnection) -> None:
        for number in range(total):
            await server.send(f"{number:5d}" + "x" * 1000)
        await server.wait_closed()

    async def main() -> list[bytes]:
        async with serving(handler, compression=None) as url:
            socket = await connect(
                url,
                clock=SystemClock(),
                bounds=ReceiveQueueBounds(frames=100, size=1 << 30),
                meter=ReceiveQueueMeter(received=received.append),
            )
            await asyncio.sleep(0.3)
            assert sum(received) < 100 * 1005 + (300 << 10)
            frames = await collect(socket, total)
            await socket.close()
            return frames

    assert [int(frame[:5]) for frame in run(main())] == list(range(total))


@pytest.mark.parametrize("policy", [QueuePolicy.DROP_OLDEST, QueuePolicy.DROP_NEWEST])
@pytest.mark.parametrize(("frames", "size"), [(100, 1 << 30), (10_000, 100_000)])
def test_dropping_is_bounded_and_counted(policy: QueuePolicy, frames: int, size: int) -> None:
    """By count or by bytes: what is there plus what was dropped is what was sent.

    A hole stands where those that were dropped would have stood.
    """
    total, dropped, depth = 3000, list[float](), list[float]()
    done = asyncio.Event()

    def count(frames: float) -> None:
        dropped.append(frames)
        if sum(dropped) >= total - 100:
            done.set()

    async def handler(server: ServerConnection) -> None:
        for number in range(total):
            await server.send(f"{number:5d}" + "x" * 995)
        await server.wait_closed()

    async def main() -> list[bytes]:
        async with serving(handler, compression=None) as url:
            socket = await connect(
                url,
                clock=SystemClock(),
                bounds=ReceiveQueueBounds(frames=frames, size=size, policy=policy),
                meter=ReceiveQueueMeter(dropped=count, depth=depth.append),
            )
            async with asyncio.timeout(60):
                await done.wait()
            kept = await collect(socket, 1)
            await socket.close()
            return kept

    kept = [int(frame[:5] or -1) for frame in run(main())]
    assert depth == [101]
    assert sum(dropped) == total - 100
    assert kept == (
        [*range(100), -1] if policy is QueuePolicy.DROP_NEWEST else [-1, *range(total - 100, total)]
    )


def test_a_refused_handshake_keeps_the_answer() -> None:
    """Status, headers and the body that came along: what they mean is the venue's to say."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 429 Too Many Requests\r\nRetry-After:  30\r\nServer: x\r\n\r\n"
            b"access too frequent"
        )
        await writer.drain()

    async def main() -> Answer | None:
        async with raw(refuse) as url:
            with pytest.raises(ConnectionLostError) as lost:
                await connect(url, clock=SystemClock())
            return lost.value.answer

    answer = run(main())
    assert answer is not None
    assert (answer.status, answer.body) == (429, b"access too frequent")
    assert answer.headers == {"retry-after": "30", "server": "x"}


def test_absurd_bounds_are_refused() -> None:
    """No room, or a policy that needs decoded messages: said at the start."""
    with pytest.raises(ValueError, match="needs room"):
        ReceiveQueueBounds(frames=0)
    with pytest.raises(ValueError, match="needs one"):
        ReceiveQueueBounds(policy=QueuePolicy.COALESCE)


# --- endings ----------------------------------------------------------------------------------


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


# --- keepalives -------------------------------------------------------------------------------


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


# --- opening ----------------------------------------------------------------------------------


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

    async def attempt(url: str) -> str:
        with pytest.raises(ConnectionLostError) as raised:
            await connect(url, clock=SystemClock(), timeout=0.3)
        return raised.value.detail

    async def main() -> None:
        for script, detail in ((never, "0.3 s"), (teapot, "418"), (noise, ""), (forged, "")):
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
            task = tasks.create_task(connect(url, clock=SystemClock(), timeout=0.5))
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
