"""The server's side of one TCP connection: HTTP/1.1 by hand, and the step up to WebSocket.

By hand, because a venue that misbehaves needs what a proper server forbids: no answer, a reset,
a body that drips or never ends. It is also ten times quicker to load.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import Protocol
from urllib.parse import parse_qsl, unquote

from websockets.http11 import Request as Handshake
from websockets.server import ServerProtocol

from exporter.simulator.session import SimulatedSession, reset
from exporter.simulator.spec import Manner, SimulatedReply, SimulatedRequest

_MOST_HEAD = 16 * 1024
_MOST_BODY = 1024 * 1024
_ENDLESS = 1 << 30  # bytes after which even an endless body ends
_CHUNK = b"10000\r\n" + b" " * 0x10000 + b"\r\n"


class VenueHandler(Protocol):
    """Who answers: the simulator as a whole."""

    def answer(self, request: SimulatedRequest) -> SimulatedReply:
        """Answer a request; its path is the full one."""

    def welcome(
        self,
        request: SimulatedRequest,
        accept: Callable[[], tuple[asyncio.Transport, ServerProtocol]],
    ) -> SimulatedSession | SimulatedReply:
        """Open a session for a handshake, which ``accept`` completes, or refuse it."""

    def clock(self, path: str) -> float:
        """Return the wall clock of the venue that serves a path, epoch seconds."""

    def joined(self, peer: Peer) -> bool:
        """Register a connection; return False if there are too many."""

    def left(self, peer: Peer) -> None:
        """Register the end of a connection."""


class Peer(asyncio.Protocol):
    """One TCP connection."""

    def __init__(self, house: VenueHandler, venue: str | None = None) -> None:
        """``venue`` owns the listener it came through; None for the common one."""
        self.house, self.venue = house, venue
        self.session: SimulatedSession | None = None
        self.used = time.monotonic()
        self._buffer = bytearray()
        self._busy = False
        self._writable = True

    # --- asyncio.Protocol --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - create_server gives these
        self.transport = transport
        peername = transport.get_extra_info("peername") or ("?",)
        self.client = str(peername[0])
        if not self.house.joined(self):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self.house.left(self)
        if self.session:
            self.session.lost()

    def pause_writing(self) -> None:
        """Stop an endless body until the client has read."""
        self._writable = False

    def resume_writing(self) -> None:
        """Go on with it."""
        self._writable = True

    def data_received(self, data: bytes) -> None:
        """Take bytes from the network."""
        self.used = time.monotonic()
        if self.session:
            self.session.receive(data)
            return
        self._buffer += data
        if len(self._buffer) > _MOST_HEAD + _MOST_BODY:
            self.transport.abort()
            return
        self._next()

    # --- requests ----------------------------------------------------------------------------

    def _next(self) -> None:
        """Answer all whole requests in the buffer, one after the other."""
        while not self._busy and self.session is None and not self.transport.is_closing():
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0 or end > _MOST_HEAD:
                if max(end, len(self._buffer)) > _MOST_HEAD:
                    self._refuse(431)
                return
            try:
                request, length = _head(bytes(self._buffer[:end]), self.client, self.venue)
            except ValueError:
                self._refuse(400)
                return
            if length > _MOST_BODY:
                self._refuse(413)
                return
            if len(self._buffer) < end + 4 + length:
                return
            head = bytes(self._buffer[: end + 4])
            body = bytes(self._buffer[end + 4 : end + 4 + length])
            del self._buffer[: end + 4 + length]
            if request.headers.get("upgrade", "").lower() == "websocket":
                self._upgrade(head, request)
            else:
                self._busy = True
                answer = SimulatedRequest(
                    method=request.method, path=request.path, query=request.query,
                    headers=request.headers, client=request.client, body=body,
                )  # fmt: skip
                self._deliver(answer, self.house.answer(answer))

    def _upgrade(self, head: bytes, request: SimulatedRequest) -> None:
        def accept() -> tuple[asyncio.Transport, ServerProtocol]:
            # No compression is offered: what is measured here is the client, not zlib.
            protocol = ServerProtocol(max_size=1 << 17)
            protocol.receive_data(head)
            for event in protocol.events_received():
                if isinstance(event, Handshake):
                    protocol.send_response(protocol.accept(event))
            self.transport.write(b"".join(protocol.data_to_send()))
            return self.transport, protocol

        outcome = self.house.welcome(request, accept)
        if isinstance(outcome, SimulatedReply):
            self._busy = True
            self._deliver(request, outcome)
            return
        self.session = outcome
        if self._buffer:
            rest = bytes(self._buffer)
            self._buffer.clear()
            self.session.receive(rest)

    def _refuse(self, status: int) -> None:
        reason = HTTPStatus(status).phrase
        self.transport.write(
            f"HTTP/1.1 {status} {reason}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
        )
        self.transport.close()

    # --- answers -----------------------------------------------------------------------------

    def _deliver(self, request: SimulatedRequest, reply: SimulatedReply) -> None:
        match reply.manner:
            case Manner.SILENT:
                return
            case Manner.RESET:
                reset(self.transport)
                return
        if reply.delay > 0:
            asyncio.get_running_loop().call_later(reply.delay, self._late, request, reply)
        else:
            self._send(request, reply)

    def _late(self, request: SimulatedRequest, reply: SimulatedReply) -> None:
        self._send(request, reply)
        self._next()

    def _send(self, request: SimulatedRequest, reply: SimulatedReply) -> None:
        if self.transport.is_closing():
            return
        endless = reply.manner is Manner.ENDLESS
        last = request.headers.get("connection", "").lower() == "close" or endless
        head = [f"HTTP/1.1 {reply.status} {_phrase(reply.status)}"]
        head.append(f"Content-Type: {reply.content_type}")
        head.append(
            "Transfer-Encoding: chunked" if endless else f"Content-Length: {len(reply.body)}"
        )
        head.append(f"Date: {formatdate(self.house.clock(request.path), usegmt=True)}")
        head += [f"{name}: {value}" for name, value in reply.headers.items()]
        head.append("Connection: close" if last else "Connection: keep-alive")
        start = "\r\n".join(head).encode() + b"\r\n\r\n"
        if request.method == "HEAD":
            self.transport.write(start)
            self._done(last)
            return
        match reply.manner:
            case Manner.SLOW:
                self.transport.write(start)
                self._drip(reply.body, 0, reply.pace, last)
            case Manner.ENDLESS:
                self.transport.write(start)
                self._pour(0)
            case _:
                self.transport.write(start + reply.body)
                self._done(last)

    def _drip(self, body: bytes, at: int, pace: float, last: bool) -> None:
        if self.transport.is_closing():
            return
        if at >= len(body):
            self._done(last)
            self._next()
            return
        self.used = time.monotonic()
        self.transport.write(body[at : at + 1])
        loop = asyncio.get_running_loop()
        loop.call_later(max(pace, 1e-3), self._drip, body, at + 1, pace, last)

    def _pour(self, sent: int) -> None:
        if self.transport.is_closing():
            return
        if sent >= _ENDLESS:
            self.transport.close()
            return
        self.used = time.monotonic()
        if self._writable:
            self.transport.write(_CHUNK)
            sent += len(_CHUNK)
        asyncio.get_running_loop().call_later(1e-3, self._pour, sent)

    def _done(self, last: bool) -> None:
        self._busy = False
        if last:
            self.transport.close()


def _head(head: bytes, client: str, venue: str | None) -> tuple[SimulatedRequest, int]:
    """Read a request's head; return it and its body's length. Raises ValueError.

    On its own listener a venue's paths stand at the root, too, as at the real one: some clients
    join a base URL and a path in a way that loses a prefix.
    """
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, version = first.split(" ")
    if not version.startswith("HTTP/1.") or not target.startswith("/"):
        raise ValueError(first)
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(line)
        headers[name.strip().lower()] = value.strip()
    length = int(headers.get("content-length", "0"))
    if length < 0 or "transfer-encoding" in headers:
        raise ValueError("only bodies of known length are taken")
    path, _, query = target.partition("?")
    pairs = dict(parse_qsl(query, keep_blank_values=True))
    path = unquote(path)
    if venue is not None and path.split("/", 2)[1] not in (venue, "control"):
        path = f"/{venue}{path}"
    return SimulatedRequest(
        method=method, path=path, query=pairs, headers=headers, client=client
    ), length


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
