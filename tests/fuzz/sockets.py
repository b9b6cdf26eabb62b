"""A WebSocket without a network: frames go into the connection as they would be read from one."""

from __future__ import annotations

import asyncio
import atexit
import zlib
from collections.abc import Iterator, Sequence
from functools import cache

from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
)
from websockets.uri import parse_uri
from websockets.utils import accept_key

from exporter.clock import SystemClock
from exporter.contracts import ConnectionLostError
from exporter.flow.stalls import UNWATCHED
from exporter.websocket.assembler import DATA_HEADS, MessageAssembler, MessageError, is_utf8
from exporter.websocket.connection import HEADERS, WebSocket
from exporter.websocket.receive_queue import SILENT, ReceiveQueueBounds

LIMIT = 4096  # bytes of a message
_URI = parse_uri("ws://venue.example/")
_MESSAGES = (b'{"e": "trade", "p": "64000.5"}', "ä€😀".encode(), b"", b"x" * 300, bytes(4000))


def frame(head: int, payload: bytes) -> bytes:
    """Return one unmasked frame; ``head`` is its first byte."""
    size = len(payload)
    if size < 126:
        return bytes((head, size)) + payload
    return bytes((head, 126)) + size.to_bytes(2, "big") + payload


def _compressed(*messages: bytes, cut: int, how: int) -> bytes:
    """Return messages of one DEFLATE context, each in fragments of ``cut`` bytes."""
    packer, wire = zlib.compressobj(wbits=-15), b""
    for message in messages:
        if how == zlib.Z_FINISH:
            packer = zlib.compressobj(wbits=-15)
        squeezed = packer.compress(message) + packer.flush(how)
        squeezed = squeezed.removesuffix(b"\x00\x00\xff\xff")
        pieces = [squeezed[at : at + cut] for at in range(0, len(squeezed), cut)]
        for number, piece in enumerate(pieces):
            last = 0x80 if number == len(pieces) - 1 else 0
            wire += frame(last | (0 if number else 0x42), piece)
    return wire


@cache
def seeds() -> Sequence[bytes]:
    """Return sound sequences of frames: whole, fragmented, compressed, with control frames."""
    whole = b"".join(frame(0x81, each) for each in _MESSAGES) + frame(0x82, b"\xff\xfe")
    parts = b"".join(
        frame(0x01, each[:1]) + frame(0x89, b"p") + frame(0x00, each[1:9]) + frame(0x80, each[9:])
        for each in _MESSAGES
    )
    return (
        whole,
        parts,
        whole + frame(0x8A, b"") + frame(0x88, b"\x03\xe8bye"),
        _compressed(*_MESSAGES, cut=7, how=zlib.Z_SYNC_FLUSH),
        _compressed(*_MESSAGES, cut=10_000, how=zlib.Z_SYNC_FLUSH),
        _compressed(*_MESSAGES, cut=50, how=zlib.Z_FINISH),
    )


def _frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Cut data frames out of ``data`` as leniently as can be: what is missing is empty."""
    at = 0
    while at < len(data):
        head, size = data[at], data[at + 1] & 127 if at + 1 < len(data) else 0
        at += 2
        if size == 126:
            size, at = int.from_bytes(data[at : at + 2], "big"), at + 2
        if head in DATA_HEADS:
            yield head, data[at : at + size]
        at += size


def assemble(data: bytes) -> None:
    """Put messages together: within the limit, texts are UTF-8, and a refusal leaves nothing."""
    for takeover in (False, True):
        messages = MessageAssembler(LIMIT)
        messages.agree([PerMessageDeflate(takeover, False, 15, 15)])
        for head, payload in _frames(data):
            try:
                message = messages.add(head, payload)
            except MessageError:
                messages.forget()
                assert not messages.open
                continue
            assert message is None or len(message) <= LIMIT
            if message is not None and head & 0x8F == 0x81 and not head & 0x40:
                assert is_utf8(message)


class _Wire(asyncio.Transport):
    """Keeps what is sent. Closed, it gives nothing more."""

    def __init__(self) -> None:
        super().__init__()
        self.sent, self.closed = bytearray(), False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def pause_reading(self) -> None:
        """Never: the queue is longer than what is fuzzed."""

    resume_reading = pause_reading


def _but_pongs(sent: bytes | bytearray) -> bytes:
    """Return head and length of each frame but pongs: one may answer several pings, or none."""
    found, at = b"", 0
    while at < len(sent):
        if sent[at] != 0x8A:
            found += sent[at : at + 2]
        at += 6 + (sent[at + 1] & 127)
    return found


async def _received(data: bytes, step: int) -> tuple[list[bytes], str, bytes]:
    """Return the messages of a connection, why it ended, and the frames that we sent."""
    protocol = ClientProtocol(_URI, extensions=[ClientPerMessageDeflateFactory()], max_size=LIMIT)
    socket = WebSocket(
        protocol,
        clock=SystemClock(),
        headers=HEADERS,
        max_message=LIMIT,
        bounds=ReceiveQueueBounds(),
        meter=SILENT,
        ping_every=None,
        ping_timeout=1.0,
        close_timeout=0.0,
        on_ping_rtt=lambda rtt: None,
        stalls=UNWATCHED,
    )
    wire = _Wire()
    socket.connection_made(wire)
    answer = (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept_key(protocol.key)}\r\n"
        "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    ).encode()
    _feed(socket, wire, answer)
    del wire.sent[:]
    for at in range(0, len(data), step):
        _feed(socket, wire, data[at : at + step])
    socket.connection_lost(None)
    await socket.opened
    got: list[bytes] = []
    try:
        while True:
            await socket.receive(lambda batch: got.extend(each for _, each in batch) or False)  # type: ignore[func-returns-value]  # None is False
    except ConnectionLostError as error:
        return got, f"{error.reason} {error.code}", _but_pongs(wire.sent)


def _feed(socket: WebSocket, wire: _Wire, data: bytes) -> None:
    while data and not wire.closed:
        room = socket.get_buffer(-1)
        size = min(len(room), len(data))
        room[:size] = data[:size]
        socket.buffer_updated(size)
        data = data[size:]


@cache
def _runner() -> asyncio.Runner:
    runner = asyncio.Runner()
    atexit.register(runner.close)
    return runner


def connect(data: bytes) -> None:
    """Read frames in one piece and in many: the same messages and the same end of it."""
    whole = _runner().run(_received(data, max(1, len(data))))
    pieces = _runner().run(_received(data, max(1, len(data) // 7)))
    assert whole == pieces, (whole, pieces)
    messages, _, _ = whole
    assert all(len(each) <= LIMIT for each in messages)
