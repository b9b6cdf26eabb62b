"""Each fault on command, seen by a client over real sockets; and that it ends."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Awaitable, Callable
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from exporter.simulator import FaultError, Simulator
from exporter.simulator.kinds import FaultKind
from tests.simulator.client import Stream, connected, fetch

TRADES = {"binance": "btcusdt@trade", "bybit": "publicTrade.BTCUSDT", "okx": "trades:BTC-USDT"}
PING = "/binance/api/v3/ping"


def on(
    venue: str = "binance", topics: tuple[str, ...] = (), **options: Any
) -> Callable[[Callable[[Simulator, Stream], Awaitable[None]]], None]:
    """Run a scene with a simulator and one subscribed stream whose ack has been read."""

    def play(scene: Callable[[Simulator, Stream], Awaitable[None]]) -> None:
        async def run() -> None:
            named = topics or (TRADES[venue],)
            async with (
                Simulator(**{"rate": 50.0, **options}) as simulator,
                connected(simulator, venue, named) as stream,
            ):
                await stream.take(4)
                await scene(simulator, stream)

        asyncio.run(run())

    return play


def wall() -> float:
    """Return our own clock, which the simulator's is held against, in epoch seconds."""
    return time.time_ns() / 1e9


def prices(frames: list[Any]) -> list[float]:
    """Read the prices of Binance trades."""
    return [float(frame["data"]["p"]) for frame in frames]


# --- REST -------------------------------------------------------------------------------------


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


# --- clock and prices -------------------------------------------------------------------------


def test_a_skewed_clock_shows_in_rest_and_streams() -> None:
    """Server time, Date and event times are off by one step, and the truth says so."""

    @on()
    async def scene(simulator: Simulator, stream: Stream) -> None:
        await stream.take(3)
        before = wall()
        simulator.inject({"fault": "clock_skew", "venue": "binance", "seconds": -5})
        _, headers, body = await fetch(simulator, "/binance/api/v3/time")
        assert before - 5.001 <= body["serverTime"] / 1000 <= wall() - 5
        date = parsedate_to_datetime(headers["date"]).timestamp()  # whole seconds
        assert before - 6 <= date <= wall() - 5
        moments = [frame["data"]["E"] / 1000 for frame in await stream.take(30)]
        assert before - 5.001 <= moments[-1] <= wall() - 5
        _, _, truth = await fetch(simulator, "/control/truth")
        assert truth["venues"]["binance"]["skew_seconds"] == pytest.approx(-5, abs=0.01)
        assert truth["venues"]["okx"]["skew_seconds"] == 0


def test_a_clock_drifts() -> None:
    """A drift of 100,000 ppm is a tenth of a second each second."""

    async def run() -> None:
        async with Simulator() as simulator:
            begun = wall()
            simulator.inject({"fault": "clock_skew", "seconds": 0, "drift_ppm": 100_000})
            drifting = wall()
            await asyncio.sleep(0.5)
            asked = wall()
            _, _, body = await fetch(simulator, "/binance/api/v3/time")
            answered = wall()
            least, most = asked + (asked - drifting) / 10, answered + (answered - begun) / 10
            assert least - 0.001 <= body["serverTime"] / 1000 <= most

    asyncio.run(run())


def test_prices_are_offset_in_trades_and_rest_alike() -> None:
    """One symbol of one venue is a tenth up; its other symbols and the other venues are not."""

    @on()
    async def scene(simulator: Simulator, stream: Stream) -> None:
        fault = {"fault": "price_offset", "symbol": "BTC-USDT", "venue": "binance", "ratio": 0.1}
        simulator.inject(fault)
        await asyncio.sleep(0.3)
        _, _, truth = await fetch(simulator, "/control/truth")
        binance, okx = (truth["venues"][name]["markets"] for name in ("binance", "okx"))
        assert binance["BTC-USDT"]["bid"] / okx["BTC-USDT"]["bid"] == pytest.approx(1.1, rel=0.01)
        assert binance["ETH-USDT"]["bid"] / okx["ETH-USDT"]["bid"] == pytest.approx(1, rel=0.01)
        assert prices(await stream.take(30))[-1] / okx["BTC-USDT"]["bid"] > 1.09


