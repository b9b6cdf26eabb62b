"""cryptofeed: books by nonces and checksums, trades, quotes and candles over WebSocket."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import websockets
from cryptofeed import connection
from cryptofeed.connection import HTTPSync
from cryptofeed.defines import CANDLES, L2_BOOK, TICKER, TRADES
from cryptofeed.exchanges import (
    OKX,
    Binance,
    BinanceDelivery,
    BinanceFutures,
    BinanceUS,
    Bitstamp,
    Bybit,
    Kraken,
    KuCoin,
)

from tests.interop.clients.cells import PATIENCE, addresses, tell

ALL = (TRADES, TICKER, L2_BOOK, CANDLES)
WANTED = {TRADES: 5, TICKER: 5, L2_BOOK: 30, CANDLES: 2}
# The account that this client wants for the snapshots of KuCoin's books, which need none.
KUCOIN = {"kucoin": {"key_id": "x", "key_secret": "x", "key_passphrase": "x"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One feed: our venue, the class, a market, what to watch, and what to add to the address."""

    venue: str
    kind: Any
    symbol: str
    channels: tuple[str, ...] = ALL
    path: str = ""
    strict: bool = True  # with the client's own checks of the book


CASES = (
    Case(venue="binance", kind=Binance, symbol="BTC-USDT"),
    Case(venue="binance_us", kind=BinanceUS, symbol="BTC-USDT"),
    # Its own address is the one that Binance split in two in April 2026.
    Case(venue="binance_futures", kind=BinanceFutures, symbol="BTC-USDT-PERP",
         channels=(L2_BOOK, TICKER), path="/public"),
    Case(venue="binance_futures", kind=BinanceFutures, symbol="BTC-USDT-PERP",
         channels=(TRADES, CANDLES), path="/market"),
    Case(venue="binance_coinm", kind=BinanceDelivery, symbol="BTC-USD-PERP"),
    Case(venue="bybit", kind=Bybit, symbol="BTC-USDT", channels=(TRADES, L2_BOOK, CANDLES)),
    Case(venue="bybit", kind=Bybit, symbol="BTC-USDT-PERP"),
    # OKX's checksums are all 0 since 2026-06-23, which this client takes for wrong ones.
    Case(venue="okx", kind=OKX, symbol="BTC-USDT", channels=(TRADES, TICKER, L2_BOOK),
         strict=False),
    Case(venue="kraken_v1", kind=Kraken, symbol="BTC-USD"),
    Case(venue="kucoin", kind=KuCoin, symbol="BTC-USDT"),
    # It drops the updates before the snapshot by whole seconds, so that some of them stay.
    Case(venue="bitstamp", kind=Bitstamp, symbol="BTC-USD", channels=(TRADES, L2_BOOK),
         strict=False),
)  # fmt: skip
COMPLAINTS: list[str] = []


class Complaints(logging.Handler):
    """Keeps what cryptofeed says of holes, wrong checksums and frames that it cannot read."""

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record."""
        cause = f" ({record.exc_info[1]!r})" if record.exc_info else ""
        COMPLAINTS.append(record.getMessage()[:200] + cause[:200])


def _redirected(case: Case, base: str) -> Any:
    """Return the client's class with the simulated venue's addresses in place of the real."""
    stream = base.replace("http", "wss", 1) + case.path

    class Sync(HTTPSync):
        """Asks the simulated venue whatever address is spelled out in the client."""

        def write(self, address: str, **more: Any) -> Any:
            answer = super().write(base + "/" + address.split("/", 3)[3], **more)
            server = answer["data"]["instanceServers"][0]
            server["endpoint"] = server["endpoint"].replace("ws:", "wss:")
            return answer

    kept: dict[str, Any] = {
        "rest_endpoints": [replace(one, address=base) for one in case.kind.rest_endpoints],
        "http_sync": Sync(),
    }
    if case.kind.websocket_endpoints:
        kept["websocket_endpoints"] = [
            replace(one, address=stream + _path(one.address))
            for one in case.kind.websocket_endpoints
        ]
    return type(case.kind.__name__, (case.kind,), kept)


def _connect(address: str, **options: Any) -> Any:
    """Connect without the TLS that the client insists on, and that no simulated venue has."""
    return websockets.connect(address.replace("wss:", "ws:"), **options)


def _path(address: str) -> str:
    _, slash, path = address.partition("://")[2].partition("/")
    return slash + path


async def _run(case: Case, base: str) -> None:
    """Watch one market until every channel has said enough, and tell of each."""
    seen: Counter[str] = Counter()
    wrong: dict[str, str] = {}
    enough = asyncio.Event()

    def callback(channel: str) -> Any:
        async def take(event: Any, received: float) -> None:
            seen[channel] += 1
            if all(seen[each] >= WANTED[each] for each in case.channels):
                enough.set()
            if channel == L2_BOOK and case.strict:
                (bid, _), (ask, _) = event.book.bids.index(0), event.book.asks.index(0)
                if bid >= ask:
                    wrong[channel] = f"crossed: {bid} {ask}"

        return take

    feed = _redirected(case, base)(
        symbols=[case.symbol],
        channels=list(case.channels),
        callbacks={channel: callback(channel) for channel in case.channels},
        checksum_validation=case.strict,
        cross_check=case.strict,
        candle_closed_only=False,
        config=KUCOIN if case.kind is KuCoin else None,
    )
    feed.start(asyncio.get_running_loop())
    try:
        await asyncio.wait_for(enough.wait(), PATIENCE)
    except TimeoutError:
        for channel in case.channels:
            if seen[channel] < WANTED[channel]:
                wrong.setdefault(channel, f"{seen[channel]} of {WANTED[channel]} callbacks")
    feed.stop()
    await feed.shutdown()
    said, COMPLAINTS[:] = "; ".join(COMPLAINTS), []
    for channel in case.channels:
        tell(case.venue, f"{channel} {case.symbol}", wrong.get(channel, "") or said)
        said = "" if not wrong else said


async def main() -> None:
    """Try each venue that is simulated, one after the other: complaints name no venue."""
    log = logging.getLogger("feedhandler")
    log.handlers, log.propagate = [Complaints(logging.WARNING)], False
    log.setLevel(logging.WARNING)
    connection.connect = _connect
    venues: Mapping[str, str] = addresses()
    for case in CASES:
        try:
            await _run(case, venues[case.venue])
        except Exception as error:  # noqa: BLE001 - whatever a foreign client raises is its verdict
            tell(case.venue, f"start {case.symbol}", f"{type(error).__name__}: {str(error)[:300]}")


asyncio.run(main())
