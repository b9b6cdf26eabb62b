"""What a healthy simulated venue sends, over real sockets, against the venues' documentation."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest

from exporter.simulator import Simulator
from tests.simulator.client import connected, fetch

# Short samples from the venues' documentation: keys and types must be the same, values differ.
SAMPLES: Mapping[str, Mapping[str, str]] = {
    "binance": {
        "btcusdt@trade": '{"stream":"x","data":{"e":"trade","E":1672515782136,"s":"BNBBTC",'
        '"t":12345,"p":"0.001","q":"100","T":1672515782136,"m":true,"M":true}}',
        "btcusdt@aggTrade": '{"stream":"x","data":{"e":"aggTrade","E":1633998523963,"s":"NKNUSDT",'
        '"a":15683430,"p":"0.35280000","q":"58.00000000","f":19862790,"l":19862790,'
        '"T":1633998523963,"m":false,"M":true}}',
        "btcusdt@bookTicker": '{"stream":"x","data":{"u":499869768,"s":"NKNUSDT",'
        '"b":"0.35210000","B":"672.00000000","a":"0.35260000","A":"3199.00000000"}}',
        "btcusdt@depth@100ms": '{"stream":"x","data":{"e":"depthUpdate","E":1633998512068,'
        '"s":"NKNUSDT","U":499869750,"u":499869752,"b":[["0.35130000","6195.00000000"]],"a":[]}}',
        "btcusdt@depth5@100ms": '{"stream":"x","data":{"lastUpdateId":160,'
        '"bids":[["0.0024","10"]],"asks":[["0.0026","100"]]}}',
        "btcusdt@kline_1m": '{"stream":"x","data":{"e":"kline","E":1633998523963,"s":"NKNUSDT",'
        '"k":{"t":1633998480000,"T":1633998539999,"s":"NKNUSDT","i":"1m","f":19862761,'
        '"L":19862790,"o":"0.35270000","c":"0.35280000","h":"0.35280000","l":"0.35220000",'
        '"v":"25877.0","n":30,"x":false,"q":"9116.04","V":"58.0","Q":"20.46","B":"0"}}}',
    },
    "bybit": {
        "publicTrade.BTCUSDT": '{"topic":"x","type":"snapshot","ts":1672304486868,"data":[{"T":'
        '1672304486865,"s":"BTCUSDT","S":"Buy","v":"0.001","p":"16578.50","L":"PlusTick",'
        '"i":"20f43950-d8dd-5b31-9112-a178eb6023af","BT":false,"seq":1783284617}]}',
        "orderbook.1.BTCUSDT": '{"topic":"x","ts":1786613159749,"type":"snapshot","data":'
        '{"s":"BTCUSDT","b":[["63705.3","2.045546"]],"a":[["63705.4","2.334566"]],"u":72212457,'
        '"seq":112603120278},"cts":1786613159748}',
        "orderbook.50.BTCUSDT": '{"topic":"x","type":"snapshot","ts":1672304484978,"data":'
        '{"s":"BTCUSDT","b":[["16493.50","0.006"]],"a":[["16611.00","0.029"]],"u":18521288,'
        '"seq":7961638724},"cts":1672304484976}',
        "kline.1.BTCUSDT": '{"topic":"x","data":[{"start":1672324800000,"end":1672325099999,'
        '"interval":"5","open":"16649.5","close":"16677","high":"16677","low":"16608",'
        '"volume":"2.081","turnover":"34666.4","confirm":false,"timestamp":1672324988882}],'
        '"ts":1672324988882,"type":"snapshot"}',
        "tickers.BTCUSDT": '{"topic":"x","ts":1786538729776,"type":"snapshot","cs":112571857121,'
        '"data":{"symbol":"BTCUSDT","lastPrice":"64057.7","highPrice24h":"64500",'
        '"lowPrice24h":"63232.1","prevPrice24h":"64326.9","volume24h":"7217.99",'
        '"turnover24h":"460629823.7","price24hPcnt":"-0.0042","usdIndexPrice":"63989.7"}}',
    },
    "okx": {
        "trades:BTC-USDT": '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":'
        '"BTC-USDT","tradeId":"7849","px":"30218.8","sz":"1","side":"buy",'
        '"ts":"1652459199958","count":"3"}]}',
        "bbo-tbt:BTC-USDT": '{"arg":{"channel":"bbo-tbt","instId":"BTC-USDT"},"data":[{"asks":'
        '[["8476.98","415","0","13"]],"bids":[["8476.97","256","0","12"]],'
        '"ts":"1597026383085","seqId":123456}]}',
        "books:BTC-USDT": '{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"snapshot",'
        '"data":[{"asks":[["30238.8","2","0","1"]],"bids":[["30238.7","2","0","1"]],'
        '"ts":"1652459225464","checksum":0,"prevSeqId":-1,"seqId":10}]}',
        "tickers:BTC-USDT": '{"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":[{"instType":'
        '"SPOT","instId":"BTC-USDT","last":"1","lastSz":"1","askPx":"1","askSz":"1","bidPx":"1",'
        '"bidSz":"1","open24h":"1","high24h":"1","low24h":"1","sodUtc0":"1","sodUtc8":"1",'
        '"volCcy24h":"1","vol24h":"1","ts":"1786613174873"}]}',
    },
}
ACKS = {
    "binance": {"result": None, "id": 1},
    "bybit": {"success": True, "ret_msg": "subscribe", "conn_id": "", "req_id": "1",
              "op": "subscribe"},
    "okx": {"event": "subscribe", "arg": {"channel": "", "instId": ""}, "connId": ""},
}  # fmt: skip


def shape(value: Any) -> Any:
    """Reduce JSON to its keys and types; arrays to the shape of their first element."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def alike(sample: Any, seen: Any) -> bool:
    """Return whether shapes agree; an empty array agrees with any."""
    if isinstance(sample, dict) and isinstance(seen, dict):
        return set(sample) == set(seen) and all(alike(sample[k], seen[k]) for k in sample)
    if isinstance(sample, list) and isinstance(seen, list):
        return not sample or not seen or alike(sample[0], seen[0])
    return bool(sample == seen)