def test_a_frozen_price_goes_on_talking() -> None:
    """Trades keep coming at one price, whoever takes, while the common price moves."""

    @on(book_rate=50.0)
    async def scene(simulator: Simulator, stream: Stream) -> None:
        simulator.inject({"fault": "frozen_price", "venue": "binance"})
        await stream.take(10)
        before = simulator.desks["binance"].common(simulator.desks["binance"].pairs()[0])
        frames = await stream.take(40)
        assert len(set(prices(frames))) == 1
        assert {frame["data"]["m"] for frame in frames} == {True, False}
        assert simulator.desks["binance"].common(simulator.desks["binance"].pairs()[0]) != before


@pytest.mark.parametrize(
    ("kind", "low", "high"), [("crossed_book", -10, 0), ("wide_spread", 15, 150)]
)
def test_books_cross_and_spreads_widen(kind: str, low: float, high: float) -> None:
    """The best bid passes the best ask, or the spread grows, in the quotes that are sent."""

    @on(topics=("btcusdt@bookTicker",), book_rate=50.0)
    async def scene(simulator: Simulator, stream: Stream) -> None:
        simulator.inject({"fault": kind, "venue": "binance"})
        quote = (await stream.take(5))[-1]["data"]
        assert low < float(quote["a"]) - float(quote["b"]) < high


def test_bad_checksums_are_only_where_the_venue_has_them() -> None:
    """OKX sends a wrong one instead of 0; asking it of Binance is refused."""

    @on("okx", topics=("books:BTC-USDT",))
    async def scene(simulator: Simulator, stream: Stream) -> None:
        assert (await stream.take(1))[0]["data"][0]["checksum"] == 0
        simulator.inject({"fault": "bad_checksum", "venue": "okx"})
        assert (await stream.take(3))[-1]["data"][0]["checksum"] != 0
        with pytest.raises(FaultError, match="no checksums; kraken, kraken_v1, okx has"):
            simulator.inject({"fault": "bad_checksum", "venue": "binance"})


# --- streams ----------------------------------------------------------------------------------


@pytest.mark.parametrize("venue", ["binance", "bybit", "okx"])
def test_a_mute_venue_keeps_its_connections(venue: str) -> None:
    """Nothing comes while it is mute, the connection stays, and all resumes after."""

    @on(venue)
    async def scene(simulator: Simulator, stream: Stream) -> None:
        number = simulator.inject({"fault": "mute", "venue": venue})
        await asyncio.sleep(0.1)
        while not await stream.silent(0.25):
            pass
        await asyncio.sleep(0.2)
        assert not stream.socket.closed
        simulator.clear(number)
        await stream.take(3)


def test_one_channel_can_be_mute_alone() -> None:
    """The other channel of the same connection flows on."""

    @on(topics=("btcusdt@trade", "btcusdt@bookTicker"))
    async def scene(simulator: Simulator, stream: Stream) -> None:
        simulator.inject({"fault": "mute", "venue": "binance", "channel": "trades"})
        await asyncio.sleep(0.3)
        await stream.take(20)
        names = {frame["stream"] for frame in await stream.take(10)}
        assert names == {"btcusdt@bookTicker"}


def test_acknowledged_and_then_mute() -> None:
    """A new subscription is acknowledged and silent; an old one goes on; both flow at the end."""

    @on()
    async def scene(simulator: Simulator, stream: Stream) -> None:
        number = simulator.inject({"fault": "ack_then_mute", "venue": "binance"})
        await stream.ask({"method": "SUBSCRIBE", "params": ["ethusdt@trade"], "id": 5})
        await stream.take(1, lambda frame: frame.get("id") == 5)
        assert {frame["stream"] for frame in await stream.take(20)} == {"btcusdt@trade"}
        simulator.clear(number)
        assert len({frame["stream"] for frame in await stream.take(20)}) == 2


def test_forgotten_subscriptions_come_back_by_subscribing_again() -> None:
    """The venue says nothing; the same request again mends it."""

    @on()
    async def scene(simulator: Simulator, stream: Stream) -> None:
        simulator.inject({"fault": "forget", "venue": "binance", "channel": "trades"})
        while not await stream.silent(0.25):
            pass

    @on()
    async def mended(simulator: Simulator, stream: Stream) -> None:
        simulator.inject({"fault": "forget", "venue": "binance", "channel": "trades"})
        await stream.ask({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 5})
        await stream.take(1, lambda frame: frame.get("id") == 5)
        await stream.take(10)


