"""A WebSocket server that sends one prepared feed as fast, or as evenly, as it is told.

No library: handshake and unmasked frames by hand, so that the sender never is the bottleneck.
Run as a program it prints its port, serves one stream and ends. A feed of books begins with one
delta a symbol and goes on when each book was fetched over REST from the same port.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 4.2.2
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT")
TICK = 0.001  # seconds between two writes of a paced feed
FIRST_TRADE = 15_683_430  # number of each symbol's first
FIRST = 1_000_000  # number of the REST books, which the first deltas follow
LEVELS = 1000  # a side of a REST book: as many as either reader asks for
MIDDLE, STEP = 43_000.0, 0.01  # of all prices
# Levels a side of one delta. Recorded: mean 4.2 and 5.0, one in ten above 11 (futures, 2021).
CALM = (0, 1, 1, 2, 2, 3, 4, 6, 9, 14)
BUSY = tuple(range(5, 21))


def frame(payload: bytes) -> bytes:
    """Wrap one text message."""
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", 0x81, size) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", 0x81, 126, size) + payload
    return struct.pack("!BBQ", 0x81, 127, size) + payload


def trades(count: int, epoch: float) -> list[bytes]:
    """Return ``count`` frames of Binance's combined aggTrade stream, numbered without a gap."""
    frames = []
    for number in range(count):
        symbol = SYMBOLS[number % len(SYMBOLS)]
        time_ms = int(epoch * 1000) + number // 20
        data = {
            "e": "aggTrade",
            "E": time_ms,
            "s": symbol,
            "a": FIRST_TRADE + number // len(SYMBOLS),
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


def price(bid: bool, away: int) -> str:
    """Return the price ``away`` steps from the middle."""
    return f"{MIDDLE - STEP * away if bid else MIDDLE + STEP * away:.8f}"


def depths(count: int, epoch: float, widths: tuple[int, ...]) -> list[bytes]:
    """Return ``count`` frames of Binance's depth@100ms stream, around a still price.

    ``widths`` are the numbers of levels a side to draw from. Three in ten levels are taken away,
    some of which were not there, as recorded.
    """
    random, frames = Random(1), []

    def side(bid: bool) -> list[list[str]]:
        aways = {1 + int(random.expovariate(0.02)) for _ in range(random.choice(widths))}
        sizes = [0.0 if random.random() < 0.3 else random.random() * 3 for _ in aways]
        return [[price(bid, away), f"{size:.8f}"] for away, size in zip(aways, sizes, strict=True)]

    for number in range(count):
        symbol, last = SYMBOLS[number % len(SYMBOLS)], FIRST + 10 * (number // len(SYMBOLS))
        data = {
            "e": "depthUpdate",
            "E": int(epoch * 1000) + number // 20,
            "s": symbol,
            "U": last + 1,
            "u": last + 10,
            "b": side(True),
            "a": side(False),
        }
        text = json.dumps(
            {"stream": f"{symbol.lower()}@depth@100ms", "data": data}, separators=(",", ":")
        )
        frames.append(frame(text.encode()))
    return frames


def book() -> bytes:
    """Return the HTTP answer with the REST book of any symbol."""
    sides = {
        name: [[price(bid, away), "1.50000000"] for away in range(1, LEVELS + 1)]
        for name, bid in (("bids", True), ("asks", False))
    }
    body = json.dumps({"lastUpdateId": FIRST, **sides}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    return head.encode() + b"Content-Type: application/json\r\n\r\n" + body


def request(connection: socket.socket) -> bytes:
    """Read an HTTP request without a body."""
    read = b""
    while b"\r\n\r\n" not in read:
        read += connection.recv(4096)
    return read


def handshake(connection: socket.socket, request: bytes) -> bytes:
    """Answer the upgrade; return the request's first line."""
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


def send(
    connection: socket.socket,
    frames: list[bytes],
    rate: float | None,
    sent_at: list[tuple[int, float]],
    writing: threading.Lock,
) -> None:
    """Send all frames: at ``rate`` per second in bunches of one tick, None as fast as possible.

    ``sent_at`` takes how many were sent before each bunch, and when it was (epoch seconds).
    """
    # Else a bunch waits in the kernel for what the reader acknowledges of the one before.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if rate is None:
        for start in range(0, len(frames), 500):
            connection.sendall(b"".join(frames[start : start + 500]))
        return
    begun, sent = time.perf_counter(), 0
    while sent < len(frames):
        due = min(len(frames), int((time.perf_counter() - begun) * rate) + 1)
        if due > sent:
            bunch = b"".join(frames[sent:due])
            with writing:
                sent_at.append((sent, time.time()))  # noqa: TID251 - as above
                connection.sendall(bunch)
            sent = due
        time.sleep(max(0.0, begun + (sent / rate) - time.perf_counter(), TICK))


def answer_pings(connection: socket.socket, writing: threading.Lock) -> None:
    """Answer pings until the reader ends the connection; it sends short masked frames alone."""
    read = b""
    while True:
        while len(read) >= 6 and len(read) >= (size := 6 + (read[1] & 0x7F)):
            one, read = read[:size], read[size:]
            if one[0] == 0x89:
                payload = bytes(x ^ one[2 + n % 4] for n, x in enumerate(one[6:]))
                with writing:
                    connection.sendall(struct.pack("!BB", 0x8A, len(payload)) + payload)
        came = connection.recv(4096)
        if not came:
            return
        read += came


def alone(connection: socket.socket, frames: list[bytes], rate: float) -> None:
    """Send each frame by a write of its own, evenly: every one of them wakes its reader."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    begun = time.perf_counter()
    for number, one in enumerate(frames):
        while time.perf_counter() < begun + number / rate:
            pass
        connection.sendall(one)


FEEDS: dict[str, Callable[[int, float], list[bytes]]] = {
    "trades": trades,
    "calm": lambda count, epoch: depths(count, epoch, CALM),
    "busy": lambda count, epoch: depths(count, epoch, BUSY),
}


def serve(feed: str, count: int, rate: float | None, each: bool, log: str | None = None) -> None:
    """Serve one stream, and the books that it goes with; ``log``: write when what was sent."""
    frames = FEEDS[feed](count, time.time())  # noqa: TID251 - a program of its own, with its own clock
    books = threading.Semaphore(0)  # served so far

    def stream(connection: socket.socket, asked: bytes) -> None:
        rest = frames
        if b"streams=" not in handshake(connection, asked):
            connection.sendall(frame(b'{"result":null,"id":1}'))
        if feed != "trades":
            rest = frames[len(SYMBOLS) :]
            connection.sendall(b"".join(frames[: len(SYMBOLS)]))
            for _ in SYMBOLS:
                books.acquire(timeout=30)
        time.sleep(0.5)  # so that what connecting costs is over
        if each and rate is not None:
            alone(connection, rest, rate)
        else:
            sent_at: list[tuple[int, float]] = []
            writing = threading.Lock()
            pings = threading.Thread(target=answer_pings, args=(connection, writing), daemon=True)
            if log is not None:  # a long run
                pings.start()
            try:
                send(connection, rest, rate, sent_at, writing)
            finally:
                if log is not None:
                    Path(log).write_text(json.dumps(sent_at))
            if log is not None:
                pings.join(60)
                return
        connection.settimeout(60)
        while connection.recv(4096):  # until the reader has seen enough
            pass

    def answer(connection: socket.socket) -> None:
        with connection:
            asked = request(connection)
            if b"upgrade: websocket" in asked.lower():
                with suppress(ConnectionError):  # the reader has seen enough
                    stream(connection, asked)
                ended.set()
            else:
                connection.sendall(book())
                books.release()

    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        server.settimeout(1)
        while not ended.is_set():
            try:
                connection, _ = server.accept()
            except TimeoutError:
                continue
            threading.Thread(target=answer, args=(connection,), daemon=True).start()


def main() -> None:
    """Read the flags and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--feed", choices=FEEDS, default="trades")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--rate", type=float, help="messages a second; without it, no limit")
    parser.add_argument("--each", action="store_true", help="one write a message")
    parser.add_argument("--log", help="write here when what was sent")
    flags = parser.parse_args()
    serve(flags.feed, flags.count, flags.rate, flags.each, flags.log)


if __name__ == "__main__":
    main()
