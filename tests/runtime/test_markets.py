"""A running program follows the markets that a simulated venue lists, as they come and go."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from exporter.clock import SystemClock
from exporter.config import ExchangeConfig
from exporter.gates.facts import Moment, Wanted, of_exchange
from exporter.model import Need, SubscriptionState
from tests.runtime.running import Running, listing, running, wait_until

LISTED = ("BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT")
KEYS = "endpoints: [], symbols_refresh: 10s, streams: [{name: market, channels: [trades, book]}]"


def followed(program: Running, name: str) -> dict[str, set[str]]:
    """Return the channels of each instrument that is live."""
    found: dict[str, set[str]] = {}
    for state in program.exchange(name).streams:
        for topic, watch in state.watches.items():
            what = watch.feed.subscription
            if state.subscription(topic) is SubscriptionState.LIVE:
                found.setdefault(what.instrument, set()).add(what.channel)
    return found


def topics(program: Running, name: str) -> set[str]:
    """Return the symbols that the simulated venue is asked to serve."""
    feeds = program.simulator.desks[name].feeds.values()
    return {feed.pair.listing.instrument for feed in feeds}


def test_markets_come_and_go_and_the_others_keep_their_connection() -> None:
    """At every venue: a new one is joined, a gone one left on what is open, and its series go."""
    names, every, both = listing(), frozenset(LISTED), {"trades", "book"}
    new, gone = "SOL-USDT", "ETH-USDT"

    async def watched(program: Running, wanted: frozenset[str]) -> None:
        async with asyncio.TaskGroup() as tasks:
            for name in names:
                tasks.create_task(program.exchange(name).markets.refresh())
        for name in names:
            await wait_until(lambda: followed(program, name) == dict.fromkeys(wanted, both))  # noqa: B023 - awaited here

    async def test() -> None:
        async with running(
            names, exchange=KEYS, listed=LISTED, symbols='"*-USDT"', book_rate=10.0
        ) as program:
            later = program.simulator.inject({"fault": "delisted", "symbol": new})
            await watched(program, every - {new})
            streams = {name: program.exchange(name).streams[0] for name in names}
            began = {name: state.since for name, state in streams.items()}
            feeds = {name: next(program.exchange(name).feeds) for name in names}
            counts = {name: feed.count for name, feed in feeds.items()}
            program.simulator.clear(later)
            program.simulator.inject({"fault": "delisted", "symbol": gone})
            await watched(program, every - {gone})
            for name in names:
                await wait_until(lambda: topics(program, name) == every - {gone})  # noqa: B023 - awaited here
                assert (streams[name].since, streams[name].losses) == (began[name], 0)
                assert next(program.exchange(name).feeds) is feeds[name]
                assert feeds[name].count > counts[name]
                books = program.exchange(name).books.books
                assert {book.feed.subscription.instrument for book in books} == every - {gone}
                await wait_until(lambda: all(book.sync.synced for book in books))  # noqa: B023 - awaited here
            page = await program.metrics()
            assert not [line for line in page if f'symbol="{gone}"' in line]
            for name in names:
                labels = f'exchange_markets{{exchange="{name}",choice='
                assert page[f'{labels}"followed"}}'] == len(every) - 1
                assert page[f'{labels}"left_out"}}'] == 0

    asyncio.run(asyncio.wait_for(test(), 120.0))


def test_a_list_that_lost_most_is_asked_for_again_before_it_is_believed() -> None:
    """An empty answer costs no subscription; two in a row do."""

    async def test() -> None:
        async with running(
            ("binance",), exchange=KEYS, listed=LISTED, symbols='"*-USDT"'
        ) as program:
            markets = program.exchange("binance").markets
            assert await markets.refresh()
            program.simulator.inject({"fault": "delisted", "venue": "binance"})
            assert not await markets.refresh()
            assert len(markets.followed.symbols) == len(LISTED)
            assert await markets.refresh()
            assert not markets.followed.symbols
            assert not program.exchange("binance").streams

    asyncio.run(asyncio.wait_for(test(), 60.0))


def test_the_largest_are_followed_within_the_bound_and_the_limits() -> None:
    """What is left out is counted; what was asked is charged to the venue's budget.

    A gate of a market that patterns could have meant, and is not followed, has a bad fact.
    """
    chosen, exchange_clock = "{top: 3, by: volume, quote: USDT}", SystemClock()
    keys = f"{KEYS}, symbols_limit: 2"

    async def test() -> None:
        async with running(("binance",), exchange=keys, listed=LISTED, symbols=chosen) as program:
            exchange = program.exchange("binance")
            assert await exchange.markets.refresh()
            desk = program.simulator.desks["binance"]
            asked = {path for path in desk.requests if path.startswith("/api/v3/ticker/24hr")}
            assert asked == {"/api/v3/ticker/24hr 200"}
            minute = next(iter(exchange.probing.budgets.values()))
            assert minute.used_ratio() >= (20 + 80) / 6000
            wanted = Wanted(needs=frozenset([Need.FEED]), symbols=frozenset(), clock_offset=1.0)
            now = Moment(exchange_clock.wall(), exchange_clock.monotonic())
            names = frozenset(["GONE-USDT", "BTC-EUR"])
            facts = list(of_exchange(exchange, replace(wanted, symbols=names), now))
            assert [(fact.where, fact.good, fact.why) for fact in facts] == [
                ("binance GONE-USDT", False, "not among the markets that are followed")
            ]
            page = await program.metrics()
            for choice, count in (("followed", 2), ("left_out", 1)):
                assert page[f'exchange_markets{{exchange="binance",choice="{choice}"}}'] == count

    asyncio.run(asyncio.wait_for(test(), 60.0))


def test_a_reload_that_changes_only_symbols_leaves_the_connection_alone() -> None:
    """Whoever is watched before and after keeps its connection and its counts."""

    def other(configured: ExchangeConfig) -> ExchangeConfig:
        return replace(configured, symbols=("BTC-USDT", "XRP-USDT"))

    async def test() -> None:
        async with running(
            ("okx",),
            exchange=KEYS,
            shared="server: {changes: true}",
            listed=LISTED,
            symbols="BTC-USDT, ETH-USDT",
        ) as program:
            both = {"trades", "book"}
            await wait_until(
                lambda: followed(program, "okx") == {"BTC-USDT": both, "ETH-USDT": both}
            )
            state = program.exchange("okx").streams[0]
            since = state.since
            config = program.app.config
            changed = replace(config, exchanges=tuple(other(each) for each in config.exchanges))
            changes = await program.reload(changed)
            assert (changes["kept"], changes["restarted"]) == (["okx"], [])
            await wait_until(
                lambda: followed(program, "okx") == {"BTC-USDT": both, "XRP-USDT": both}
            )
            assert (state.since, state.losses) == (since, 0)
            await wait_until(lambda: topics(program, "okx") == {"BTC-USDT", "XRP-USDT"})

    asyncio.run(asyncio.wait_for(test(), 60.0))