@pytest.mark.parametrize(
    ("venue", "topic"), [(venue, topic) for venue, rows in SAMPLES.items() for topic in rows]
)
def test_frames_have_the_documented_keys_and_types(venue: str, topic: str) -> None:
    """The ack is the venue's, and the first frame has the documented sample's shape."""

    async def run() -> None:
        async with Simulator(rate=50) as simulator, connected(simulator, venue, [topic]) as stream:
            ack, frame = await stream.take(2)
            assert shape(ack) == shape(ACKS[venue])
            sample = json.loads(SAMPLES[venue][topic])
            assert alike(shape(sample), shape(frame)), frame
            if venue == "binance":
                assert frame["stream"] == topic
            if venue == "bybit":
                assert frame["topic"] == topic

    asyncio.run(run())


def test_binance_book_can_be_synchronised_by_the_documented_procedure() -> None:
    """Deltas from the stream on the REST snapshot give the book that a later snapshot shows."""

    async def run() -> None:
        async with (
            Simulator(book_rate=50) as simulator,
            connected(simulator, "binance", ["btcusdt@depth@100ms"]) as stream,
        ):
            await stream.take(3)
            path = "/binance/api/v3/depth?symbol=BTCUSDT&limit=1000"
            _, _, first = await fetch(simulator, path)
            bids, asks = dict(first["bids"]), dict(first["asks"])
            last = first["lastUpdateId"]
            target, applied = None, 0
            # A snapshot fetched later is ahead of what was read so far: read on until its number.
            while target is None or last != target["lastUpdateId"]:
                update = (await stream.next())["data"]
                if update["u"] <= first["lastUpdateId"]:
                    continue
                assert update["U"] == last + 1
                last, applied = update["u"], applied + 1
                for side, changes in ((bids, update["b"]), (asks, update["a"])):
                    for price, size in changes:
                        side.pop(price, None)
                        if float(size):
                            side[price] = size
                if applied == 20:
                    _, _, target = await fetch(simulator, path)
            assert target is not None
            assert bids == dict(target["bids"])
            assert asks == dict(target["asks"])

    asyncio.run(run())


