"""The same connections with the `picows` library, whose protocol is in C: the ``fast`` extra.

On uvloop the default transport costs no more (`benchmarks/stream.py`); this one serves where its
protocol engine is preferred. It offers no compression. Import this module only where picows is
installed.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping

from picows import WSCloseCode, WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from exporter.contracts import Clock, ConnectionLostError, Take
from exporter.edge.heartbeat import Heartbeat
from exporter.edge.inbox import SILENT, Inbox, InboxBounds, InboxMeter
from exporter.edge.websocket import HEADERS, verifying
from exporter.model import Lost

_TEXT = WSMsgType.TEXT
_BROKEN = frozenset((1002, 1003, 1007, 1009))  # close codes with which a protocol error is answered

# What goes wrong is reported as a ConnectionLostError; the library's own lines would repeat it.
_QUIET = logging.getLogger("exporter.edge.picows")
_QUIET.setLevel(logging.CRITICAL)


class PicowsSocket(WSListener):
    """One connection: a `contracts.Socket`. Made by `connect`. Durations in seconds."""

    def __init__(
        self,
        *,
        clock: Clock,
        max_message: int,
        bounds: InboxBounds,
        meter: InboxMeter,
        ping_every: float | None,
        ping_timeout: float,
        close_timeout: float,
        on_ping_rtt: Callable[[float], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._wall, self._max_message = clock.wall, max_message
        self._ping_every, self._ping_timeout = ping_every, ping_timeout
        self._close_timeout, self._on_ping_rtt = close_timeout, on_ping_rtt
        self._inbox = Inbox(
            bounds, meter, now=self._loop.time, pause=self._pause, resume=self._resume
        )
        self._transport: WSTransport | None = None
        self._heartbeat: Heartbeat | None = None
        self._message: bytearray | None = None  # a fragmented message so far
        self._received: float | None = None  # wall time of the read that is being handed over
        self._size = 0  # bytes of messages in that read
        self._writable = asyncio.Event()
        self._writable.set()

    # --- what picows calls --------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Begin to ping."""
        self._transport = transport
        if self._ping_every is not None:
            timeout = self._ping_timeout
            self._heartbeat = Heartbeat(
                every=self._ping_every,
                timeout=timeout,
                send=transport.send_ping,
                on_rtt=self._on_ping_rtt,
                on_timeout=lambda: self._fail(Lost.PING_TIMEOUT, f"no pong within {timeout:g} s"),
                excused=lambda: self._inbox.paused,
            )

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take one frame: the hottest function of the transport."""
        received = self._received
        if received is None:
            received = self._received = self._wall()
        kind = frame.msg_type
        if kind == _TEXT and frame.fin and self._message is None and not frame.rsv1:
            payload = frame.get_payload_as_bytes()
            self._inbox.frames.append((received, payload))
            self._size += len(payload)
        else:
            self._other(transport, frame, kind, received)
        if frame.last_in_buffer:
            self._received = None
            if self._inbox.frames:
                self._inbox.added(self._size)
            self._size = 0

    def _other(
        self, transport: WSTransport, frame: WSFrame, kind: WSMsgType, received: float
    ) -> None:
        if kind == WSMsgType.PONG:
            if self._heartbeat is not None:
                self._heartbeat.pong(frame.get_payload_as_bytes())
        elif kind == WSMsgType.CLOSE:
            if _broken(transport) is None:
                code, reason = int(frame.get_close_code().value), frame.get_close_reason() or ""
                transport.send_close(frame.get_close_code())
                self._fail(Lost.SERVER_CLOSE, reason[:200], code)
        elif frame.rsv1:
            self._fail(Lost.PROTOCOL_ERROR, "compressed, which was not agreed", 1002)
        elif (kind == WSMsgType.CONTINUATION) == (self._message is None):
            self._fail(Lost.PROTOCOL_ERROR, "fragments out of order", 1002)
        else:
            self._message = self._message or bytearray()
            self._message += frame.get_payload_as_memoryview()
            if len(self._message) > self._max_message:
                self._fail(Lost.PROTOCOL_ERROR, f"over {self._max_message} bytes", 1009)
            elif frame.fin:
                self._inbox.frames.append((received, bytes(self._message)))
                self._size += len(self._message)
                self._message = None

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Name the reason, unless it is known already."""
        if self._heartbeat is not None:
            self._heartbeat.stop()
        lost = _broken(transport)
        if lost is None:
            lost = ConnectionLostError(Lost.NETWORK, "closed without a close frame", 1006)
        self._inbox.end(lost)
        self._writable.set()

    def pause_writing(self) -> None:
        """Hold `send` back, and give up on a reader that stays away: our pongs pile up too."""
        self._writable.clear()
        self._loop.call_later(self._close_timeout, self._stuck)

    def _stuck(self) -> None:
        if not self._writable.is_set():
            self._fail(Lost.NETWORK, "the other side reads nothing")

    def resume_writing(self) -> None:
        """Let `send` go on."""
        self._writable.set()

    # --- ending -------------------------------------------------------------------------------

    def _fail(self, reason: Lost, detail: str, code: int | None = None) -> None:
        self._inbox.end(ConnectionLostError(reason, detail, code))
        if self._heartbeat is not None:
            self._heartbeat.stop()
        if self._transport is not None:
            # What was written is still flushed, a close frame among it.
            self._transport.disconnect()
            self._loop.call_later(self._close_timeout, self.abort)

    def _pause(self) -> None:
        if self._transport is not None and not self._transport.is_disconnected:
            self._transport.underlying_transport.pause_reading()

    def _resume(self) -> None:
        if self._transport is not None and not self._transport.is_disconnected:
            self._transport.underlying_transport.resume_reading()

    # --- contracts.Socket ---------------------------------------------------------------------

    async def send(self, frame: str) -> None:
        """Send one text message. Raises ConnectionLostError, also when it cannot leave in time."""
        if self._inbox.lost is not None or self._transport is None:
            raise self._inbox.lost or ConnectionLostError(Lost.NETWORK, "not open")
        self._transport.send(WSMsgType.TEXT, frame.encode())
        if not self._writable.is_set():
            try:
                async with asyncio.timeout(self._close_timeout):
                    await self._writable.wait()
            except TimeoutError:
                self._fail(Lost.NETWORK, "the other side reads nothing")
        if self._inbox.lost is not None:
            raise self._inbox.lost

    async def receive(self, take: Take) -> None:
        """Give ``take`` what is read, as it is read, until it has had enough."""
        await self._inbox.hand_over(take)

    def abort(self) -> None:
        """Let go at once."""
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    async def close(self) -> None:
        """Close politely, within the close timeout; then let go."""
        transport = self._transport
        if transport is None:
            return
        ours = self._inbox.lost is None
        self._inbox.end(ConnectionLostError(Lost.SHUTDOWN, "closed by us"))
        try:
            if ours and not transport.is_disconnected:
                if self._inbox.paused:
                    self._resume()  # else the answer to our close frame is never read
                transport.send_close(WSCloseCode.OK)
            async with asyncio.timeout(self._close_timeout):
                await transport.wait_disconnected()
        except (TimeoutError, WSError):
            pass
        finally:
            transport.disconnect(graceful=False)