@pytest.mark.parametrize(
    ("venue", "wrong"),
    [("binance", {"code": 2}), ("bybit", {"success": False}), ("okx", {"event": "error"})],
)
def test_subscriptions_are_rejected_in_the_venues_words(venue: str, wrong: dict[str, Any]) -> None:
    """The reply is the venue's error, and no data follows."""

    async def run() -> None:
        async with Simulator(rate=50) as simulator:
            simulator.inject({"fault": "reject_subscription", "channel": "trades"})
            async with connected(simulator, venue, [TRADES[venue]]) as stream:
                frame = await stream.next()
                assert {key: frame[key] for key in wrong} == wrong
                assert await stream.silent(0.2)

    asyncio.run(run())


def test_gaps_and_duplicates_show_in_the_numbers() -> None:
    """Lost frames leave holes; doubled frames repeat their number; healthy ones do neither."""

    def steps(frames: list[Any]) -> set[int]:
        numbers = [frame["data"]["t"] for frame in frames]
        return {after - before for before, after in pairwise(numbers)}

    @on(rate=500.0)
    async def scene(simulator: Simulator, stream: Stream) -> None:
        assert steps(await stream.take(50)) == {1}
        number = simulator.inject({"fault": "gap", "channel": "trades", "probability": 0.3})
        found = steps(await stream.take(300))
        assert max(found) > 1
        assert min(found) == 1
        simulator.clear(number)
        simulator.inject({"fault": "duplicate", "probability": 0.3})
        assert 0 in steps(await stream.take(300))


def test_what_hosts_some_venues_fails_for_them_together() -> None:
    """Their answers are the edge's and their streams are cut; others go on; and it ends."""

    @on(venue_names=("binance", "okx", "kraken"))
    async def scene(simulator: Simulator, stream: Stream) -> None:
        number = simulator.inject({"fault": "provider_down", "venues": "binance, ok*"})
        for path, status in (
            (PING, 503),
            ("/okx/api/v5/public/time", 503),
            ("/kraken/0/public/Time", 200),
        ):
            answered, headers, _ = await fetch(simulator, path)
            assert answered == status
            assert ("x-amz-cf-pop" in headers) is (status == 503)
        while (await stream.socket.receive(timeout=3)).type is aiohttp.WSMsgType.TEXT:
            pass
        simulator.clear(number)
        assert (await fetch(simulator, PING))[0] == 200
        with pytest.raises(FaultError, match="venues: 'nobody' is none of binance, okx, kraken"):
            simulator.inject({"fault": "provider_down", "venues": "nobody"})


def test_a_field_is_gone_until_the_fault_ends() -> None:
    """From all frames of the channel, wherever it stands in them, and nothing else of them."""

    @on(rate=100.0)
    async def scene(simulator: Simulator, stream: Stream) -> None:
        before = (await stream.take(1))[0]["data"]
        number = simulator.inject({"fault": "field_gone", "channel": "trades", "field": "m"})
        while "m" in (during := (await stream.take(1))[0]["data"]):
            pass
        assert before.keys() - during.keys() == {"m"}
        assert during.keys() <= before.keys()
        simulator.clear(number)
        while "m" not in (await stream.take(1))[0]["data"]:
            pass


def test_messages_come_less_often_without_a_hole() -> None:
    """Updates of the book are a second apart and more by the venue's clock, and linked as ever."""

    @on(topics=("btcusdt@depth@100ms",))
    async def scene(simulator: Simulator, stream: Stream) -> None:
        simulator.inject({"fault": "cadence_slow", "symbol": "BTCUSDT", "seconds": 1})
        updates = [frame["data"] for frame in await stream.take(5)]
        for before, after in pairwise(updates):
            assert after["U"] == before["u"] + 1
        for before, after in pairwise(updates[2:]):
            assert after["E"] - before["E"] >= 950


@pytest.mark.parametrize(
    "form", ["truncated", "nan", "huge_integer", "deep", "huge_frame", "binary"]
)
def test_malformed_frames_come_between_good_ones(form: str) -> None:
    """Something broken arrives, and every good trade besides: no number is missing."""

    @on(rate=100.0)
    async def scene(simulator: Simulator, stream: Stream) -> None:
        rate = 0.02 if form == "huge_frame" else 0.2
        simulator.inject({"fault": "malformed", "form": form, "probability": rate})
        numbers: list[int] = []
        broken = 0
        while len(numbers) < 60 or not broken:
            message = await stream.socket.receive(timeout=3)
            if message.type is aiohttp.WSMsgType.BINARY:
                broken += 1
                continue
            try:
                frame = message.json()
                assert frame["data"]["E"] < 1e13
                numbers.append(frame["data"]["t"])
            except (ValueError, RecursionError, KeyError, AssertionError, TypeError):
                broken += 1
        assert all(after == before + 1 for before, after in pairwise(numbers))


