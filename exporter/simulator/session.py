"""One WebSocket client of a simulated venue: subscriptions, keepalive, limits, a bounded buffer.

Frames to the client are written unmasked by hand, many in one write: the library's own path costs
ten times as much a frame. The handshake, the client's frames, pings and closes are the library's.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from exporter.simulator.damage import frame
from exporter.simulator.spec import Query

if TYPE_CHECKING:
    from exporter.simulator.spec import SimulatedFeed
    from exporter.simulator.venue_server import VenueServer

_CLOSE_WAIT = 2.0  # seconds for the client's close frame
_serials = itertools.count(1)


class SimulatedSession:
    """One open stream."""

    def __init__(
        self,
        desk: VenueServer,
        transport: asyncio.Transport,
        protocol: ServerProtocol,
        *,
        path: str,
        query: Query,
        client: str,
    ) -> None:
        self.desk, self.path, self.query, self.client = desk, path, query, client
        self.id = f"{next(_serials):08x}"
        self.feeds: dict[str, SimulatedFeed] = {}
        self.names: list[str] = []  # topics that were acknowledged but do not exist
        self.told = ""  # the venue's state as this client last heard it
        # Rows of the channels of states that it subscribed to, as it last heard of them.
        self.heard_of: dict[str, dict[str, Mapping[str, object]]] = {}
        self.operations = 0  # subscribe and unsubscribe requests so far
        self._transport, self._protocol = transport, protocol
        self._pending: list[bytes] = []
        self._awaited: bytes | None = None  # the payload of the ping that wants its pong
        now = time.monotonic()
        self.opened = self.heard = self.pushed = self._pinged = now
        self._closing: float | None = None

    @property
    def state(self) -> str:
        """The connection's state, for the control API."""
        return self._protocol.state.name.lower()

    # --- from the client ---------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take bytes from the network."""
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._frame(event)
        self._write_protocol()
        self.flush()

    def _frame(self, event: Frame) -> None:
        self.heard = time.monotonic()
        wire, now = self.desk.wire, self.desk.nanos() / 1e9
        if wire.incoming and self.desk.limited and event.opcode is not Opcode.CLOSE:
            usage = self.desk.usage.spend(self.id, "frames", 1, wire.incoming, now)
            if usage.used > usage.limit:
                self.desk.events["too_many_frames"] += 1
                self.close(1008, "Too many requests")
                return
        match event.opcode:
            case Opcode.PONG if bytes(event.data) == self._awaited:
                self._awaited = None
            case Opcode.TEXT:
                if self._protocol.state is State.OPEN:
                    self.desk.events["client_messages"] += 1
                    wire.received(self, bytes(event.data).decode("utf-8", "replace"))

    # --- to the client -----------------------------------------------------------------------

    def reply(self, text: str, *, keepalive: bool = False) -> None:
        """Send a control message: an ack, an error, a text pong."""
        if not (self.desk.faults and self.desk.silent(keepalive)):
            self.push(frame(text.encode()))

    def push(self, blob: bytes) -> None:
        """Queue whole frames for the next write."""
        self._pending.append(blob)
        self.desk.dirty.add(self)

    def flush(self) -> None:
        """Write what is queued; a client that does not read is cut off, as the venues do."""
        if not self._pending:
            return
        blob = b"".join(self._pending)
        self._pending.clear()
        if self._protocol.state is not State.OPEN or self._transport.is_closing():
            return
        self.pushed = time.monotonic()
        self._transport.write(blob)
        if self._transport.get_write_buffer_size() > self.desk.buffer_limit:
            self.desk.events["slow_consumers"] += 1
            self.reset()

    def subscribe(self, feed: SimulatedFeed) -> bool:
        """Subscribe to a feed; False where a fault rejects it."""
        return self.desk.subscribe(self, feed)

    def unsubscribe(self, key: str) -> None:
        """Unsubscribe from a feed."""
        self.desk.unsubscribe(self, key)

    def open(self, feed: SimulatedFeed) -> None:
        """Send what a feed begins with; to be called after the ack."""
        self.desk.open(self, feed)

    # --- the end -----------------------------------------------------------------------------

    def close(self, code: int, reason: str) -> None:
        """Close with a code; 1006 cuts the connection without a word."""
        self.flush()
        if code == 1006:
            self._transport.abort()
            return
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code, reason)
            self._closing = time.monotonic()
            self._write_protocol()

    def reset(self) -> None:
        """Cut the connection with a TCP reset."""
        reset(self._transport)

    def lost(self) -> None:
        """Release everything that it holds."""
        for key in list(self.feeds):
            self.desk.unsubscribe(self, key)
        self.desk.sessions.discard(self)
        self.desk.dirty.discard(self)

    def tend(self, now: float) -> None:
        """Ping, and close what is idle, too old or unresponsive; ``now`` is monotonic."""
        wire, lifetime = self.desk.wire, self.desk.lifetime
        wire.tended(self, now)
        if self._closing is not None:
            if now - self._closing > _CLOSE_WAIT:
                self._transport.abort()
            return
        if lifetime is not None and now - self.opened >= lifetime:
            self.desk.events["lifetime_ended"] += 1
            self.close(1001, "connection lifetime reached")
        elif wire.idle_limit is not None and now - max(self.heard, self.pushed) >= wire.idle_limit:
            self.desk.events["idle_closed"] += 1
            self.close(4004, f"No data received in {wire.idle_limit:g}s.")
        elif self._awaited is not None and now - self._pinged >= wire.pong_within:
            self.desk.events["pong_missing"] += 1
            self.close(1008, "Pong timeout")
        elif (
            wire.ping_every is not None
            and self._awaited is None
            and now - self._pinged >= wire.ping_every
        ):
            self._awaited = str(self.desk.millis()).encode()
            self._pinged = now
            self._protocol.send_ping(self._awaited)
            self._write_protocol()

    def _write_protocol(self) -> None:
        # A close must not overtake the frames before it.
        if out := self._protocol.data_to_send():
            if self._pending:
                self._transport.write(b"".join(self._pending))
                self._pending.clear()
            for piece in out:
                if piece:
                    self._transport.write(piece)
                elif self._transport.can_write_eof():
                    self._transport.write_eof()


def reset(transport: asyncio.BaseTransport) -> None:
    """End a TCP connection with a reset instead of an orderly close."""
    sock = transport.get_extra_info("socket")
    if sock is not None and not transport.is_closing():
        # Lingering for zero seconds discards what is unsent and sends RST (socket(7)).
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if isinstance(transport, asyncio.Transport):
        transport.abort()
