"""A plain client of the simulator, by aiohttp: what it shows has been through real sockets."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from exporter.simulator import Simulator

TRADES = {"binance": "btcusdt@trade", "bybit": "publicTrade.BTCUSDT", "okx": "trades:BTC-USDT"}
PING = "/binance/api/v3/ping"
PATHS = {"binance": "/stream", "bybit": "/v5/public/spot", "okx": "/ws/v5/public"}


def request(venue: str, topics: Sequence[str]) -> Mapping[str, object]:
    """Format a subscribe request; OKX topics as ``channel:instrument``."""
    match venue:
        case "binance":
            return {"method": "SUBSCRIBE", "params": list(topics), "id": 1}
        case "bybit":
            return {"req_id": "1", "op": "subscribe", "args": list(topics)}
    pairs = (topic.split(":") for topic in topics)
    return {"op": "subscribe", "args": [{"channel": c, "instId": i} for c, i in pairs]}


class Stream:
    """One open WebSocket that is read frame by frame."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def ask(self, message: object) -> None:
        """Send JSON, or text as it is."""
        await self.socket.send_str(message if isinstance(message, str) else json.dumps(message))

    async def next(self, timeout: float = 30.0) -> Any:
        """Return the next frame's JSON. Raises TimeoutError, ConnectionError when closed."""
        message = await self.socket.receive(timeout=timeout)
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise ConnectionError(f"{message.type} {self.socket.close_code}")
        return json.loads(message.data)

    async def take(
        self, count: int, wanted: Callable[[Any], bool] = lambda frame: True
    ) -> list[Any]:
        """Return the next ``count`` frames that are wanted."""
        kept: list[Any] = []
        while len(kept) < count:
            frame = await self.next()
            if wanted(frame):
                kept.append(frame)
        return kept

    async def closed(self, timeout: float = 30.0) -> int | None:
        """Wait for the end and return its close code."""
        async with asyncio.timeout(timeout):
            while True:
                message = await self.socket.receive()
                if message.type in (
                    aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR,
                    aiohttp.WSMsgType.CLOSING,
                ):  # fmt: skip
                    return self.socket.close_code

    async def silent(self, seconds: float) -> bool:
        """Return whether nothing at all arrives for so long."""
        try:
            await self.socket.receive(timeout=seconds)
        except TimeoutError:
            return True
        return False


@asynccontextmanager
async def connected(
    simulator: Simulator, venue: str, topics: Sequence[str] = (), path: str = "", *,
    autoping: bool = True,
) -> AsyncIterator[Stream]:  # fmt: skip
    """Open a stream and send one subscribe request, whose reply is left unread."""
    url = simulator.stream_url(venue, path or PATHS[venue])
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(url, max_msg_size=1 << 25, autoping=autoping) as socket,
    ):
        stream = Stream(socket)
        if topics:
            await stream.ask(request(venue, topics))
        yield stream


async def fetch(
    simulator: Simulator, path: str, *, method: str = "GET", body: object = None,
    timeout: float = 30.0,
) -> tuple[int, Mapping[str, str], Any]:  # fmt: skip
    """Ask over HTTP; gives status, headers (lower case) and JSON, or text if it is none."""
    limit = aiohttp.ClientTimeout(total=timeout)
    async with (
        aiohttp.ClientSession(timeout=limit) as http,
        http.request(method, simulator.url + path, json=body) as answer,
    ):
        text = await answer.text()
        headers = {name.lower(): value for name, value in answer.headers.items()}
        try:
            return answer.status, headers, json.loads(text)
        except ValueError:
            return answer.status, headers, text


def on(
    venue: str = "binance", topics: tuple[str, ...] = (), **options: Any
) -> Callable[[Callable[[Simulator, Stream], Awaitable[None]]], None]:
    """Run a scene with a simulator and one subscribed stream whose ack has been read."""

    def play(scene: Callable[[Simulator, Stream], Awaitable[None]]) -> None:
        async def run() -> None:
            named = topics or (TRADES[venue],)
            async with (
                Simulator(**{"rate": 50.0, **options}) as simulator,
                connected(simulator, venue, named) as stream,
            ):
                await stream.take(4)
                await scene(simulator, stream)

        asyncio.run(run())

    return play


def wall() -> float:
    """Return our own clock, which the simulator's is held against, in epoch seconds."""
    return time.time_ns() / 1e9
