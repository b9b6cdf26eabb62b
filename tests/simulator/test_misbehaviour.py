"""Faults of REST on command, seen by a client over real sockets; and that they end."""

from __future__ import annotations

import asyncio
import errno
import time
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import aiohttp
import pytest

from exporter.simulator import FaultError, Simulator
from tests.simulator.client import PING, Stream, connected, fetch, on, wall


def test_no_frame_overtakes_one_that_was_late() -> None:
    """When latency ends, what it held back still comes before what is made from then on."""

    @on("okx", topics=("books:BTC-USDT",), book_rate=50.0)
    async def scene(simulator: Simulator, stream: Stream) -> None:
        last = (await stream.take(1))[-1]["data"][0]["seqId"]
        for _ in range(10):
            number = simulator.inject({"fault": "latency", "channel": "*", "seconds": 0.1})
            await asyncio.sleep(0.15)
            simulator.clear(number)
            for frame in await stream.take(12):
                assert frame["data"][0]["prevSeqId"] == last
                last = frame["data"][0]["seqId"]


def test_latency_delays_answers_until_it_ends() -> None:
    """An answer takes as long as commanded, only where commanded, only as long as commanded."""

    async def run() -> None:
        async with Simulator() as simulator:
            number = simulator.inject({"fault": "latency", "endpoint": "*/ping", "seconds": 0.3})
            start = time.monotonic()
            await fetch(simulator, PING)
            assert time.monotonic() - start >= 0.3
            simulator.clear(number)
            # Who is delayed by an hour has no answer before the test gives up.
            endless = {"fault": "latency", "endpoint": "*/ping", "seconds": 3600.0, "for": 0.3}
            simulator.inject(endless)
            await fetch(simulator, "/binance/api/v3/time")
            await asyncio.sleep(0.4)
            await fetch(simulator, PING)

    asyncio.run(asyncio.wait_for(run(), 60.0))


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ({"fault": "error", "status": 502}, 502),
        ({"fault": "rate_limit", "retry_after": 7}, 429),
        ({"fault": "ban", "retry_after": 130}, 418),
        ({"fault": "maintenance"}, 503),
        ({"fault": "brownout", "probability": 1, "errors": 1, "seconds": 0.01}, 503),
        ({"fault": "garbage_body"}, 200),
    ],
)
def test_answers_go_wrong_at_one_venue_until_cleared(fault: dict[str, object], status: int) -> None:
    """The struck venue answers so, another one does not, and clearing ends it."""

    async def run() -> None:
        async with Simulator() as simulator:
            number = simulator.inject({**fault, "venue": "binance"})
            got, headers, body = await fetch(simulator, PING)
            assert got == status
            assert (await fetch(simulator, "/okx/api/v5/public/time"))[0] == 200
            if status in (429, 418):
                assert headers["retry-after"] == ("7" if status == 429 else "131")
                assert body["code"] == -1003
            if fault["fault"] == "garbage_body":
                assert "<html>" in body
            assert simulator.clear(number) == 1
            assert (await fetch(simulator, PING))[2] == {}

    asyncio.run(run())


def test_retry_after_comes_as_a_date_too_and_as_the_venue_does() -> None:
    """Both forms of the header, and Bybit's own refusal, which has none."""

    async def run() -> None:
        async with Simulator() as simulator:
            simulator.inject({"fault": "rate_limit", "form": "date", "retry_after": "90s"})
            before = wall()
            status, headers, _ = await fetch(simulator, PING)
            assert status == 429
            until = parsedate_to_datetime(headers["retry-after"]).timestamp()  # whole seconds
            assert before + 89 < until < wall() + 91
            simulator.clear()
            simulator.inject({"fault": "rate_limit", "form": "venue"})
            status, headers, body = await fetch(simulator, "/bybit/v5/market/time")
            assert (status, "retry-after" in headers) == (403, False)
            assert "access too frequent" in body

    asyncio.run(run())


def test_real_limits_are_counted_refused_and_in_the_end_banned() -> None:
    """The used weight is in the headers; past it comes 429, then 418 for who does not listen."""

    async def run() -> None:
        async with Simulator() as simulator:
            _, first, _ = await fetch(simulator, PING)
            _, second, _ = await fetch(simulator, "/binance/api/v3/exchangeInfo")
            used = "x-mbx-used-weight-1m"
            assert (first[used], second[used]) == ("1", "21")
            simulator.inject({"fault": "tight_limit", "venue": "binance", "weight": 22})
            statuses = [(await fetch(simulator, PING))[0] for _ in range(14)]
            assert statuses == [200] + [429] * 11 + [418] * 2
            _, headers, body = await fetch(simulator, PING)
            assert 100 < int(headers["retry-after"]) <= 121
            assert "IP banned until" in body["msg"]
            _, headers, _ = await fetch(simulator, "/bybit/v5/market/time")
            assert int(headers["x-bapi-limit-status"]) == int(headers["x-bapi-limit"]) - 1

    asyncio.run(run())


