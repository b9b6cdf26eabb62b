"""WebSocket connections over asyncio, with the protocol of the `websockets` library.

Handshake, control frames and errors are the library's, without its I/O. Data frames never enter
its parser (a generator, a struct and an enum per frame): whole, plain ones are sliced straight out
of what was read, and `message` joins and inflates the others. CPU per message of 198 bytes on a
flooded socket: 0.8 µs, where the library's own client takes 5.7 µs (with its queue of 16 frames or
of 4096) and `picows` on uvloop 1.1 µs (`benchmarks/stream.py`).

Source: RFC 6455, sections 5.2 (framing), 5.5 (control frames), 7.4 (close codes).
"""

from __future__ import annotations

import array
import asyncio
import fcntl
import re
import termios
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import cast

from websockets.client import ClientProtocol
from websockets.frames import CloseCode
from websockets.protocol import State

from exporter.contracts import Clock, ConnectionLostError, LateTime, Take
from exporter.flow.stalls import LoopStalls
from exporter.http.read_buffer import piece
from exporter.model import TAINTED, Answer, Lost
from exporter.websocket.assembler import (
    DATA_HEADS,
    NO_TEXT,
    MessageAssembler,
    MessageError,
    is_utf8,
)
from exporter.websocket.backlog import MUCH, ReadBacklog
from exporter.websocket.keepalive import Keepalive
from exporter.websocket.receive_queue import (
    ReceiveQueue,
    ReceiveQueueBounds,
    ReceiveQueueMeter,
)
from exporter.words import quoted

_WRITE_LIMIT = 1 << 20  # bytes of ours that the other side has not read
_HEAD_LIMIT = 32 << 10  # bytes of a handshake answer
_MOST_PINGS = 1000  # in a second: it is cheap to send them, and each is read
HEADERS: Mapping[str, str] = {"User-Agent": "exchange-exporter"}
_TEXT, _PING, _PONG = 0x81, 0x89, 0x8A  # final, no extension bits
_NO_TEXT = MessageError(CloseCode.INVALID_DATA, NO_TEXT)
_LONG_FORM = MessageError(CloseCode.PROTOCOL_ERROR, "a length that is not in its shortest form")
_WHOLE = frozenset((_TEXT, 0x82))  # text and binary, final, no extension bits