@pytest.mark.parametrize("form", ["invalid_utf8", "protocol"])
def test_frames_that_break_the_protocol_end_the_connection(form: str) -> None:
    """A strict client must fail the connection, as RFC 6455 demands."""

    @on()
    async def scene(simulator: Simulator, stream: Stream) -> None:
        simulator.inject({"fault": "malformed", "form": form, "probability": 1})
        with pytest.raises((UnicodeDecodeError, ConnectionError)):
            await stream.take(10)


def test_streams_are_disconnected_with_code_and_warning() -> None:
    """The close code arrives; a cut has none; a planned one is announced in the venue's words."""

    @on("okx")
    async def scene(simulator: Simulator, stream: Stream) -> None:
        simulator.inject({"fault": "disconnect", "venue": "okx", "notice": 0.3, "code": 4001})
        await stream.take(1, lambda frame: frame.get("code") == "64008")
        assert await stream.closed() == 4001

    @on("binance")
    async def cut(simulator: Simulator, stream: Stream) -> None:
        simulator.disconnect(venue="binance", code=1006)
        assert await stream.closed() == 1006


def test_latency_of_streams_keeps_the_order() -> None:
    """Frames are late by what was commanded, and none overtakes another."""

    @on(rate=200.0)
    async def scene(simulator: Simulator, stream: Stream) -> None:
        fault = {"fault": "latency", "channel": "trades", "seconds": 0.2, "jitter": 0.1}
        simulator.inject(fault)
        await asyncio.sleep(0.4)
        while (await stream.next())["data"]["E"] / 1000 > wall() - 0.19:
            pass
        rows = []
        for _ in range(50):
            row = (await stream.next())["data"]
            rows.append((row["t"], wall() - row["E"] / 1000))
        assert all(after[0] == before[0] + 1 for before, after in pairwise(rows))
        assert all(late > 0.19 for _, late in rows)


def test_lifetimes_pings_and_limits_of_frames_end_connections() -> None:
    """A stream is cut at its age; more than five frames a second are too many for Binance."""

    @on(lifetime=0.6)
    async def scene(simulator: Simulator, stream: Stream) -> None:
        assert await stream.closed() == 1001

    @on()
    async def flood(simulator: Simulator, stream: Stream) -> None:
        for number in range(12):
            await stream.ask({"method": "LIST_SUBSCRIPTIONS", "id": number})
        assert await stream.closed() == 1008


@pytest.mark.parametrize(("venue", "idle", "code"), [("okx", 30, 4004), ("bybit", 600, 4004)])
def test_idle_streams_are_cut_at_the_venues_time(venue: str, idle: float, code: int) -> None:
    """Without any frame either way for so long the venue closes, and not a second earlier."""

    async def run() -> None:
        async with Simulator() as simulator, connected(simulator, venue) as stream:
            (session,) = simulator.desks[venue].sessions
            session.tend(time.monotonic() + idle - 1)
            assert await stream.silent(0.1)
            session.tend(time.monotonic() + idle)
            assert await stream.closed() == code

    asyncio.run(run())


@pytest.mark.parametrize("answered", [True, False])
def test_binance_pings_and_wants_its_pong(answered: bool) -> None:
    """A ping after 20 s; who answers stays, who does not is closed a minute later."""

    async def run() -> None:
        async with (
            Simulator() as simulator,
            connected(simulator, "binance", autoping=False) as stream,
        ):
            (session,) = simulator.desks["binance"].sessions
            session.tend(time.monotonic() + 20)
            ping = await stream.socket.receive(timeout=1)
            assert ping.type is aiohttp.WSMsgType.PING
            if answered:
                await stream.socket.pong(ping.data)
                await asyncio.sleep(0.1)
            session.tend(time.monotonic() + 81)
            if answered:
                assert (await stream.socket.receive(timeout=1)).type is aiohttp.WSMsgType.PING
            else:
                assert await stream.closed() == 1008

    asyncio.run(run())


