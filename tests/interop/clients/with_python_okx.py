"""python-okx: OKX's own client, REST and WebSocket."""

from __future__ import annotations

import asyncio
import json
import warnings
from functools import partial
from typing import Any

import websockets
from okx.MarketData import MarketAPI
from okx.PublicData import PublicAPI
from okx.Status import StatusAPI
from okx.websocket.WebSocketFactory import WebSocketFactory
from okx.websocket.WsPublicAsync import WsPublicAsync

from tests.interop.clients.cells import PATIENCE, addresses, attempt, once

VENUE, SYMBOL = "okx", "BTC-USDT"


class PlainFactory(WebSocketFactory):
    """The client's way to connect, without the TLS that it insists on."""

    async def connect(self) -> Any:
        """Connect to the simulated venue, whose address has no TLS."""
        self.websocket = await websockets.connect(self.url)
        return self.websocket


def _asked(call: Any) -> str:
    answer = call()
    return "" if answer["code"] == "0" and answer["data"] else f"{answer}"[:200]


async def _watched(url: str, channel: str, wanted: int) -> None:
    frames: asyncio.Queue[str] = asyncio.Queue()
    client = WsPublicAsync(url=url)
    client.factory = PlainFactory(url)
    task = await client.start()
    await client.subscribe([{"channel": channel, "instId": SYMBOL}], callback=frames.put_nowait)
    ack = json.loads(await asyncio.wait_for(frames.get(), PATIENCE))
    assert ack["event"] == "subscribe", ack
    for _ in range(wanted):
        frame = json.loads(await asyncio.wait_for(frames.get(), PATIENCE))
        assert frame["arg"]["channel"] == channel, frame
        assert frame["data"], frame
    await client.stop()
    await task


async def main() -> None:
    """Try each answer and channel that is simulated."""
    warnings.simplefilter("ignore")
    base = addresses()[VENUE]
    public, market = (kind(flag="0", domain=base) for kind in (PublicAPI, MarketAPI))
    for name, call in (
        ("get_system_time", public.get_system_time),
        ("get_instruments", lambda: public.get_instruments("SPOT")),
        ("get_ticker", lambda: market.get_ticker(SYMBOL)),
        ("get_tickers", lambda: market.get_tickers("SPOT")),
        ("get_orderbook", lambda: market.get_orderbook(SYMBOL, "50")),
        ("get_candlesticks", lambda: market.get_candlesticks(SYMBOL)),
        ("get_trades", lambda: market.get_trades(SYMBOL)),
    ):
        once(VENUE, name, partial(_asked, call))
    status = StatusAPI(flag="0", domain=base)
    once(VENUE, "status", lambda: "" if status.status()["code"] == "0" else "refused")
    stream = base.replace("http", "ws", 1) + "/ws/v5"
    for channel in ("trades", "tickers", "books", "books5", "bbo-tbt"):
        await attempt(VENUE, f"{channel} socket", _watched(f"{stream}/public", channel, 3))
    for channel in ("trades-all", "candle1m"):
        await attempt(VENUE, f"{channel} socket", _watched(f"{stream}/business", channel, 2))


asyncio.run(main())
