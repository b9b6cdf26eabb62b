"""python-kraken-sdk: REST, the second WebSocket API, and books by their checksums."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from kraken.base_api import SpotClient
from kraken.spot import Market, SpotOrderBookClient, SpotWSClient

from tests.interop.clients.cells import PATIENCE, addresses, attempt, once

VENUE, SYMBOL = "kraken", "BTC/USD"


async def _watched(url: str, channel: str, wanted: int, **params: object) -> None:
    frames: asyncio.Queue[Any] = asyncio.Queue()

    async def take(message: Any) -> None:
        frames.put_nowait(message)

    client = SpotWSClient(callback=take, ws_url=url)
    await client.start()
    await client.subscribe(params={"channel": channel, "symbol": [SYMBOL], **params})
    seen, acked = 0, False
    while seen < wanted:
        frame = await asyncio.wait_for(frames.get(), PATIENCE)
        acked = acked or frame.get("success") is True
        assert frame.get("success") is not False, frame
        seen += frame.get("channel") == channel
    assert acked
    await client.close()


async def _book(url: str, wanted: int) -> None:
    """Follow a book for a while: the client refuses a wrong checksum itself."""
    updates: asyncio.Queue[Any] = asyncio.Queue()

    class Book(SpotOrderBookClient):
        WS_URL = url

        async def on_book_update(self, pair: str, message: Any) -> None:
            updates.put_nowait((message, (self.get(pair) or {}).get("valid")))

    client = Book(depth=10)
    await client.start()
    await client.add_book(pairs=[SYMBOL])
    for _ in range(wanted):
        message, valid = await asyncio.wait_for(updates.get(), PATIENCE)
        assert valid, message
    book = client.get(SYMBOL)
    assert float(next(iter(book["bid"]))) < float(next(iter(book["ask"])))
    await client.close()


def _asked(call: Callable[..., object], arguments: Mapping[str, str]) -> str:
    return "" if call(**arguments) else "empty"


async def main() -> None:
    """Try each answer and channel that is simulated."""
    base = addresses()[VENUE]
    SpotClient.URL = base  # for the market that the book's client makes itself
    market = Market(url=base)
    asked: tuple[tuple[str, dict[str, str]], ...] = (
        ("get_assets", {}),
        ("get_asset_pairs", {}),
        ("get_ticker", {"pair": "XBTUSD"}),
        ("get_ohlc", {"pair": "XBTUSD"}),
        ("get_order_book", {"pair": "XBTUSD"}),
        ("get_recent_trades", {"pair": "XBTUSD"}),
        ("get_system_status", {}),
    )
    for name, arguments in asked:
        once(VENUE, name, partial(_asked, getattr(market, name), arguments))
    url = base.replace("http", "ws", 1)
    for channel, wanted in (("trade", 5), ("ticker", 5), ("ohlc", 2)):
        await attempt(VENUE, f"{channel} socket", _watched(url, channel, wanted))
    await attempt(VENUE, "book with checksums", _book(url, 30))


asyncio.run(main())
