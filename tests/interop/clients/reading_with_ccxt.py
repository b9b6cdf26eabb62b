"""ccxt as a reader: the frames of a recording through its own handlers, without any network.

Given a list of (our venue, ccxt's class, file, how many frames), prints the trades and the final
books that it made of each as one line of JSON.
"""

from __future__ import annotations

import ast
import asyncio
import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ccxt.pro as ccxt


class Connection:
    """What ccxt's handlers ask of a connection: an address, and somewhere to put results."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.subscriptions: dict[str, Any] = {}
        self.futures: dict[str, Any] = {}
        self.errors: list[str] = []
        self.lastPong = 0

    def resolve(self, result: Any, message_hash: str = "") -> Any:
        """Take a result, for which nobody waits."""
        return result

    def reject(self, error: Any, message_hash: str = "") -> None:
        """Keep what a handler complains of."""
        self.errors.append(repr(error)[:200])

    def on_pong(self, message: Any) -> None:
        """Take a pong."""


def lines(file: Path) -> Iterator[tuple[str, str, str]]:
    """Yield kind (frame, answer or address), what it is from, and its text."""
    for line in file.read_text().splitlines():
        head, _, text = line.partition(": ")
        if " <-> " in line:
            yield "address", line.partition(" <-> ")[0], ""
        elif " -> " in head:
            yield "answer", head.partition(" -> ")[0], text
        elif " <- " not in head:
            yield "frame", head, _plain(text)


def _plain(text: str) -> str:
    """Return a frame's text: a binary one is written as a literal, and may be compressed."""
    if not text.startswith(("b'", 'b"')):
        return text
    raw: bytes = ast.literal_eval(text)
    return (gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw).decode()


def rows(side: Any) -> list[list[float]]:
    """Return levels as plain lists."""
    return [[float(level[0]), float(level[1])] for level in side]


async def read(kind: str, file: Path, most: int) -> dict[str, Any]:
    """Return what ccxt makes of one recording."""
    client = getattr(ccxt, kind)({"options": {"tradesLimit": 10**6, "OHLCVLimit": 10}})
    client.markets, client.markets_by_id, client.currencies_by_id = {}, {}, {}
    client.spawn = lambda *work: None  # whatever would ask the network
    client.market = lambda symbol: client.safe_market(symbol, None, None, "spot")
    connection, count, failed = Connection(""), 0, []
    for what, place, text in lines(file):
        if what == "address":
            connection.url = place
            continue
        if what == "answer":
            await _snapshot(client, connection, text)
            continue
        if count == most:
            break
        count += 1
        if '"topic":"orderbook.1.' in text:
            continue  # ccxt takes Bybit's quotes for changes of the book
        try:
            _book_of(client, json.loads(text))
            client.handle_message(connection, json.loads(text))
        except Exception as error:  # noqa: BLE001 - whatever a foreign reader raises is its verdict
            failed.append(f"{error!r}: {text[:100]}"[:300])
    trades = [
        [trade["timestamp"], float(trade["price"]), float(trade["amount"]), trade["side"]]
        for cache in client.trades.values()
        for trade in cache
    ]
    books = {symbol: [rows(book["bids"]), rows(book["asks"])]
             for symbol, book in client.orderbooks.items()}  # fmt: skip
    await client.close()
    return {"trades": trades, "books": books, "failed": failed + connection.errors}


def _book_of(client: Any, message: Any) -> None:
    """Make an empty book for a market of Binance that ccxt would have made when it subscribed."""
    body = message.get("data", message) if isinstance(message, dict) else {}
    if isinstance(body, dict) and body.get("e") == "depthUpdate":
        symbol = client.safe_market(body["s"], None, None, "spot")["symbol"]
        client.orderbooks.setdefault(symbol, client.order_book({}))


async def _snapshot(client: Any, connection: Connection, text: str) -> None:
    """Hand ccxt the REST answer on which its books of Binance begin."""
    if not client.id.startswith("binance"):
        return
    body = json.loads(text)
    for symbol in client.orderbooks:
        parsed = client.parse_order_book(body, symbol)
        parsed["nonce"] = body["lastUpdateId"]

        async def answer(*asked: Any, parsed: Any = parsed) -> Any:
            return parsed

        client.fetch_rest_order_book_safe = answer
        kind = {"symbol": symbol, "type": "spot" if client.id == "binance" else "linear"}
        await client.fetch_order_book_snapshot(connection, {}, kind)


async def main() -> None:
    """Read all recordings that are named."""
    for venue, kind, file, most in json.loads(sys.argv[1]):
        found = await read(kind, Path(file), most)
        sys.stdout.write(json.dumps({"venue": venue, "file": file, **found}) + "\n")


asyncio.run(main())
