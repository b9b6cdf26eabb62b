"""A peer that does its worst: endless answers, bombs, floods and false certificates."""

from __future__ import annotations

import asyncio
import ssl
import threading
import zlib
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from websockets.utils import accept_key

from exporter.web.connection_limits import abort

CERTIFICATES = Path(__file__).parents[1] / "http" / "certificates"
OK = b"HTTP/1.1 200 OK\r\n"
FRAME_OF_A_GIGABYTE = b"\x81\x7f" + (1 << 30).to_bytes(8, "big")
TINY_FRAMES = b"\x81\x02{}" * 100_000
CLOSES = b"\x88\x02\x03\xe8" * 10_000
# The last names no address that its certificate does.
_PLACES = {
    "plain": ("127.0.0.1", None),
    "expired": ("127.0.0.1", "expired.pem"),
    "self_signed": ("127.0.0.1", "self_signed.pem"),
    "wrong_name": ("127.0.0.2", "valid.pem"),
}
_NAUGHT = bytes(1 << 20)
# Attacks, each with the reason that its exchange gives for it.
PROBES = {
    "endless_body": "body_invalid",
    "endless_headers": "body_invalid",
    "endless_line": "body_invalid",
    "endless_interim": "body_invalid",
    "endless_chunk_size": "body_invalid",
    "zip_bomb": "body_invalid",
    "trickle": "read_timeout",
}
CERTIFIED = {"wrong_name": "tls", "self_signed": "tls", "expired": "cert_expired"}
STREAMS = {
    "giant_frame": "protocol_error",
    "endless_fragments": "protocol_error",
    "frame_bomb": "protocol_error",
    "close_flood": "server_close",
    "ping_flood": "protocol_error",
}
FLOODS = ("tiny_frames", "endless_handshake")


def _gzip_bomb(size: int) -> bytes:
    """Return ``size`` bytes of nothing, a thousandth as long."""
    packer = zlib.compressobj(9, wbits=31)
    parts = [packer.compress(_NAUGHT) for _ in range(size >> 20)]
    return b"".join(parts) + packer.flush()


def _frame_bomb(size: int) -> bytes:
    """Return one compressed WebSocket message that inflates to ``size`` bytes."""
    packer = zlib.compressobj(9, wbits=-15)
    parts = b"".join(packer.compress(_NAUGHT) for _ in range(size >> 20))
    squeezed = (parts + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]
    return b"\xc2\x7f" + len(squeezed).to_bytes(8, "big") + squeezed


async def _for_ever(writer: Writer, piece: bytes) -> None:
    while not writer.transport.is_closing():
        writer.write(piece)
        await writer.drain()


