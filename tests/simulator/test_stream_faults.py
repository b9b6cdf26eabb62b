"""Faults of streams on command, seen by a client over real sockets; and that they end."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from typing import Any

import aiohttp
import pytest

from exporter.simulator import FaultError, Simulator
from tests.simulator.client import PING, TRADES, Stream, connected, fetch, on, wall


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
        while (await stream.socket.receive(timeout=30)).type is aiohttp.WSMsgType.TEXT:
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
            message = await stream.socket.receive(timeout=30)
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
            newest = max(session.heard, session.pushed)
            session.tend(newest + idle - 0.001)
            assert await stream.silent(0.1)
            session.tend(newest + idle)
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
            ping = await stream.socket.receive(timeout=30)
            assert ping.type is aiohttp.WSMsgType.PING
            if answered:
                await stream.socket.pong(ping.data)
                await asyncio.sleep(0.1)
            session.tend(time.monotonic() + 81)
            if answered:
                assert (await stream.socket.receive(timeout=30)).type is aiohttp.WSMsgType.PING
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
