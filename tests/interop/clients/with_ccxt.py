"""ccxt: REST, and `watch*` over WebSocket, for each venue that it knows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import ccxt.pro as ccxt

from tests.interop.clients.cells import Levels, addresses, attempt, equal_books

# Whose address ccxt would ask, and which simulated venue answers in its place.
HOSTS = {
    "binance": ("api.binance.com", "stream.binance.com:9443"),
    "binance_futures": ("fapi.binance.com", "fstream.binance.com"),
    "binance_coinm": ("dapi.binance.com", "dstream.binance.com"),
    "binance_us": ("api.binance.us", "stream.binance.us:9443"),
    "bybit": ("api.{hostname}", "stream.{hostname}"),
    "okx": ("{hostname}", "ws.okx.com:443"),
    "kraken": ("api.kraken.com", "ws.kraken.com"),
    "kucoin": ("api.kucoin.com",),
    "coinbase": ("api.{hostname}", "ws-feed.exchange.coinbase.com"),
    "bitstamp": ("www.bitstamp.net", "ws.bitstamp.net"),
    "gate": ("api.gateio.ws", "ws.gate.io", "api.gateio.ws"),
    "bitget": ("api.{hostname}", "ws.bitget.com"),
    "deribit": ("www.deribit.com",),
    "hyperliquid": ("api.{hostname}", "api.hyperliquid.xyz"),
}
# Ours, ccxt's class, the market, its options.
CASES: tuple[tuple[str, str, str, Mapping[str, Any]], ...] = (
    ("binance", "binance", "BTC/USDT", {"fetchMarkets": {"types": ["spot"]}}),
    ("binance_futures", "binanceusdm", "BTC/USDT:USDT", {"fetchMarkets": {"types": ["linear"]}}),
    ("binance_coinm", "binancecoinm", "BTC/USD:BTC", {"fetchMarkets": {"types": ["inverse"]}}),
    ("binance_us", "binanceus", "BTC/USDT", {}),
    ("bybit", "bybit", "BTC/USDT", {"fetchMarkets": {"types": ["spot"]}}),
    ("bybit", "bybit", "BTC/USDT:USDT", {"fetchMarkets": {"types": ["linear"]},
                                         "defaultType": "swap"}),
    ("okx", "okx", "BTC/USDT", {"fetchMarkets": {"types": ["spot"]}}),
    ("kraken", "kraken", "BTC/USD", {}),
    ("kucoin", "kucoin", "BTC/USDT", {"fetchMarkets": {"types": ["spot"]}}),
    ("coinbase", "coinbaseexchange", "BTC/USD", {}),
    ("bitstamp", "bitstamp", "BTC/USD", {}),
    ("gate", "gate", "BTC/USDT", {"fetchMarkets": {"types": ["spot"]}}),
    ("bitget", "bitget", "BTC/USDT", {"fetchMarkets": {"types": ["spot"]}}),
    ("deribit", "deribit", "BTC/USDC", {}),
    ("hyperliquid", "hyperliquid", "BTC/USDC:USDC", {"fetchMarkets": {"types": ["swap"]}}),
)  # fmt: skip
ASKED = ("fetchTime", "fetchStatus", "fetchTicker", "fetchTrades", "fetchOHLCV")
WATCHED = ("watchTrades", "watchTicker", "watchOHLCV")
SNAKE = {"fetchOHLCV": "fetch_ohlcv", "watchOHLCV": "watch_ohlcv"}


def _redirected(urls: Any, venues: Mapping[str, str]) -> Any:
    """Return ccxt's table of addresses with the simulated ones in place of the real."""
    if isinstance(urls, dict):
        return {key: _redirected(value, venues) for key, value in urls.items()}
    if not isinstance(urls, str):
        return urls
    scheme, _, rest = urls.partition("://")
    host, slash, path = rest.partition("/")
    for name, hosts in HOSTS.items():
        if host in hosts and name in venues:
            base = venues[name].partition("://")[2]
            return f"{scheme.removesuffix('s')}://{base}{slash}{path}"
    return urls


def _sides(book: Mapping[str, Any], digits: int) -> tuple[Levels, Levels]:
    bids, asks = (
        [(float(row[0]), round(float(row[1]), digits)) for row in book[side]]
        for side in ("bids", "asks")
    )
    return bids, asks


async def _book(client: Any, symbol: str, digits: int) -> None:
    async def streamed() -> tuple[Levels, Levels]:
        return _sides(await client.watch_order_book(symbol), digits)

    async def asked() -> tuple[Levels, Levels]:
        return _sides(await client.fetch_order_book(symbol), digits)

    await equal_books(streamed, asked)


async def _case(
    venues: Mapping[str, str], venue: str, kind: str, symbol: str, options: Mapping[str, Any]
) -> None:
    client = getattr(ccxt, kind)({"enableRateLimit": False, "options": options})
    client.urls["api"] = _redirected(
        client.urls["api"], {name: venues[name] for name in (venue, "binance") if name in venues}
    )
    suffix = f" {symbol}" if kind == "bybit" else ""
    try:
        if await attempt(venue, f"loadMarkets{suffix}", client.load_markets()) is None:
            return
        for name in (*ASKED, *WATCHED):
            if not client.has.get(name):
                continue
            method: Callable[..., Awaitable[Any]] = getattr(
                client, SNAKE.get(name) or name.replace("T", "_t").replace("S", "_s")
            )
            arguments = () if name in ("fetchTime", "fetchStatus") else (symbol,)
            await attempt(venue, name + suffix, method(*arguments))
        # Kraken's REST books have sizes of three decimals, its streamed ones of eight.
        digits = 3 if venue == "kraken" else 8
        await attempt(venue, f"watchOrderBook{suffix}", _book(client, symbol, digits))
        # After the book: with Bybit's quotes under way this client takes them for the book.
        if client.has.get("watchBidsAsks"):
            await attempt(venue, f"watchBidsAsks{suffix}", client.watch_bids_asks([symbol]))
    finally:
        await client.close()


async def main() -> None:
    """Try each venue that is simulated."""
    venues = addresses()
    await asyncio.gather(*(_case(venues, *case) for case in CASES if case[0] in venues))


asyncio.run(main())
