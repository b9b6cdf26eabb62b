"""A venue that sends numbered trades faster than they can be read, and bans who probes it."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from random import Random

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from exporter.clock import SystemClock
from tests.fuzz.sockets import frame

PATHS = ("one", "two", "three")  # of the exchanges that are probed
_BLOCK = 500  # frames that are sent at once
_BAD = 20  # every so many frames cannot be read
_NUMBER = re.compile(rb'"f":(\d+)')


def numbers(frame: bytes) -> int:
    """Return the number of a frame, whole or not. Raises ValueError for one of no feed."""
    found = _NUMBER.search(frame)
    if found is None:
        raise ValueError(f"no frame of the feed: {frame[:80]!r}")
    return int(found[1])


def _trade(number: int, now: float) -> bytes:
    head = f'{{"stream":"btcusdt@aggTrade","data":{{"e":"aggTrade","f":{number},'
    if number % _BAD == 0:
        return head.encode()
    rest = (
        f'"E":{now * 1000:.0f},"s":"BTCUSDT","a":{number},"p":"43000.1","q":"0.5","l":{number},'
        f'"T":{now * 1000:.0f},"m":true,"M":true}}}}'
    )
    return (head + rest).encode()


@dataclass
class Feed:
    """The venue. ``bans``: of so many probes one is answered by a ban, of some seconds."""

    chance: Random
    port: int = 0
    sent: int = 0
    asked: list[tuple[float, str]] = field(default_factory=list)  # epoch seconds, path
    bans: int = 5
    loud: bool = True
    _clock: SystemClock = field(default_factory=SystemClock)

    async def stream(self, connection: ServerConnection) -> None:
        """Take subscriptions, and send for ever."""
        transport = connection.transport
        try:
            asked = await connection.recv()
            number = re.search(r'"id":(\d+)', str(asked))
            await connection.send(f'{{"result":null,"id":{number[1] if number else 1}}}')
            while not transport.is_closing():
                await asyncio.sleep(0.002)
                if not self.loud or transport.get_write_buffer_size() > 1 << 20:
                    continue
                now = self._clock.wall()
                block = b"".join(
                    frame(0x81, _trade(each, now)) for each in range(self.sent, self.sent + _BLOCK)
                )
                self.sent += _BLOCK
                transport.write(block)
        except (ConnectionClosed, OSError, RuntimeError):
            pass  # killed, as is the point

    def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer a probe, or ban who asked; None: it is a stream."""
        name = request.path.strip("/").split("/")[0]
        if name not in PATHS:
            return None
        self.asked.append((self._clock.wall(), name))
        headers = Headers({"Content-Type": "application/json", "Content-Length": "2"})
        headers["Connection"] = "close"
        if self.chance.randrange(self.bans):
            return Response(HTTPStatus.OK, "OK", headers, b"{}")
        headers["Retry-After"] = str(self.chance.randint(1, 8))
        return Response(HTTPStatus.TOO_MANY_REQUESTS, "Too Many Requests", headers, b"{}")


@contextmanager
def feeding(seed: int) -> Iterator[Feed]:
    """Run the venue in a thread."""
    # A warning a frame that a killed reader no longer takes.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    feed, started = Feed(Random(seed)), threading.Event()
    stops: list[Callable[[], object]] = []

    async def main() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        stops.append(lambda: loop.call_soon_threadsafe(stop.set))
        options = {"process_request": feed.answer, "compression": None, "close_timeout": 0.1}
        async with serve(feed.stream, "127.0.0.1", 0, ping_interval=None, **options) as server:  # type: ignore[arg-type]  # options are of several types
            feed.port = next(iter(server.sockets)).getsockname()[1]
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    assert started.wait(60)
    try:
        yield feed
    finally:
        stops[0]()
        thread.join(5.0)
