"""A TCP connection, with or without TLS, as plain non-blocking calls on one socket.

asyncio's own transports cost a new connection six rounds of the event loop, this one costs two,
and the TLS handshake has a beginning and an end that can be timed. Where the kernel stamps what
comes in (Linux), a busy event loop does not make an answer look late.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
import sys
from contextlib import suppress
from math import inf
from time import monotonic, time_ns

from exporter.http.certificates import not_after, verified_chain
from exporter.http.read_buffer import SIZE, piece

_STAMP = 35 if sys.platform == "linux" else None  # SO_TIMESTAMPNS, socket(7); Python has no name
_TIMESPEC = struct.Struct("@ll")  # seconds, nanoseconds
# tcp(7), struct tcp_info of linux/tcp.h: round trip in µs, retransmissions; "I": 32 bits each.
_RTT, _RESENT, _INFO_SIZE = 68, 100, 104
_STAMP_SPACE = socket.CMSG_SPACE(_TIMESPEC.size)
_PIECES = 4  # read from an idle connection: session tickets come whenever they like


def _done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class _Records:
    """Follows TLS records, to know whether one is there by half: OpenSSL does not tell."""

    __slots__ = ("_head", "_missing")

    def __init__(self) -> None:
        self._head = b""  # of a record of which not even the length is known
        self._missing = 0  # bytes of a record

    def took(self, data: bytes) -> None:
        """Follow what has arrived (RFC 8446, 5.1: five bytes, of which two are the length)."""
        data, at = self._head + data, self._missing
        while len(data) >= at + 5:
            at += 5 + int.from_bytes(data[at + 3 : at + 5], "big")
        self._missing, self._head = max(0, at - len(data)), data[at:]

    @property
    def whole(self) -> bool:
        """Whether the last record is there to its end."""
        return not (self._missing or self._head)


class TcpConnection:
    """One connection. Whoever opened it closes it.

    The loop watches it for as long as it is open: to begin and end that for each answer would cost
    as much as the answer, and who hangs up on an idle connection is noticed. What arrives before
    somebody asks for it is one piece at most; the rest waits in the kernel.
    """

    __slots__ = (
        "_data",
        "_ended",
        "_error",
        "_incoming",
        "_loop",
        "_outgoing",
        "_piece",
        "_records",
        "_socket",
        "_tls",
        "_waiter",
        "_watched",
        "address",
        "arrived",
        "certificate_end",
        "chain_end",
        "idle_since",
        "late",
        "opened",
        "retires",
    )

    def __init__(self, connected: socket.socket, address: str = "") -> None:
        self.address = address  # of the other side
        self.opened = monotonic()
        self.retires = inf  # monotonic; for whoever keeps it
        self.arrived = 0.0  # monotonic: when the last bytes reached the kernel, or us
        self.certificate_end: float | None = None  # epoch seconds; None without TLS
        self.chain_end: float | None = None  # of the certificate in its chain that ends first
        self.idle_since = 0.0  # monotonic; for whoever keeps it
        self.late = 0.0  # seconds for which the kernel had what was awaited and we did not look
        self._socket = connected
        self._tls: ssl.SSLObject | None = None
        self._loop = asyncio.get_running_loop()
        self._piece = piece()
        self._waiter: asyncio.Future[None] | None = None
        self._data = b""  # has arrived, and nobody took it yet
        self._ended = False  # nothing more will come
        self._error: OSError | None = None  # why
        self._watched = False
        self._watch()

    async def shake_hands(self, context: ssl.SSLContext, name: str) -> None:
        """Begin TLS. Raises OSError, of which ssl.SSLError is one."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._records = _Records()
        self._tls = tls = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=name.rstrip(".")
        )
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._flush()
                if not await self._fill():
                    raise ConnectionResetError("closed during the TLS handshake") from None
        await self._flush()
        certificate = tls.getpeercert() or {}
        self.certificate_end = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
        ends = (not_after(each) for each in verified_chain(tls))
        self.chain_end = min(ends, default=self.certificate_end)

    async def send(self, data: bytes) -> None:
        """Write all of ``data``. Raises OSError."""
        if self._tls is None:
            await self._write(data)
        else:
            self._tls.write(data)
            await self._flush()

    async def receive(self) -> bytes:
        """Wait for some bytes; none means that the other side has closed. Raises OSError."""
        if self._tls is None:
            return await self._read()
        while True:
            try:
                return self._tls.read(SIZE)
            except ssl.SSLWantReadError:
                await self._flush()  # an answer to a key update, say
                await self._fill()
            except ssl.SSLZeroReturnError:
                return b""

    def alive(self) -> bool:
        """Return whether an idle connection is still fit for a request."""
        for _ in range(_PIECES):
            if not self._data:
                self._ready()  # the loop may not have come round to what is there already
            if self._ended:
                return False
            data = self._taken()
            if self._tls is None:
                return not data  # else an answer that nobody asked for
            self._feed(data)
            try:
                # Without new data too: a record may wait behind the one that was read last.
                self._tls.read(1)
            except ssl.SSLWantReadError:
                if not data:
                    return self._records.whole
            except OSError:
                return False
            else:
                return False
        return False

    def detach(self) -> socket.socket:
        """Return the socket away; without TLS, and with nothing read ahead."""
        self._rest()
        return self._socket

    def close(self) -> None:
        """Close at once, without waiting for the other side."""
        self._rest()
        self._socket.close()

    async def _flush(self) -> None:
        data = self._outgoing.read()
        if data:
            await self._write(data)

    async def _fill(self) -> bool:
        data = await self._read()
        if data:
            self._feed(data)
        else:
            self._incoming.write_eof()
        return bool(data)

    def _feed(self, data: bytes) -> None:
        self._incoming.write(data)
        self._records.took(data)

    async def _read(self) -> bytes:
        asked = monotonic()
        while not (self._data or self._ended):
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._error is not None and not self._data:
            raise self._error
        if self._data:
            self.late += max(0.0, monotonic() - max(self.arrived, asked))
        return self._taken()

    def _taken(self) -> bytes:
        data, self._data = self._data, b""
        self._watch()
        return data

    def _ready(self) -> None:
        """Take one piece, as the loop has seen that there is something."""
        if self._data:
            self._rest()
            return
        try:
            size, notes, _, _ = self._socket.recvmsg_into((self._piece,), _STAMP_SPACE)
        except BlockingIOError:
            return
        except OSError as error:
            self._error, size = error, 0
        else:
            self.arrived = _arrived(notes)
            self._data = bytes(self._piece[:size])
        if not size:
            self._ended = True
            self._rest()
        if self._waiter is not None:
            _done(self._waiter)

    def _watch(self) -> None:
        if not (self._watched or self._ended):
            self._loop.add_reader(self._socket.fileno(), self._ready)
            self._watched = True

    def _rest(self) -> None:
        if self._watched:
            self._loop.remove_reader(self._socket.fileno())
            self._watched = False

    async def _write(self, data: bytes) -> None:
        while True:
            try:
                sent = self._socket.send(data)
            except BlockingIOError:
                sent = 0
            if sent == len(data):
                return
            data = data[sent:]
            await _wait_writable(self._socket)


