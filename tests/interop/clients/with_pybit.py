"""pybit: Bybit's own client, REST and WebSocket, spot and linear."""

from __future__ import annotations

import queue
from functools import partial
from typing import Any

from pybit.unified_trading import HTTP, WebSocket

from tests.interop.clients.cells import PATIENCE, addresses, once

VENUE, SYMBOL = "bybit", "BTCUSDT"


def _rest(base: str, category: str) -> None:
    client = HTTP()
    client.endpoint = base
    named = {"category": category, "symbol": SYMBOL}
    for name, arguments in (
        ("get_server_time", {}),
        ("get_system_status", {}),
        ("get_instruments_info", named),
        ("get_tickers", named),
        ("get_orderbook", named),
        ("get_public_trade_history", named),
        ("get_kline", {**named, "interval": "1"}),
    ):
        once(VENUE, f"{name} {category}", partial(_asked, client, name, arguments))


def _asked(client: Any, name: str, arguments: Any) -> str:
    answer = getattr(client, name)(**arguments)
    return "" if answer["retCode"] == 0 and answer["result"] else f"{answer}"[:200]


def _streams(base: str, category: str) -> None:
    class Redirected(WebSocket):
        """The client, which takes its address from a constant."""

        def _connect(self, url: str) -> None:
            super()._connect(f"{base.replace('http', 'ws', 1)}/v5/public/{category}")

    socket = Redirected(category, testnet=False)
    for name, arguments in (
        ("trade_stream", (SYMBOL,)),
        ("ticker_stream", (SYMBOL,)),
        ("kline_stream", (1, SYMBOL)),
        ("orderbook_stream", (50, SYMBOL)),
        ("orderbook_stream", (1, SYMBOL)),
    ):
        depth = f" {arguments[0]}" if name == "orderbook_stream" else ""
        once(VENUE, f"{name}{depth} {category}", partial(_watched, socket, name, arguments))
    socket.exit()


def _watched(socket: Any, name: str, arguments: tuple[object, ...]) -> str:
    """Subscribe as a user of the client does, and await five callbacks."""
    frames: queue.Queue[Any] = queue.Queue()
    *first, symbol = arguments
    getattr(socket, name)(*first, symbol, callback=frames.put)
    for number in range(2 if name == "kline_stream" else 5):
        data = frames.get(timeout=PATIENCE)["data"]
        # The client folds deltas into its own copy and hands that on.
        if name == "orderbook_stream" and number:
            bids, asks = ([float(row[0]) for row in data[side]] for side in "ba")
            if not bids or not asks or max(bids) >= min(asks):
                return f"a book that cannot be: {max(bids)} {min(asks)}"
    return ""


def main() -> None:
    """Try both product classes that are simulated."""
    base = addresses()[VENUE]
    for category in ("spot", "linear"):
        _rest(base, category)
        _streams(base, category)


main()
