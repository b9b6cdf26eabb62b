"""A WebSocket server that sends one prepared feed as fast, or as evenly, as it is told.

No library: handshake and unmasked frames by hand, so that the sender never is the bottleneck.
Run as a program it prints its port, serves one connection and ends.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import socket
import struct
import time

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 4.2.2
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT")
TICK = 0.001  # seconds between two writes of a paced feed


def frame(payload: bytes) -> bytes:
    """Wrap one text message."""
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", 0x81, size) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", 0x81, 126, size) + payload
    return struct.pack("!BBQ", 0x81, 127, size) + payload


def trades(count: int, epoch: float) -> list[bytes]:
    """Give ``count`` frames of Binance's combined aggTrade stream, numbered without a gap."""
    frames = []
    for number in range(count):
        symbol = SYMBOLS[number % len(SYMBOLS)]
        time_ms = int(epoch * 1000) + number // 20
        data = {
            "e": "aggTrade",
            "E": time_ms,
            "s": symbol,
            "a": 15683430 + number // len(SYMBOLS),
            "p": f"{43000 + number % 997 * 0.01:.8f}",
            "q": f"{number % 31 * 0.001 + 0.001:.8f}",
            "f": 19862790 + number,
            "l": 19862790 + number,
            "T": time_ms,
            "m": number % 2 == 0,
            "M": True,
        }
        text = json.dumps(
            {"stream": f"{symbol.lower()}@aggTrade", "data": data}, separators=(",", ":")
        )
        frames.append(frame(text.encode()))
    return frames


def handshake(connection: socket.socket) -> bytes:
    """Answer the upgrade; give the request's first line."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += connection.recv(4096)
    line, *lines = request.split(b"\r\n")
    headers = dict(header.lower().split(b": ", 1) for header in lines if b": " in header)
    key = next(h for h in lines if h.lower().startswith(b"sec-websocket-key")).split(b": ")[1]
    assert headers[b"upgrade"].lower() == b"websocket"
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())  # noqa: S324 - the RFC's choice
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    return line


def send(connection: socket.socket, frames: list[bytes], rate: float | None) -> None:
    """Send all frames: at ``rate`` per second in bunches of one tick, None as fast as possible."""
    if rate is None:
        for start in range(0, len(frames), 500):
            connection.sendall(b"".join(frames[start : start + 500]))
        return
    begun, sent = time.perf_counter(), 0
    while sent < len(frames):
        due = min(len(frames), int((time.perf_counter() - begun) * rate) + 1)
        if due > sent:
            connection.sendall(b"".join(frames[sent:due]))
            sent = due
        time.sleep(max(0.0, begun + (sent / rate) - time.perf_counter(), TICK))


def alone(connection: socket.socket, frames: list[bytes], rate: float) -> None:
    """Send each frame by a write of its own, evenly: every one of them wakes its reader."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    begun = time.perf_counter()
    for number, one in enumerate(frames):
        while time.perf_counter() < begun + number / rate:
            pass
        connection.sendall(one)


def serve(count: int, rate: float | None, each: bool) -> None:
    """Serve one connection."""
    frames = trades(count, time.time())  # noqa: TID251 - a program of its own, with its own clock
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        server.settimeout(30)
        connection, _ = server.accept()
        with connection:
            if b"streams=" not in handshake(connection):
                connection.sendall(frame(b'{"result":null,"id":1}'))
            time.sleep(0.5)  # so that what connecting costs is over
            if each and rate is not None:
                alone(connection, frames, rate)
            else:
                send(connection, frames, rate)
            connection.settimeout(60)
            while connection.recv(4096):  # until the reader has seen enough
                pass


def main() -> None:
    """Read the flags and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--rate", type=float, help="messages a second; without it, no limit")
    parser.add_argument("--each", action="store_true", help="one write a message")
    flags = parser.parse_args()
    serve(flags.count, flags.rate, flags.each)


if __name__ == "__main__":
    main()