def _arrived(notes: list[tuple[int, int, bytes]]) -> float:
    """Return the monotonic time at which bytes arrived: by the kernel's stamp, if it left one."""
    now = monotonic()
    for _, kind, content in notes:
        if kind == _STAMP and len(content) == _TIMESPEC.size:
            seconds, rest = _TIMESPEC.unpack(content)
            now -= max(0, time_ns() - seconds * 1_000_000_000 - rest) / 1e9
    return now


async def open_connection(family: int, address: str, port: int) -> TcpConnection:
    """Connect to one address. Raises OSError."""
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if _STAMP is not None:
            with suppress(OSError):  # a kernel that does not stamp: we look at our own watch
                opened.setsockopt(socket.SOL_SOCKET, _STAMP, 1)
        begun = monotonic()
        try:
            opened.connect((address, port))
        except BlockingIOError:
            await _wait_writable(opened)
            failed = opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if failed:
                why = f"connect to {address} port {port} failed: {os.strerror(failed)}"
                raise OSError(failed, why) from None
        connection = TcpConnection(opened, address)
        connection.late = max(0.0, connection.opened - begun - _round_trip(opened))
        return connection
    except OverflowError as error:
        opened.close()
        raise OSError(f"port {port}: {error}") from error
    except BaseException:
        opened.close()
        raise


def _round_trip(opened: socket.socket) -> float:
    """Return how long the TCP handshake took by the kernel, in seconds; infinity: it cannot say.

    Where the first packet was lost it knows the round trip, and not since when it tried.
    """
    if sys.platform != "linux":
        return inf
    try:
        info = opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_SIZE)
    except OSError:
        return inf
    if len(info) < _INFO_SIZE or int.from_bytes(info[_RESENT:_INFO_SIZE], sys.byteorder):
        return inf
    return int.from_bytes(info[_RTT : _RTT + 4], sys.byteorder) / 1e6 or inf


async def _wait_writable(waited: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    number = waited.fileno()
    loop.add_writer(number, _done, future)
    try:
        await future
    finally:
        loop.remove_writer(number)