def test_a_client_that_does_not_read_is_cut_off() -> None:
    """The buffer of a slow consumer is bounded, and the loss is counted."""

    async def run() -> None:
        async with Simulator(rate=20_000, buffer_limit=1 << 20) as simulator:
            _, writer = await asyncio.open_connection(
                "127.0.0.1", int(simulator.url.rsplit(":", 1)[1]), limit=1024
            )
            path = "/binance/stream?streams=btcusdt@trade/ethusdt@trade/solusdt@trade"
            writer.write(
                f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
                .encode()
            )  # fmt: skip
            async with asyncio.timeout(60):
                while not simulator.desks["binance"].events["slow_consumers"]:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            writer.close()
            await asyncio.sleep(0.05)
            assert not simulator.desks["binance"].feeds

    asyncio.run(run())


@pytest.mark.timed
def test_a_burst_is_sent_whole_and_in_time() -> None:
    """Five thousand trades arrive with contiguous numbers, in about the time commanded."""

    @on(rate=5.0)
    async def scene(simulator: Simulator, stream: Stream) -> None:
        body = {"venue": "binance", "symbol": "BTC-USDT", "count": 5000, "for": 0.1, "lead": 0.3}
        status, _, _ = await fetch(simulator, "/control/burst", method="POST", body=body)
        assert status == 202
        frames = await stream.take(5000)
        numbers = [frame["data"]["t"] for frame in frames]
        assert all(after == before + 1 for before, after in pairwise(numbers))
        times = sorted(frame["data"]["E"] for frame in frames)
        assert times[4900] - times[100] <= 150


# --- the control API --------------------------------------------------------------------------


def test_faults_are_posted_listed_and_deleted_over_http() -> None:
    """What is posted is shown, strikes at its time, ends by its id, and is gone."""

    async def run() -> None:
        async with Simulator() as simulator:
            fault = {"fault": "error", "venue": "binance", "at": 0.2, "status": 501}
            _, _, made = await fetch(simulator, "/control/faults", method="POST", body=fault)
            _, _, (shown,) = await fetch(simulator, "/control/faults")
            assert (shown["id"], shown["active"], shown["status"]) == (made["id"], False, 501)
            assert (await fetch(simulator, PING))[0] == 200
            await asyncio.sleep(0.3)
            assert (await fetch(simulator, PING))[0] == 501
            path = f"/control/faults/{made['id']}"
            assert (await fetch(simulator, path, method="DELETE"))[0] == 200
            assert (await fetch(simulator, path, method="DELETE"))[0] == 404
            assert (await fetch(simulator, PING))[0] == 200

    asyncio.run(run())


@pytest.mark.parametrize(
    ("path", "body", "complaint"),
    [
        ("faults", {"fault": "mut"}, "did you mean 'mute'?"),
        ("faults", 5, "expected a JSON object"),
        ("burst", {"venue": "x", "count": -1, "size": 1}, "count: expected 1 to 1000000, was -1"),
        ("burst", {"venue": "okx", "symbol": "X"}, "symbol: okx does not list 'X'"),
        ("disconnect", {"code": 7}, "code: expected 1000 to 4999, was 7"),
    ],
)
def test_wrong_commands_get_a_400_that_says_why(path: str, body: object, complaint: str) -> None:
    """Nothing is injected, and the answer names the key."""

    async def run() -> None:
        async with Simulator() as simulator:
            url = f"/control/{path}"
            status, _, answer = await fetch(simulator, url, method="POST", body=body)
            assert status == 400
            assert complaint in " ".join(answer["errors"])
            assert simulator.board.all() == ()

    asyncio.run(run())


def test_state_kinds_and_stats_describe_the_simulator() -> None:
    """Every kind is described; what was sent and asked is counted."""

    @on()
    async def scene(simulator: Simulator, stream: Stream) -> None:
        await fetch(simulator, PING)
        _, _, stats = await fetch(simulator, "/control/stats")
        assert stats["venues"]["binance"]["sent"]["btcusdt@trade"] >= 3
        assert stats["venues"]["binance"]["requests"] == {"/api/v3/ping 200": 1}
        _, _, state = await fetch(simulator, "/")
        assert state["venues"]["binance"]["topics"] == ["btcusdt@trade"]
        _, _, kinds = await fetch(simulator, "/control/kinds")
        assert set(kinds) == set(FaultKind)
        assert (await fetch(simulator, "/nope"))[0] == 404
