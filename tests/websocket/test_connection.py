"""What a WebSocket connection delivers, and its bounds, against real servers on loopback."""

from __future__ import annotations

import asyncio
import random
import zlib
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode

from exporter.clock import SystemClock
from exporter.contracts import ConnectionLostError
from exporter.model import Answer, Lost, QueuePolicy
from exporter.websocket.client import connect
from exporter.websocket.receive_queue import ReceiveQueueBounds, ReceiveQueueMeter
from tests.websocket.servers import collect, loss, raw, run, serving, upgrade


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