@pytest.mark.parametrize(
    ("venue", "topic", "book"),
    [
        ("bybit", "orderbook.50.BTCUSDT", "/bybit/v5/market/orderbook?category=spot&symbol=BTCUSDT"
         "&limit=50"),
        ("okx", "books:BTC-USDT", "/okx/api/v5/market/books?instId=BTC-USDT&sz=400"),
    ],
)  # fmt: skip
def test_snapshot_and_deltas_of_the_stream_give_the_book(venue: str, topic: str, book: str) -> None:
    """The stream's own snapshot with its deltas equals the REST book of the same number."""

    number = "u" if venue == "bybit" else "seqId"

    async def run() -> None:
        async with (
            Simulator(book_rate=40) as simulator,
            connected(simulator, venue, [topic]) as stream,
        ):
            bids: dict[str, str] = {}
            asks: dict[str, str] = {}
            numbers: list[tuple[int, int]] = []
            found: Any = None
            while found is None or numbers[-1][1] != found[number]:
                frame = await stream.next()
                if "data" not in frame:
                    continue
                row = frame["data"] if venue == "bybit" else frame["data"][0]
                sides = (row["b"], row["a"]) if venue == "bybit" else (row["bids"], row["asks"])
                before = row["u"] - 1 if venue == "bybit" else row["prevSeqId"]
                numbers.append((before, row[number]))
                for side, changes in zip((bids, asks), sides, strict=True):
                    for price, size, *_ in changes:
                        side.pop(price, None)
                        if float(size):
                            side[price] = size
                if len(numbers) == 30:
                    _, _, answer = await fetch(simulator, book)
                    found = answer["result"] if venue == "bybit" else answer["data"][0]
            assert all(after[0] == before[1] for before, after in pairwise(numbers))
            keys = ("b", "a") if venue == "bybit" else ("bids", "asks")
            assert {row[0]: row[1] for row in found[keys[0]]} == bids
            assert {row[0]: row[1] for row in found[keys[1]]} == asks
            assert len(bids) == (50 if venue == "bybit" else 100)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("venue", "topic"),
    [
        ("binance", "btcusdt@trade"),
        ("binance", "btcusdt@aggTrade"),
        ("okx", "trades:BTC-USDT"),
        ("bybit", "publicTrade.BTCUSDT"),
    ],
)
def test_trade_numbers_are_contiguous(venue: str, topic: str) -> None:
    """A thousand trades, each one's number the next, each at a time that does not go back."""

    def number(frame: Any) -> tuple[int, int]:
        match venue:
            case "binance":
                data = frame["data"]
                return data.get("t", data.get("a")), data["E"]
            case "okx":
                return int(frame["data"][0]["tradeId"]), int(frame["data"][0]["ts"])
        return frame["data"][0]["seq"] // 3, frame["data"][0]["T"]

    async def run() -> None:
        async with (
            Simulator(rate=5000) as simulator,
            connected(simulator, venue, [topic]) as stream,
        ):
            frames = await stream.take(1000, lambda frame: "data" in frame)
            rows = [number(frame) for frame in frames]
            assert all(b[0] == a[0] + 1 and b[1] >= a[1] for a, b in pairwise(rows))

    asyncio.run(run())


def test_two_runs_with_one_seed_send_the_same_trades() -> None:
    """Number, price and size of every trade that two runs have in common are equal."""

    async def trades(seed: int) -> dict[int, tuple[str, str, bool]]:
        async with (
            Simulator(seed=seed, rate=50, venue_names=["binance"]) as simulator,
            connected(simulator, "binance", ["btcusdt@trade"]) as stream,
        ):
            rows = [f["data"] for f in await stream.take(60, lambda frame: "data" in frame)]
            return {row["t"]: (row["p"], row["q"], row["m"]) for row in rows}

    first, second, other = (asyncio.run(trades(seed)) for seed in (5, 5, 6))
    common = first.keys() & second.keys()
    assert len(common) > 30
    assert all(first[number] == second[number] for number in common)
    assert not first.keys() & other.keys()