def _broken(transport: WSTransport) -> ConnectionLostError | None:
    """Give what picows found wrong with the protocol, if that is why it closes."""
    sent = None if transport.close_handshake is None else transport.close_handshake.sent
    if sent is None or (code := int(sent.code.value)) not in _BROKEN:
        return None
    return ConnectionLostError(Lost.PROTOCOL_ERROR, sent.reason[:200], code)


async def connect(
    url: str,
    *,
    clock: Clock,
    timeout: float = 10.0,
    headers: Mapping[str, str] = HEADERS,
    max_message: int = 16 << 20,
    bounds: InboxBounds | None = None,
    meter: InboxMeter = SILENT,
    ping_every: float | None = 20.0,
    ping_timeout: float = 10.0,
    close_timeout: float = 2.0,
    on_ping_rtt: Callable[[float], None] = lambda rtt: None,
    tls: ssl.SSLContext | None = None,
) -> PicowsSocket:
    """Open a connection to a ``ws://`` or ``wss://`` URL, the certificate verified.

    As `websocket.connect`, without compression. Raises ConnectionLostError, and ValueError for
    what is no such URL.
    """
    if not url.startswith(("ws://", "wss://")):
        raise ValueError(f"expected a ws:// or wss:// URL, got {url!r}")
    socket = PicowsSocket(
        clock=clock,
        max_message=max_message,
        bounds=bounds or InboxBounds(),
        meter=meter,
        ping_every=ping_every,
        ping_timeout=ping_timeout,
        close_timeout=close_timeout,
        on_ping_rtt=on_ping_rtt,
    )
    try:
        async with asyncio.timeout(timeout):
            await ws_connect(
                lambda *_: socket,
                url,
                ssl_context=tls or verifying(),
                websocket_handshake_timeout=timeout,
                logger_name=_QUIET,
                max_frame_size=max_message,
                extra_headers=dict(headers),
                max_redirects=0,
            )
    except TimeoutError as error:
        raise ConnectionLostError(Lost.NETWORK, f"not open after {timeout:g} s") from error
    except OSError as error:
        raise ConnectionLostError(Lost.NETWORK, str(error)[:200]) from error
    except WSError as error:
        raise ConnectionLostError(Lost.NETWORK, f"handshake: {error}"[:200]) from error
    return socket