@dataclass
class Hostile:
    """The peer: calm but for the attacks in ``angry``. ``visits`` counts connections by attack."""

    angry: set[str] = field(default_factory=set)
    visits: dict[str, int] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    writers: set[Writer] = field(default_factory=set)
    _bombs: tuple[bytes, bytes] = field(
        default_factory=lambda: (_gzip_bomb(1 << 30), _frame_bomb(1 << 28))
    )

    async def meet(self, reader: Reader, writer: Writer) -> None:
        """Do to one connection what its path names, or answer well while calm."""
        self.writers.add(writer)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            attack = head.split()[1].strip("/").split("/")[0]
            self.visits[attack] = self.visits.get(attack, 0) + 1
            if "upgrade: websocket" in head.lower():
                await self._stream(attack, head, reader, writer)
            elif attack in self.angry:
                await self._answer(attack, writer)
            else:
                writer.write(OK + b"Content-Length: 2\r\nConnection: close\r\n\r\n{}")
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # they let go of us, as they should
        finally:
            self.writers.discard(writer)
            abort(writer.transport)

    async def _answer(self, attack: str, writer: Writer) -> None:
        match attack:
            case "endless_body":
                writer.write(OK + b"Connection: close\r\n\r\n")
                await _for_ever(writer, _NAUGHT)
            case "endless_headers":
                writer.write(OK)
                await _for_ever(writer, b"X-Padding: " + b"x" * 4000 + b"\r\n")
            case "endless_line":
                await _for_ever(writer, b"x" * 65536)
            case "endless_interim":
                await _for_ever(writer, b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)
            case "endless_chunk_size":
                writer.write(OK + b"Transfer-Encoding: chunked\r\n\r\n")
                await _for_ever(writer, b"0" * 65536)
            case "zip_bomb":
                head = f"Content-Encoding: gzip\r\nContent-Length: {len(self._bombs[0])}\r\n\r\n"
                writer.write(OK + head.encode() + self._bombs[0])
                await writer.drain()
            case "trickle":
                for byte in OK * 1000:
                    if writer.transport.is_closing():
                        break
                    writer.write(bytes([byte]))
                    await asyncio.sleep(0.1)

    async def _stream(self, attack: str, head: str, reader: Reader, writer: Writer) -> None:
        if attack == "endless_handshake" and attack in self.angry:
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\n")
            await _for_ever(writer, b"X-Padding: " + b"x" * 4000 + b"\r\n")
        lines = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
        key = next(
            line for line in head.split("\r\n") if line.lower().startswith("sec-websocket-k")
        )
        deflate = "permessage-deflate" in lines.get("sec-websocket-extensions", "")
        extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n" if deflate else ""
        writer.write(
            (
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Accept: {accept_key(key.split(': ')[1])}\r\n{extension}\r\n"
            ).encode()
        )
        while attack not in self.angry:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    if not await reader.read(65536):
                        return  # they have gone
        match attack:
            case "giant_frame":
                writer.write(FRAME_OF_A_GIGABYTE)
                await _for_ever(writer, _NAUGHT)
            case "endless_fragments":
                writer.write(b"\x01\x01x")
                await _for_ever(writer, b"\x00\x7e\xff\xff" + b"x" * 65535)
            case "frame_bomb":
                writer.write(self._bombs[1])
            case "tiny_frames":
                writer.write(TINY_FRAMES)
            case "close_flood":
                writer.write(CLOSES)
            case "ping_flood":
                await _for_ever(writer, b"\x89\x7d" + b"p" * 125)
            case "endless_handshake":
                return  # it is for the next connection
        await writer.drain()
        await asyncio.sleep(5.0)


def exchanges(peer: Hostile) -> Iterator[str]:
    """Yield the rows of a config that watches it, one exchange for each attack."""
    for name in PROBES:
        url = f"http://127.0.0.1:{peer.ports['plain']}/{name}"
        yield (
            f"- {{name: {name}, venue: binance, streams: [], status_page: false, "
            f"breaker: {{failures: 1000}}, limits: {{weight: 100000, share: 100%}}, "
            f"endpoints: [{{name: ping, url: '{url}'}}]}}"
        )
    for name in CERTIFIED:
        host = "127.0.0.2" if name == "wrong_name" else "127.0.0.1"
        where = f"{host}:{peer.ports[name]}/{name}"
        yield (
            f"- {{name: {name}, venue: binance, symbols: [BTC-USDT], status_page: false, "
            f"breaker: {{failures: 1000}}, limits: {{weight: 100000, share: 100%}}, "
            f"endpoints: [{{name: ping, url: 'https://{where}'}}], stream_url: 'wss://{where}'}}"
        )
    for name in (*STREAMS, *FLOODS):
        url = f"ws://127.0.0.1:{peer.ports['plain']}/{name}"
        yield (
            f"- {{name: {name}, venue: binance, symbols: [BTC-USDT], endpoints: [], "
            f"status_page: false, stream_url: '{url}', streams: [{{channels: [trades]}}]}}"
        )


@contextmanager
def hostile() -> Iterator[Hostile]:
    """Run the peer in a thread: plain, and over TLS with each certificate."""
    peer, started = Hostile(), threading.Event()
    stops: list[Callable[[], object]] = []

    def run() -> None:
        asyncio.run(main())

    async def main() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: None)  # broken handshakes are the point
        stops.append(lambda: loop.call_soon_threadsafe(stop.set))
        async with AsyncExitStack() as servers:
            for name, (address, certificate) in _PLACES.items():
                context = None
                if certificate is not None:
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    context.load_cert_chain(CERTIFICATES / certificate)
                server = await asyncio.start_server(peer.meet, address, 0, ssl=context)
                servers.callback(server.close)
                peer.ports[name] = server.sockets[0].getsockname()[1]
            started.set()
            await stop.wait()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            for writer in list(peer.writers):
                abort(writer.transport)
            await asyncio.sleep(0.1)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(60)
    try:
        yield peer
    finally:
        stops[0]()
        thread.join(5.0)