@pytest.mark.parametrize(
    ("path", "status", "part"),
    [
        ("/binance/api/v3/ping", 200, {}),
        ("/binance/api/v3/depth?symbol=NOPE", 400, {"code": -1121, "msg": "Invalid symbol."}),
        ("/binance/api/v3/ticker/price?symbol=NOPE", 400, {"code": -1121}),
        ("/binance/api/v3/depth", 400, {"code": -1102}),
        ("/binance/sapi/v1/system/status", 200, {"status": 0, "msg": "normal"}),
        ("/bybit/v5/market/tickers?category=spot&symbol=NOPE", 200, {"retCode": 10001}),
        ("/bybit/v5/market/tickers?symbol=BTCUSDT", 200, {"retCode": 10001}),
        ("/bybit/v5/nope", 404, {"retCode": 10017}),
        ("/bybit/v5/system/status", 200, {"retCode": 0, "result": {"list": []}}),
        ("/okx/api/v5/market/ticker?instId=NOPE", 200, {"code": "51001"}),
        ("/okx/api/v5/system/status", 200, {"code": "0", "data": []}),
        ("/okx/api/v5/nope", 404, {"code": "404"}),
    ],
)
def test_rest_answers_and_errors_are_the_venues(
    path: str, status: int, part: Mapping[str, object]
) -> None:
    """Right and wrong requests get the code and body that the venue documents."""

    async def run() -> None:
        async with Simulator() as simulator:
            got, _, body = await fetch(simulator, path)
            assert (got, {key: body[key] for key in part}) == (status, part)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("venue", "message", "reply"),
    [
        ("binance", "{", {"code": 3}),
        ("binance", {"method": "SUBSCRIB", "params": [], "id": 1}, {"code": 2, "id": 1}),
        ("binance", {"method": "SUBSCRIBE", "params": ["nope@trade"], "id": 2}, {"id": 2}),
        ("binance", {"method": "LIST_SUBSCRIPTIONS", "id": 3}, {"result": [], "id": 3}),
        ("bybit", {"op": "ping"}, {"success": True, "ret_msg": "pong", "op": "ping"}),
        ("bybit", {"op": "subscribe", "args": ["nope.X"]}, {"success": False}),
        ("bybit", {"op": "subscribe", "args": ["tickers.BTCUSDT"] * 11}, {"success": False}),
        ("bybit", "{", {"success": False}),
        ("okx", "{", {"event": "error", "code": "60012"}),
        ("okx", {"op": "subscribe", "args": [{"channel": "nope", "instId": "BTC-USDT"}]},
         {"event": "error", "code": "60018"}),
        ("okx", {"op": "subscribe", "args": [{"channel": "candle1m", "instId": "BTC-USDT"}]},
         {"event": "error", "code": "60018"}),
    ],
)  # fmt: skip
def test_stream_requests_get_the_venues_replies(
    venue: str, message: object, reply: Mapping[str, object]
) -> None:
    """Pings, mistakes and unknown topics are answered as documented."""

    async def run() -> None:
        async with Simulator() as simulator, connected(simulator, venue) as stream:
            await stream.ask(message)
            frame = await stream.next()
            assert {key: frame.get(key) for key in reply} == reply

    asyncio.run(run())


def test_okx_answers_a_text_ping() -> None:
    """The keepalive is text, not JSON."""

    async def run() -> None:
        async with Simulator() as simulator, connected(simulator, "okx") as stream:
            await stream.ask("ping")
            assert await stream.socket.receive_str(timeout=2) == "pong"

    asyncio.run(run())


def test_raw_and_combined_paths_of_binance_differ_in_the_wrapping() -> None:
    """A stream named in a raw URL comes bare, one in the query of a combined URL wrapped."""

    async def run() -> None:
        async with Simulator(rate=50) as simulator:
            async with connected(simulator, "binance", path="/ws/btcusdt@trade") as stream:
                assert (await stream.next())["e"] == "trade"
            path = "/stream?streams=btcusdt@trade/ethusdt@trade"
            async with connected(simulator, "binance", path=path) as stream:
                names = {frame["stream"] for frame in await stream.take(30)}
                assert names == {"btcusdt@trade", "ethusdt@trade"}

    asyncio.run(run())


def test_unsubscribing_ends_a_topic() -> None:
    """After the ack nothing of that topic comes, and others go on."""

    async def run() -> None:
        topics = ["btcusdt@trade", "ethusdt@trade"]
        async with (
            Simulator(rate=100) as simulator,
            connected(simulator, "binance", topics) as stream,
        ):
            await stream.take(10)
            await stream.ask({"method": "UNSUBSCRIBE", "params": topics[:1], "id": 9})
            await stream.take(1, lambda frame: frame.get("id") == 9)
            names = {frame["stream"] for frame in await stream.take(20)}
            assert names == {"ethusdt@trade"}

    asyncio.run(run())
