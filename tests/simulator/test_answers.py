"""Answers of the simulated venues that other people's clients ask for, and once lacked."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from exporter.simulator import Simulator
from tests.simulator.client import connected, fetch


def ask(path: str) -> Any:
    """Ask one simulated venue over HTTP and return the answer's JSON."""

    async def run() -> Any:
        async with Simulator(symbols=("BTC-USDT", "ETH-USDT")) as simulator:
            return (await fetch(simulator, path))[2]

    return asyncio.run(run())


def test_kraken_answers_the_pair_that_is_asked_for() -> None:
    """One pair, two, all without a name; an unknown one refuses the request as a whole."""
    path = "/kraken/0/public/AssetPairs"
    assert set(ask(f"{path}?pair=XBTUSD")["result"]) == {"XBTUSD"}
    assert set(ask(f"{path}?pair=XBTUSD,ETHUSDT")["result"]) == {"XBTUSD", "ETHUSDT"}
    assert set(ask(path)["result"]) == {"XBTUSD", "XBTUSDT", "ETHUSD", "ETHUSDT"}
    assert ask(f"{path}?pair=XBTUSD,NOPE") == {"error": ["EQuery:Unknown asset pair"]}
    book = ask("/kraken/0/public/Depth?pair=XBTUSD&count=3")["result"]["XBTUSD"]
    assert (len(book["bids"]), len(book["asks"])) == (3, 3)
    assert float(book["bids"][0][0]) < float(book["asks"][0][0])


def test_a_contract_of_bybit_says_what_it_is() -> None:
    """Linear instruments have a contract type and a settle coin; spot ones have neither."""
    path = "/bybit/v5/market/instruments-info?symbol=BTCUSDT&category="
    linear, spot = (ask(path + kind)["result"]["list"][0] for kind in ("linear", "spot"))
    assert (linear["contractType"], linear["settleCoin"]) == ("LinearPerpetual", "USDT")
    assert not {"contractType", "settleCoin"} & set(spot)


@pytest.mark.parametrize("given", [7, "7"])
def test_bybit_gives_an_id_back_as_text(given: object) -> None:
    """Whatever it was sent as."""

    async def run() -> None:
        asked = {"op": "subscribe", "req_id": given, "args": ["tickers.BTCUSDT"]}
        async with Simulator() as simulator, connected(simulator, "bybit") as stream:
            await stream.ask(asked)
            assert (await stream.next())["req_id"] == "7"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("path", "name", "keys"),
    [
        ("/binance/ws", "btcusdt@miniTicker", {"e", "E", "s", "c", "o", "h", "l", "v", "q"}),
        ("/binance_futures/public/ws", "btcusdt@trade",
         {"e", "E", "s", "t", "p", "q", "T", "m", "X"}),
    ],
)  # fmt: skip
def test_streams_of_binance_that_other_clients_take(path: str, name: str, keys: set[str]) -> None:
    """The day in short, and the futures' single trades, which no page names."""

    async def run() -> None:
        async with (
            Simulator(rate=50) as simulator,
            aiohttp.ClientSession() as http,
            http.ws_connect(simulator.url + f"{path}/{name}") as socket,
        ):
            assert set((await socket.receive(timeout=5)).json()) == keys

    asyncio.run(run())


def test_kucoin_publishes_the_day_and_the_top_of_the_book() -> None:
    """The topics whose names other clients use for tickers, quotes and five levels."""
    topics = ("/market/snapshot", "/spotMarket/level1", "/spotMarket/level2Depth5")

    async def run() -> dict[str, Any]:
        async with Simulator(book_rate=50) as simulator:
            token = (await fetch(simulator, "/kucoin/api/v1/bullet-public", method="POST"))[2]
            server = token["data"]["instanceServers"][0]["endpoint"]
            url = f"{server}?token={token['data']['token']}"
            async with aiohttp.ClientSession() as http, http.ws_connect(url) as socket:
                for number, topic in enumerate(topics):
                    await socket.send_json({"id": number, "type": "subscribe", "response": True,
                                            "topic": f"{topic}:BTC-USDT"})  # fmt: skip
                seen: dict[str, Any] = {}
                while len(seen) < len(topics):
                    frame = (await socket.receive(timeout=5)).json()
                    if frame["type"] == "message":
                        seen[frame["topic"].partition(":")[0]] = frame["data"]
                return seen

    seen = asyncio.run(run())
    day, best, top = (seen[topic] for topic in topics)
    assert float(day["data"]["lastTradedPrice"]) > 0
    assert (len(top["bids"]), len(top["asks"])) == (5, 5)
    assert float(best["bids"][0]) < float(best["asks"][0])