class WebSocket(asyncio.BufferedProtocol):
    """One connection: a `contracts.Socket`. Made by `connect`. Durations in seconds."""

    def __init__(
        self,
        protocol: ClientProtocol,
        *,
        clock: Clock,
        headers: Mapping[str, str],
        max_message: int,
        bounds: ReceiveQueueBounds,
        meter: ReceiveQueueMeter,
        ping_every: float | None,
        ping_timeout: float,
        close_timeout: float,
        on_ping_rtt: Callable[[float | None], None],
        stalls: LoopStalls,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._protocol, self._headers = protocol, headers
        self._wall, self._max_message = clock.wall, max_message
        self._ping_every, self._ping_timeout = ping_every, ping_timeout
        self._close_timeout, self._on_ping_rtt = close_timeout, on_ping_rtt
        self._inbox = ReceiveQueue(
            bounds, meter, now=self._loop.time, pause=self._pause, resume=self._resume
        )
        self._stalls, self._now = stalls, clock.monotonic
        self._backlog = ReadBacklog(self._unread, stalls)
        self._late = False  # whether what was read last may have waited for us
        self._piece = piece()
        self._transport: asyncio.Transport | None = None
        self.opened: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._ending = False
        self._pings, self._pings_since = 0, 0.0  # of one second, by the loop's clock
        self._writable = asyncio.Event()
        self._writable.set()
        # A frame cut off by the end of a read waits here until all of it is there.
        self._parts: list[bytes] = []
        self._have = self._need = 0
        self._messages = MessageAssembler(max_message)  # the fragmented and the compressed ones
        self._heartbeat: Keepalive | None = None

    # --- what asyncio calls -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the handshake."""
        self._transport = cast(asyncio.Transport, transport)
        request = self._protocol.connect()
        request.headers.update(self._headers)
        self._protocol.send_request(request)
        self._flush()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend what is read into."""
        return self._piece

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read: whole frames to the inbox, the rest kept."""
        data = bytes(self._piece[:nbytes])
        now = self._now()
        if nbytes >= MUCH or self._backlog.behind or now > self._stalls.overdue:
            self._late = self._backlog.read(nbytes, now) > TAINTED
        else:
            self._late = False
        if self._need:
            self._parts.append(data)
            self._have += nbytes
            if self._have < self._need:
                return
            data = b"".join(self._parts)
            self._parts.clear()
            self._need = 0
        if self._protocol.state is State.CONNECTING:
            self._handshake(data)
        else:
            self._frames(data)

    def eof_received(self) -> None:
        """Let the transport close; `connection_lost` says the rest."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Name the reason, unless it is known already, and let everyone go on."""
        if self._heartbeat is not None:
            self._heartbeat.stop()
        detail = "connection closed without a close frame" if exc is None else str(exc)
        self._lost(Lost.NETWORK, detail, None if exc else 1006)
        self._writable.set()
        if not self._ended.done():
            self._ended.set_result(None)

    def pause_writing(self) -> None:
        """Hold `send` back."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let `send` go on."""
        self._writable.set()

    # --- reading ------------------------------------------------------------------------------

    def _handshake(self, data: bytes) -> None:
        end = data.find(b"\r\n\r\n") + 4
        if end < 4 and len(data) < _HEAD_LIMIT:
            self._keep(data, len(data) + 1)
            return
        status = data[: data.find(b"\r")][:60]
        if not status.startswith(b"HTTP/1.1 101"):
            # Of its body what came with the head must do: it may never end.
            detail = f"handshake refused: {quoted(status)}"
            self._lost(Lost.NETWORK, detail, answer=_refusal(data[:end], data[end:]))
            self._fail(Lost.NETWORK, detail)
            return
        if end < 4:
            self._fail(Lost.PROTOCOL_ERROR, f"handshake: more than {_HEAD_LIMIT} bytes of headers")
            return
        self._protocol.receive_data(data[:end])
        if self._protocol.handshake_exc is not None:
            self._fail(Lost.PROTOCOL_ERROR, f"handshake: {self._protocol.handshake_exc}")
            return
        self._protocol.events_received()
        self._messages.agree(self._protocol.extensions)
        self.opened.set_result(None)
        if self._ping_every is not None:
            timeout = self._ping_timeout
            self._heartbeat = Keepalive(
                every=self._ping_every,
                timeout=timeout,
                send=self._ping,
                on_rtt=self._on_ping_rtt,
                on_timeout=lambda: self._fail(Lost.PING_TIMEOUT, f"no pong within {timeout:g} s"),
                excused=lambda: self._inbox.paused or self._unread() > 0,
            )
        if end < len(data):
            self._frames(data[end:])

    def _frames(self, data: bytes) -> None:
        """Cut whole frames out of ``data``. The hottest loop of the transport."""
        received = LateTime(self._wall()) if self._late else self._wall()
        append = self._inbox.frames.append
        whole, max_message, plain = _WHOLE, self._max_message, not self._messages.open
        at, end, size = 0, len(data), 0  # size: of the payloads
        ping, pings = b"", 0
        while True:
            if end - at < 2:
                need = 2
                break
            length = data[at + 1]
            start = at + 2
            if length >= 126:
                if length > 127:  # masked, which the library refuses by name
                    self._special(data[at:start])
                    return
                start = at + (4 if length == 126 else 10)
                if start > end:
                    need = start - at
                    break
                wide, length = length == 127, int.from_bytes(data[at + 2 : start], "big")
                if length < 126 or (wide and length < 1 << 16):
                    self._refuse(_LONG_FORM)
                    return
                if length > max_message:  # refused by the library before it is buffered
                    self._special(data[at:start])
                    return
            stop = start + length
            if stop > end:
                need = stop - at
                break
            head = data[at]
            if plain and head in whole:
                payload = data[start:stop]
                if head == _TEXT and not payload.isascii() and not is_utf8(payload):
                    self._refuse(_NO_TEXT)
                    return
                append((received, payload))
                size += length
            elif head in DATA_HEADS:
                size += self._gather(head, data[start:stop], received)
                if self._ending:
                    return
                plain = not self._messages.open
            elif head == _PING and length < 126:
                ping, pings = data[start:stop], pings + 1
            elif head == _PONG and length < 126:
                if self._heartbeat is not None:
                    self._heartbeat.pong(data[start:stop], late=self._late)
            else:
                self._special(data[at:stop])
                if self._ending:
                    return
            at = stop
        if self._inbox.frames:
            self._inbox.added(size)
        if pings:
            self._pong(ping, pings)
            if self._ending:
                return
        if at < end and need > end - at:
            self._keep(data[at:], need)

    def _unread(self) -> int:
        """Return how many bytes wait in the kernel; 0 where it does not say."""
        transport, size = self._transport, array.array("i", [0])
        socket = None if transport is None else transport.get_extra_info("socket")
        if socket is not None:
            with suppress(OSError, ValueError):  # it is closed already
                fcntl.ioctl(socket.fileno(), termios.FIONREAD, size)
        return size[0]

    def _keep(self, data: bytes, need: int) -> None:
        self._parts.append(data)
        self._have, self._need = len(data), need

    def _gather(self, head: int, payload: bytes, received: float) -> int:
        """Take a data frame that is no whole message as it stands; return the bytes of that."""
        try:
            message = self._messages.add(head, payload)
        except MessageError as error:
            self._refuse(error)
            return 0
        if message is None:
            return 0
        self._inbox.frames.append((received, message))
        return len(message)

    def _pong(self, newest: bytes, count: int) -> None:
        """Answer pings: of several the newest alone may be (RFC 6455, section 5.5.3)."""
        now = self._loop.time()
        if now - self._pings_since >= 1.0:
            self._pings, self._pings_since = 0, now
        self._pings += count
        if self._pings > _MOST_PINGS:
            self._fail(Lost.PROTOCOL_ERROR, f"more than {_MOST_PINGS} pings in a second")
        elif self._protocol.state is State.OPEN:
            self._protocol.send_pong(newest)
            self._flush()

    def _refuse(self, error: MessageError) -> None:
        """End the connection for what may not be sent, and tell the other side why."""
        self._messages.forget()
        self._protocol.fail(error.code, str(error))
        self._flush()
        self._fail(Lost.PROTOCOL_ERROR, str(error), int(error.code))

    def _special(self, frame: bytes) -> None:
        """Hand one frame that carries no data, or is not allowed, to the library."""
        protocol = self._protocol
        protocol.receive_data(frame)
        protocol.events_received()  # nothing that is not known: a close shows in its state
        self._flush()
        if protocol.state is not State.OPEN:
            self._closing()

    def _closing(self) -> None:
        """End the connection that the other side closed, or that broke the protocol."""
        protocol = self._protocol
        if protocol.parser_exc is not None:
            # Its traceback holds what was read or inflated so far, megabytes for each attack.
            protocol.parser_exc.__traceback__ = protocol.parser_exc.__context__ = None
            code = None if protocol.close_sent is None else int(protocol.close_sent.code)
            self._fail(Lost.PROTOCOL_ERROR, str(protocol.parser_exc)[:200], code)
        elif protocol.close_rcvd is not None:
            close = protocol.close_rcvd
            self._fail(Lost.SERVER_CLOSE, close.reason[:200], int(close.code))

    # --- writing ------------------------------------------------------------------------------

    def _flush(self) -> None:
        transport = self._transport
        writes = [part for part in self._protocol.data_to_send() if part]
        if transport is None or transport.is_closing():
            return
        try:
            for part in writes:
                transport.write(part)
        except RuntimeError:  # uvloop has closed it already, and says so in a moment
            return
        if transport.get_write_buffer_size() > _WRITE_LIMIT:
            self._fail(Lost.NETWORK, "the other side reads nothing")

    def _ping(self, payload: bytes) -> None:
        self._protocol.send_ping(payload)
        self._flush()

    # --- ending -------------------------------------------------------------------------------

    def _lost(
        self, reason: Lost, detail: str, code: int | None = None, answer: Answer | None = None
    ) -> None:
        lost = ConnectionLostError(reason, detail, code, answer)
        if not self.opened.done():
            self.opened.set_exception(lost)
        self._inbox.end(lost)

    def _fail(self, reason: Lost, detail: str, code: int | None = None) -> None:
        self._lost(reason, detail, code)
        self._ending = True
        self._messages.forget()
        self._parts.clear()
        if self._heartbeat is not None:
            self._heartbeat.stop()
        if self._transport is not None:
            # What was written is still flushed, the close frame that says why among it. A second
            # close would leave Python 3.11.2's TLS transport unable to abort.
            if not self._transport.is_closing():
                self._transport.close()
            self._loop.call_later(self._close_timeout, self._transport.abort)

    def _pause(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._backlog.pause(self._now())
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    # --- contracts.Socket ---------------------------------------------------------------------

    async def send(self, frame: str) -> None:
        """Send one text message. Raises ConnectionLostError, also when it cannot leave in time."""
        if self._inbox.lost is not None:
            raise self._inbox.lost
        self._protocol.send_text(frame.encode())
        self._flush()
        if not self._writable.is_set():
            try:
                async with asyncio.timeout(self._close_timeout):
                    await self._writable.wait()
            except TimeoutError:
                self._fail(Lost.NETWORK, "the other side reads nothing")
        if self._inbox.lost is not None:
            raise self._inbox.lost

    async def receive(self, take: Take) -> None:
        """Pass what is read to ``take``, as it is read, until that has had enough."""
        await self._inbox.hand_over(take)

    def abort(self) -> None:
        """Let go at once."""
        if self._transport is not None:
            self._transport.abort()

    async def close(self) -> None:
        """Close politely, within the close timeout; then let go."""
        if self._transport is None:
            return
        self._inbox.end(ConnectionLostError(Lost.SHUTDOWN, "closed by us"))
        if self._protocol.state is State.OPEN and not self._transport.is_closing():
            self._resume_for_close()
            self._protocol.send_close(1000)
            self._flush()
        try:
            async with asyncio.timeout(self._close_timeout):
                await asyncio.shield(self._ended)
        except TimeoutError:
            pass
        finally:
            self._inbox.discard()
            self._transport.abort()

    def _resume_for_close(self) -> None:
        if self._inbox.paused:
            self._resume()  # else the answer to our close frame is never read


def _refusal(head: bytes, body: bytes) -> Answer | None:
    """Read the answer that refuses a handshake; None where it is no HTTP."""
    status, *lines = head.decode("latin-1").split("\r\n")
    found = re.match(r"HTTP/1\.[01] ([1-9]\d\d)(?:\s|$)", status)
    if found is None:
        return None
    fields = (line.partition(":") for line in lines if ":" in line)
    headers = {name.strip().lower(): value.strip() for name, _, value in fields}
    return Answer(status=int(found[1]), headers=headers, body=body, new_connection=True, phases={})
