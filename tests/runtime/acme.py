"""A made-up exchange as a server: what tests/venues/definitions/acme.yml defines."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import WSMsgType, web


class Acme:
    """Answers REST, and sends trades, quotes and books to who subscribed. Clock ``ahead`` (s)."""

    def __init__(self, ahead: float = 0.0) -> None:
        self.ahead = ahead
        self.state = "open"
        self.silent = False  # sends no more data
        self.skip = 0  # trades to leave out of the numbering
        self.jump = 1.0  # what prices are multiplied by
        self.number = 100
        self.said: list[Any] = []
        self.asked: list[str] = []

    @property
    def now(self) -> float:
        """The exchange's own clock."""
        return time.time() + self.ahead  # noqa: TID251 - it is the other side

    async def rest(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        self.asked.append(f"{request.method} {request.path_qs} {await request.text()}".strip())
        payload: Any = {
            "/v1/time": {"now": int(self.now * 1e3)},
            "/v1/status": {"state": self.state, "why": "upgrade"},
            "/v1/markets": [
                {"id": "XBT_USDT", "base": "XBT", "quote": "USDT", "state": "open"},
                {"id": "OLD_USDT", "base": "OLD", "quote": "USDT", "state": "closed"},
            ],
        }.get(request.path, {})
        return web.json_response({"code": 0, "data": payload}, headers={"X-Left": "500"})

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Serve one WebSocket."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"op": "welcome"})
        topics: set[str] = set()
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(self._send(socket, topics))
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    break
                asked = json.loads(message.data)
                self.said.append(asked)
                match asked["op"]:
                    case "subscribe":
                        good = [t for t in asked["topics"] if "XBT_USDT" in t]
                        topics |= set(good)
                        for topic in set(asked["topics"]) - set(good):
                            refusal = {"op": "refused", "id": asked["id"], "topic": topic}
                            await socket.send_json({**refusal, "why": "no such pair"})
                        await socket.send_json(
                            {"op": "subscribed", "id": asked["id"], "topics": good}
                        )
                        for topic in good:
                            if topic.startswith("book"):
                                await self._book(socket, topic, "all")
                    case "unsubscribe":
                        topics -= set(asked["topics"])
                        await socket.send_json({**asked, "op": "unsubscribed"})
                    case "ping":
                        await socket.send_json({"op": "pong", "n": asked["n"]})
            sending.cancel()
        return socket

    async def _send(self, socket: web.WebSocketResponse, topics: set[str]) -> None:
        while True:
            await asyncio.sleep(0.02)
            if self.silent:
                continue
            self.number += 1 + self.skip
            self.skip = 0
            price = 60_000.0 * self.jump + self.number % 7
            for topic in list(topics):
                if topic.startswith("trades"):
                    row = {"p": f"{price}", "q": "0.5", "s": "b" if self.number % 2 else "s"}
                    row |= {"t": int(self.now * 1e3), "n": self.number}  # type: ignore[dict-item]  # rows are mixed
                    await socket.send_json({"topic": topic, "data": [row]})
                elif topic.startswith("quotes"):
                    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(self.now))
                    sides = {"bid": [f"{price - 1}", "1"], "ask": [f"{price + 1}", "2"]}
                    row = {"pair": "XBT_USDT", "at": f"{at}.{int(self.now % 1 * 1e6):06}Z"}
                    await socket.send_json(
                        {"topic": topic, "data": {**row, **sides, "n": self.number}}
                    )
                elif topic.startswith("book"):
                    await self._book(socket, topic, "change")
                else:
                    start = int(self.now // 60 * 60)
                    candle = [start, price, price, price, f"{price}", False]
                    micros = int(self.now * 1e6)
                    await socket.send_json({"topic": topic, "us": micros, "data": [candle]})

    async def _book(self, socket: web.WebSocketResponse, topic: str, kind: str) -> None:
        row: dict[str, Any] = {"pair": "XBT_USDT", "n": self.number, "from": self.number}
        row |= {"bids": [["59000", "1"]], "asks": [["61000", "2"]]}
        await socket.send_json(
            {"topic": topic, "kind": kind, "us": int(self.now * 1e6), "data": row}
        )


@asynccontextmanager
async def serving(acme: Acme) -> AsyncIterator[str]:
    """Serve the exchange; yield host and port."""
    application = web.Application()
    application.router.add_get("/stream/v1", acme.stream)
    application.router.add_route("*", "/{path:.*}", acme.rest)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
