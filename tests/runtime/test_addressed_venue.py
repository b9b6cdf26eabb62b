"""A made-up exchange whose streams' addresses name the market, so that nothing is asked for."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from exporter.model import SubscriptionState
from tests.runtime.running import wait_metrics, wait_until
from tests.runtime.test_defined_venue import watching

DEFINITION = """
name: poster
source: made up for tests
rest:
  url: https://api.poster.example
  endpoints: [{name: time, path: /time, clock: now}]
symbols: {form: "{base}_{quote}", lower: true}
stream:
  urls: wss://stream.poster.example
  compression: gzip
  controls:
    - {text: ping, reply: pong, label: ping}
channels:
  trades:
    topic: deals/{symbol}
    route: /live/{symbol}/deals
    continuity: rising
    frames:
      - {when: {e: deals}, rows: deals, time: {path: "0", unit: us}, price: "1",
         size: "2", side: {path: "2", sign: true}, sequence: "3"}
  book:
    topic: depth/{symbol}
    route: /live/{symbol}/depth?levels=all
    continuity: contiguous
    snapshot: {path: "/book?of={symbol}", last: n, bids: b, asks: a}
    frames:
      - {when: {e: depth}, row: d, symbol: $.m, time: $.t, last: n, first: f, bids: b, asks: a}
"""
CONFIG = """
venue_files: poster.yml
streams: {{backoff_base: 10ms, backoff_cap: 100ms}}
exchanges:
  - venue: poster
    symbols: [BTC-USDT, ETH-USDT]
    rest_url: http://{host}
    stream_url: ws://{host}/v2
    endpoints: [{{name: time, interval: 1s}}]
"""


class Poster:
    """The scripted exchange: what it was asked for, and what it heard."""

    def __init__(self) -> None:
        self.opened = Counter[str]()
        self.heard = Counter[str]()
        self.number = 0

    def frame(self, market: str, feed: str) -> bytes:
        """Return the next message of a feed, compressed."""
        self.number += 1
        now = time.time()  # noqa: TID251 - it is the other side
        if feed == "deals":
            rows = [[int(now * 1e6), "20000.5", "-0.1", self.number]]
            message: dict[str, object] = {"e": "deals", "deals": rows}
        else:
            change = {"n": self.number, "f": self.number, "b": [["20000", "1"]], "a": []}
            message = {"e": "depth", "m": market, "t": int(now * 1e3), "d": change}
        return gzip.compress(json.dumps(message).encode(), 1)

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        """Send messages of the feed that the path names until the client is gone."""
        self.opened[request.path_qs] += 1
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("ping")

        market, feed = request.match_info["market"], request.match_info["feed"]
        source = self if feed == "deals" else Poster()  # each book's numbers are its own
        while not socket.closed:
            try:
                await socket.send_bytes(source.frame(market, feed))
                async with asyncio.timeout(0.02):
                    self.heard[str((await socket.receive()).data)] += 1
            except (TimeoutError, ConnectionError):
                continue
        return socket

    async def now(self, request: web.Request) -> web.Response:
        """Tell the time."""
        now = time.time()  # noqa: TID251 - it is the other side
        return web.json_response({"now": int(now * 1e3)})

    async def book(self, request: web.Request) -> web.Response:
        """Tell the book as of its beginning."""
        return web.json_response({"n": 1, "b": [["20000", "1"]], "a": [["20001", "2"]]})


@asynccontextmanager
async def serving(poster: Poster) -> AsyncIterator[str]:
    """Serve it on a free port; give its host."""
    app = web.Application()
    app.router.add_get("/v2/live/{market}/{feed}", poster.socket)
    app.router.add_get("/time", poster.now)
    app.router.add_get("/book", poster.book)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def test_each_market_has_a_connection_of_its_own(tmp_path: Path) -> None:
    """The address alone says what comes; every feed is live, in step, and nothing was sent."""
    poster = Poster()
    (tmp_path / "poster.yml").write_text(DEFINITION)
    file = tmp_path / "config.yml"

    async def main() -> None:
        async with serving(poster) as host:
            file.write_text(CONFIG.format(host=host))
            async with watching(file) as (app, program):
                (exchange,) = app.exchanges
                await wait_until(
                    lambda: sum(s.counts[SubscriptionState.LIVE] for s in exchange.streams) == 4
                )
                pair = '{exchange="poster",symbol="ETH-USDT"}'
                seen = await wait_metrics(
                    program,
                    lambda now: (
                        now.get(f"exchange_book_synced{pair}") == 1.0
                        and now.get(f"exchange_mid_price{pair}") == 20000.5
                    ),
                )
                gaps = "exchange_stream_sequence_gaps_total"
                assert seen[f'{gaps}{{exchange="poster",channel="book"}}'] == 0.0
        assert poster.opened == Counter(
            f"/v2/live/{market}/{feed}"
            for market in ("btc_usdt", "eth_usdt")
            for feed in ("deals", "depth?levels=all")
        )
        assert poster.heard["pong"] == 4

    asyncio.run(asyncio.wait_for(main(), 60.0))
