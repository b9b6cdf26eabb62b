"""A TCP connection, with or without TLS, as plain non-blocking calls on one socket.

asyncio's own transports cost a new connection six rounds of the event loop, this one costs two,
and the TLS handshake has a beginning and an end that can be timed. Where the kernel stamps what
comes in (Linux), a busy event loop does not make an answer look late.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic, time_ns

_PIECE = 65536  # bytes read at once
_STAMP = 35 if sys.platform == "linux" else None  # SO_TIMESTAMPNS, socket(7); Python has no name
_TIMESPEC = struct.Struct("@ll")  # seconds, nanoseconds
_STAMP_SPACE = socket.CMSG_SPACE(_TIMESPEC.size)
_PATIENCE = 1.0  # seconds for an address while there are others to try


class _Reading(threading.local):
    """Where bytes are read to: long pieces cut to each short answer would splinter the heap."""

    def __init__(self) -> None:
        self.piece = memoryview(bytearray(_PIECE))


_reading = _Reading()


def _done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Wire:
    """One connection. Whoever opened it closes it."""

    __slots__ = (
        "_incoming",
        "_outgoing",
        "_socket",
        "_tls",
        "arrived",
        "certificate_end",
        "idle_since",
    )

    def __init__(self, connected: socket.socket) -> None:
        self.arrived = 0.0  # monotonic: when the last bytes reached the kernel, or us
        self.certificate_end: float | None = None  # epoch seconds; None without TLS
        self.idle_since = 0.0  # monotonic; for whoever keeps it
        self._socket = connected
        self._tls: ssl.SSLObject | None = None

    async def shake_hands(self, context: ssl.SSLContext, name: str) -> None:
        """Begin TLS. Raises OSError, of which ssl.SSLError is one."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
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
                return self._tls.read(_PIECE)
            except ssl.SSLWantReadError:
                await self._flush()  # an answer to a key update, say
                await self._fill()
            except ssl.SSLZeroReturnError:
                return b""

    def alive(self) -> bool:
        """Say whether an idle connection is still fit for a request."""
        try:
            piece = _reading.piece
            data = bytes(piece[: self._socket.recv_into(piece)])
        except BlockingIOError:
            return True
        except OSError:
            return False
        if self._tls is None or not data:
            return False  # closed, or an answer that nobody asked for
        self._incoming.write(data)  # session tickets come whenever they like
        try:
            self._tls.read(1)
        except ssl.SSLWantReadError:
            return True
        except OSError:
            return False
        return False

    def detach(self) -> socket.socket:
        """Give the socket away; without TLS, and with nothing read ahead."""
        return self._socket

    def close(self) -> None:
        """Close at once, without waiting for the other side."""
        self._socket.close()

    async def _flush(self) -> None:
        data = self._outgoing.read()
        if data:
            await self._write(data)

    async def _fill(self) -> bool:
        data = await self._read()
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        return bool(data)

    async def _read(self) -> bytes:
        while True:
            await _wait_readable(self._socket)
            try:
                piece = _reading.piece
                size, notes, _, _ = self._socket.recvmsg_into((piece,), _STAMP_SPACE)
            except BlockingIOError:
                continue
            self.arrived = monotonic()
            for _, kind, content in notes:
                if kind == _STAMP and len(content) == _TIMESPEC.size:
                    seconds, rest = _TIMESPEC.unpack(content)
                    waited = time_ns() - seconds * 1_000_000_000 - rest
                    self.arrived -= max(0, waited) / 1e9
            return bytes(piece[:size])

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


async def resolve(name: str, port: int) -> tuple[tuple[int, str], ...]:
    """Give all addresses of a name, each with its family, in the system's order. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys((int(family), str(at[0])) for family, _, _, _, at in found))


async def connect(addresses: Sequence[tuple[int, str]], port: int) -> Wire:
    """Connect to the first address that lets us. Raises OSError, that of the last address."""
    for family, address in addresses[:-1]:
        try:
            async with asyncio.timeout(_PATIENCE):
                return await _connect(family, address, port)
        except OSError:
            continue
    return await _connect(*addresses[-1], port)


async def _connect(family: int, address: str, port: int) -> Wire:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if _STAMP is not None:
            with suppress(OSError):  # a kernel that does not stamp: we look at our own watch
                opened.setsockopt(socket.SOL_SOCKET, _STAMP, 1)
        try:
            opened.connect((address, port))
        except BlockingIOError:
            await _wait_writable(opened)
            failed = opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if failed:
                raise OSError(failed, f"connect to {address} port {port} failed") from None
    except OverflowError as error:
        opened.close()
        raise OSError(f"port {port}: {error}") from error
    except BaseException:
        opened.close()
        raise
    return Wire(opened)


async def _wait_readable(waited: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    await _wait_for(waited, loop.add_reader, loop.remove_reader)


async def _wait_writable(waited: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    await _wait_for(waited, loop.add_writer, loop.remove_writer)


async def _wait_for(
    waited: socket.socket, add: Callable[..., object], remove: Callable[[int], bool]
) -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    number = waited.fileno()
    add(number, _done, future)
    try:
        await future
    finally:
        remove(number)
