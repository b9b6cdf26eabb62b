"""Silent streams of the running program, held against the simulator's REST."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import pytest

from exporter import config as settings
from exporter import venues
from exporter.model import Channel, SilenceVerdict, SubscriptionState
from exporter.streams.silence import CrossChecked
from exporter.streams.stream_state import WatchedSubscription
from tests.runtime.running import Running, listing, running, wait_until

KEYS = "endpoints: [], streams: [{channels: [trades], cross_check: 5s}]"
SHARED = "streams: {stale_floor: 300ms, stale_ceiling: 1h, backoff_cap: 1s}"


def run(test: Coroutine[object, object, None]) -> None:
    """Run a test that takes seconds, and minutes on a busy machine."""
    asyncio.run(asyncio.wait_for(test, 150.0))


def watch(program: Running, name: str) -> WatchedSubscription:
    """Return the one subscription of an exchange, asked about twice a second from now on."""
    ((_, found),) = program.exchange(name).streams[0].watches.items()
    assert found.checked is not None
    found.checked.every = 0.5
    return found


def checked(program: Running, name: str) -> CrossChecked:
    """Return what REST said of it."""
    found = watch(program, name).checked
    assert found is not None
    return found


def test_a_market_that_moves_while_its_stream_is_silent_is_named() -> None:
    """At every venue: by metric and threshold, and it is asked for again; data ends it."""

    async def test() -> None:
        async with running(listing(), exchange=KEYS, shared=SHARED) as program:
            watches = {name: watch(program, name) for name in listing()}
            await wait_until(lambda: all(each.feed.count for each in watches.values()))
            mute = program.simulator.inject({"fault": "mute", "channel": "trades"})
            await wait_until(
                lambda: all(
                    checked(program, name).verdict is SilenceVerdict.MOVED for name in listing()
                ),
                60.0,
            )
            seen = await program.metrics()
            for name in listing():
                labels = f'exchange="{name}",channel="trades",symbol="BTC-USDT"'
                moved = f'exchange_stream_cross_checks_total{{{labels},verdict="moved"}}'
                assert seen[moved] >= 1
                assert seen[f"exchange_stream_stale_after_seconds{{{labels}}}"] == 0.3
            program.simulator.clear(mute)
            await wait_until(
                lambda: all(checked(program, name).verdict is None for name in listing()), 60.0
            )

    run(test())


def test_an_ack_and_then_nothing_is_named() -> None:
    """The venue agreed and never sent a thing: the market alone tells that it should have."""

    async def test() -> None:
        some = ("binance", "coinbase", "kraken")
        async with running(some, exchange=KEYS, shared=SHARED) as program:
            program.simulator.inject({"fault": "ack_then_mute", "channel": "trades"})
            program.simulator.disconnect()
            for name in some:
                watch(program, name)
            await wait_until(
                lambda: all(
                    checked(program, name).verdict is SilenceVerdict.MOVED for name in some
                ),
                60.0,
            )

    run(test())


def test_a_quiet_market_is_told_from_a_dead_stream() -> None:
    """Nobody trades: that is what REST says, and nothing is called stale for it."""

    async def test() -> None:
        some = ("binance", "coinbase")
        async with running(some, exchange=KEYS, shared=SHARED, rate=0.0001) as program:
            watches = {name: watch(program, name) for name in some}
            await wait_until(
                lambda: all(
                    checked(program, name).verdict is SilenceVerdict.QUIET for name in some
                ),
                60.0,
            )
            seen = await program.metrics()
            for name, each in watches.items():
                labels = f'exchange="{name}",channel="trades",symbol="BTC-USDT"'
                assert seen[f"exchange_stream_stale_after_seconds{{{labels}}}"] >= 3600.0
                moved = f'exchange_stream_cross_checks_total{{{labels},verdict="moved"}}'
                assert seen[moved] == 0
                state = program.exchange(name).streams[0].subscription(each.feed.subscription.topic)
                assert state in (SubscriptionState.ACKED, SubscriptionState.LIVE)

    run(test())


def test_no_answer_is_no_verdict() -> None:
    """While REST fails nothing is known, and the threshold stays what it was."""

    async def test() -> None:
        async with running(["okx"], exchange=KEYS, shared=SHARED) as program:
            found = watch(program, "okx")
            await wait_until(lambda: bool(found.feed.count))
            program.simulator.inject({"fault": "error", "endpoint": "*ticker*"})
            program.simulator.inject({"fault": "mute", "channel": "trades"})
            await wait_until(
                lambda: checked(program, "okx").verdict is SilenceVerdict.UNKNOWN, 60.0
            )
            assert found.stale_after == found.liveness.stale_after
            assert found.feed.subscription.channel is Channel.TRADES

    run(test())


def test_what_rest_does_not_tell_cannot_be_asked() -> None:
    """Bitstamp has no candles, so none that could be held against its REST."""
    text = (
        "exchanges:\n"
        "- {venue: bitstamp, symbols: [BTC-USD], streams: [{channels: [klines], cross_check: 5s}]}"
    )
    with pytest.raises(settings.ConfigError) as refused:
        settings.read(text, "test", venues.names(), venues.load)
    assert any("streams[0].cross_check: found 5s" in each for each in refused.value.complaints)