def test_timeout_reset_and_refusal_are_three_things() -> None:
    """No answer; a reset; a closed port that opens again when the fault is over."""

    async def run() -> None:
        async with Simulator(own_ports=True) as simulator, aiohttp.ClientSession() as http:
            url = simulator.rest_url("okx") + "/api/v5/public/time"
            assert not url.startswith(simulator.url)
            number = simulator.inject({"fault": "timeout", "venue": "okx"})
            with pytest.raises(TimeoutError):
                await http.get(url, timeout=aiohttp.ClientTimeout(total=0.3))
            simulator.clear(number)
            number = simulator.inject({"fault": "reset", "venue": "okx"})
            with pytest.raises(aiohttp.ClientOSError) as reset:
                await http.get(url)
            assert reset.value.errno == errno.ECONNRESET
            simulator.clear(number)
            number = simulator.inject({"fault": "refuse", "venue": "okx"})
            with pytest.raises(aiohttp.ClientConnectorError) as refused:
                await http.get(url)
            assert isinstance(refused.value.os_error, ConnectionRefusedError)
            assert (await fetch(simulator, PING))[0] == 200
            simulator.clear(number)
            await asyncio.sleep(0.05)
            async with http.get(url) as answer:
                assert answer.status == 200

    asyncio.run(run())


def test_a_venue_with_a_port_of_its_own_stands_at_the_root() -> None:
    """Without the prefix and with it: clients that lose a base URL's path reach it, too."""

    async def run() -> None:
        async with Simulator(own_ports=True) as simulator, aiohttp.ClientSession() as http:
            bare = simulator.rest_url("okx")
            assert urlsplit(bare).path == ""
            for base in (bare, f"{bare}/okx"):
                async with http.get(f"{base}/api/v5/public/time") as answer:
                    assert (answer.status, (await answer.json())["code"]) == (200, "0")
                url = base.replace("http", "ws", 1) + "/ws/v5/public"
                async with http.ws_connect(url) as socket:
                    await socket.send_str("ping")
                    assert (await socket.receive()).data == "pong"
            async with http.get(f"{bare}/binance/api/v3/ping") as answer:
                assert answer.status == 404

    asyncio.run(run())


def test_refusing_needs_own_ports() -> None:
    """On a common port one venue cannot refuse: said at once, with what to do."""

    async def run() -> None:
        async with Simulator() as simulator:
            with pytest.raises(FaultError, match="start with own ports"):
                simulator.inject({"fault": "refuse", "venue": "okx"})

    asyncio.run(run())


@pytest.mark.parametrize("kind", ["slow_body", "endless_body"])
def test_bodies_drip_or_never_end(kind: str) -> None:
    """The head comes at once and the body does not end within the reader's patience."""

    async def run() -> None:
        async with Simulator() as simulator, aiohttp.ClientSession() as http:
            simulator.inject({"fault": kind, "venue": "binance"})
            async with http.get(simulator.url + "/binance/api/v3/time") as answer:
                assert answer.status == 200
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.5):
                        await answer.read()

    asyncio.run(run())


def test_maintenance_is_announced_where_the_venue_announces_it() -> None:
    """The status endpoints go on and tell; handshakes are refused; open streams close if asked."""

    async def run() -> None:
        async with Simulator() as simulator, connected(simulator, "okx") as stream:
            simulator.inject({"fault": "maintenance", "announced": 600, "streams": True})
            assert await stream.closed() == 1012
            _, _, binance = await fetch(simulator, "/binance/sapi/v1/system/status")
            _, _, bybit = await fetch(simulator, "/bybit/v5/system/status")
            _, _, okx = await fetch(simulator, "/okx/api/v5/system/status")
            assert binance["status"] == 1
            assert [row["state"] for row in (*bybit["result"]["list"], *okx["data"])] == [
                "ongoing"
            ] * 2
            assert int(okx["data"][0]["end"]) - int(okx["data"][0]["begin"]) == 600_000
            await asyncio.sleep(0.3)
            _, _, later = await fetch(simulator, "/bybit/v5/system/status")
            ends = [int(each["result"]["list"][0]["end"]) for each in (bybit, later)]
            assert abs(ends[1] - ends[0]) < 100  # or it would never overrun
            with pytest.raises(aiohttp.WSServerHandshakeError):
                async with connected(simulator, "binance"):
                    raise AssertionError("the handshake was accepted")

    asyncio.run(run())


def test_a_restriction_is_said_where_the_venue_says_it() -> None:
    """Kraken's status endpoint and stream, Coinbase's products; of one market that market alone."""

    async def run() -> None:
        async with Simulator() as simulator, connected(simulator, "kraken", path="/v2") as stream:
            said = [(await stream.take(1))[0]["data"][0]["system"]]
            simulator.inject({"fault": "restricted", "symbol": "BTC-USDT", "mode": "post_only"})
            _, _, pairs = await fetch(simulator, "/kraken/0/public/AssetPairs")
            _, _, before = await fetch(simulator, "/kraken/0/public/SystemStatus")
            assert {pair["altname"]: pair["status"] for pair in pairs["result"].values()}[
                "XBTUSDT"
            ] == "post_only"
            _, _, products = await fetch(simulator, "/coinbase/products")
            assert [each["id"] for each in products if each["post_only"]] == ["BTC-USDT"]
            simulator.inject({"fault": "restricted", "mode": "cancel_only"})
            _, _, now = await fetch(simulator, "/kraken/0/public/SystemStatus")
            assert [before["result"]["status"], now["result"]["status"]] == [
                "online",
                "cancel_only",
            ]
            said.append((await stream.take(1))[0]["data"][0]["system"])
            assert said == ["online", "cancel_only"]

    asyncio.run(run())
