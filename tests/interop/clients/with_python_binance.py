"""python-binance: REST, sockets and depth caches of Binance's spot and futures."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from binance import AsyncClient, BinanceSocketManager, DepthCacheManager
from binance.enums import FuturesType

from tests.interop.clients.cells import Levels, addresses, attempt, equal_books

SYMBOL = "BTCUSDT"


def _client(venues: Mapping[str, str]) -> Any:
    """Return a client whose addresses are the simulated ones."""
    client = AsyncClient()
    client.API_URL = venues["binance"] + "/api"
    client.MARGIN_API_URL = venues["binance"] + "/sapi"
    client.FUTURES_URL = venues["binance_futures"] + "/fapi"
    client.FUTURES_COIN_URL = venues["binance_coinm"] + "/dapi"
    return client


async def _receive(socket: Any, event: str) -> None:
    """Await three messages of one kind of event."""
    async with socket as stream:
        for _ in range(3):
            message = await stream.recv()
            body = message.get("data", message)
            assert body.get("e", "bookTicker") == event, message


async def _book(client: Any, sockets: Any) -> None:
    async with DepthCacheManager(
        client, SYMBOL, bm=sockets, limit=100, ws_interval=100, refresh_interval=None
    ) as manager:

        async def streamed() -> tuple[Levels, Levels]:
            book = await manager.recv()
            return [tuple(row) for row in book.get_bids()], [tuple(row) for row in book.get_asks()]

        async def asked() -> tuple[Levels, Levels]:
            book = await client.get_order_book(symbol=SYMBOL, limit=100)
            bids, asks = (
                [(float(price), float(size)) for price, size in book[side]]
                for side in ("bids", "asks")
            )
            return bids, asks

        await equal_books(streamed, asked)


async def _futures(client: Any, sockets: Any, venue: str, symbol: str, kind: Any) -> None:
    prefix = "futures" if venue == "binance_futures" else "futures_coin"
    for name in ("ping", "time", "exchange_info"):
        await attempt(venue, name, getattr(client, f"{prefix}_{name}")())
    for name in ("order_book", "orderbook_ticker", "klines", "recent_trades", "ticker"):
        more = {"interval": "1m"} if name == "klines" else {}
        call = getattr(client, f"{prefix}_{name}")(symbol=symbol, **more)
        await attempt(venue, name, call)
    made = sockets.aggtrade_futures_socket(symbol, futures_type=kind)
    await attempt(venue, "aggtrade socket", _receive(made, "aggTrade"))
    made = sockets.symbol_ticker_futures_socket(symbol, futures_type=kind)
    await attempt(venue, "book ticker socket", _receive(made, "bookTicker"))


async def main() -> None:
    """Try spot, then both kinds of futures."""
    venues = addresses()
    client = _client(venues)
    sockets = BinanceSocketManager(client)
    sockets.STREAM_URL, sockets.FSTREAM_URL, sockets.DSTREAM_URL = (
        venues[name].replace("http", "ws", 1) + "/"
        for name in ("binance", "binance_futures", "binance_coinm")
    )
    try:
        for name in ("ping", "get_server_time", "get_system_status", "get_exchange_info"):
            await attempt("binance", name, getattr(client, name)())
        for name in ("get_order_book", "get_recent_trades", "get_aggregate_trades", "get_ticker",
                     "get_orderbook_ticker", "get_symbol_ticker"):  # fmt: skip
            await attempt("binance", name, getattr(client, name)(symbol=SYMBOL))
        await attempt("binance", "get_klines", client.get_klines(symbol=SYMBOL, interval="1m"))
        for name, event in (("trade", "trade"), ("aggtrade", "aggTrade"), ("kline", "kline"),
                            ("symbol_ticker", "24hrTicker"), ("symbol_book_ticker", "bookTicker"),
                            ("symbol_miniticker", "24hrMiniTicker")):  # fmt: skip
            made = getattr(sockets, f"{name}_socket")(SYMBOL)
            await attempt("binance", f"{name} socket", _receive(made, event))
        await attempt("binance", "depth cache", _book(client, sockets))
        await _futures(client, sockets, "binance_futures", SYMBOL, FuturesType.USD_M)
        await _futures(client, sockets, "binance_coinm", "BTCUSD_PERP", FuturesType.COIN_M)
    finally:
        await client.close_connection()


asyncio.run(main())
