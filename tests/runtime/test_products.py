"""One exchange watches spot, linear and inverse markets at once, over real sockets."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import aiohttp
import pytest

from exporter.model import Channel, SubscriptionState
from exporter.simulator.market import Pair
from exporter.streams.exchange_books import LocalBook
from tests.runtime.running import Running, running, wait_until

LISTED = ("BTC-USDT", "BTC-USDT-PERP", "BTC-USD-PERP")
# Exchange, the instrument there, the simulated market, and the path of its stream.
MARKETS = (
    ("bybit", "BTC-USDT", "BTCUSDT", "/v5/public/spot"),
    ("bybit", "BTC-USDT-PERP", "BTCUSDT", "/v5/public/linear"),
    ("bybit", "BTC-USD-PERP", "BTCUSD", "/v5/public/inverse"),
    ("okx", "BTC-USDT", "BTC-USDT", "/ws/v5/public"),
    ("okx", "BTC-USDT-PERP", "BTC-USDT-SWAP", "/ws/v5/public"),
    ("okx", "BTC-USD-PERP", "BTC-USD-SWAP", "/ws/v5/public"),
    ("binance_futures", "BTC-USDT", "BTCUSDT", "/public/stream"),  # the same perpetual, by name
)
KEYS = "endpoints: [], streams: [{name: market, channels: [trades, quotes, book]}]"


def equal(book: LocalBook, pair: Pair) -> bool:
    """Return whether the best levels of a book are those of the market right now."""
    one = pair.listing
    truth = tuple(
        [(float(one.price(price)), float(one.size(lots))) for price, lots in side]
        for side in (pair.bids.top(10), pair.asks.top(10))
    )
    return book.sync.synced and book.sync.book.top(10) == truth


async def checked_by_its_own(program: Running, name: str, instrument: str, symbol: str) -> None:
    """Ask what a cross-check of each channel would; the answer is of the market of that class."""
    exchange, pair = program.exchange(name), program.simulator.desks[name].pair(symbol)
    assert pair is not None
    feeds = [each for each in exchange.feeds if each.subscription.instrument == instrument]
    for what in (feed.subscription for feed in feeds):
        where = exchange.venue.cross_checks[what.channel]
        path = exchange.venue.place(where.path, where.spell(what.symbol), what.product)
        async with (
            aiohttp.ClientSession() as session,
            session.get(program.simulator.rest_url(name) + path) as reply,
        ):
            found = where.read(await reply.read())
        price = float(pair.listing.price(pair.print[2]))
        assert any(float(str(each)) == pytest.approx(price, rel=0.01) for each in found.state), path


async def wait_right(program: Running, name: str, instrument: str, symbol: str, path: str) -> None:
    """Wait until a market's book is the venue's and its trades flow, at the class's address."""
    exchange, pair = program.exchange(name), program.simulator.desks[name].pair(symbol)
    assert pair is not None
    (book,) = [b for b in exchange.books.books if b.feed.subscription.instrument == instrument]
    await wait_until(lambda: equal(book, pair))
    states = [
        (state, topic, watch.feed)
        for state in exchange.streams
        for topic, watch in state.watches.items()
        if watch.feed.subscription.instrument == instrument
    ]
    assert {feed.subscription.channel for _, _, feed in states} == {
        Channel.TRADES, Channel.QUOTES, Channel.BOOK,
    }  # fmt: skip
    for state, topic, feed in states:
        await wait_until(lambda: feed.count > 0)  # noqa: B023 - awaited here
        await wait_until(lambda: state.subscription(topic) is SubscriptionState.LIVE)  # noqa: B023 - awaited here
        if feed.subscription.channel is Channel.BOOK:
            assert urlsplit(state.address).path.endswith(path)


DATED = ("BTC-USD-261225", "BTC-USD-261225-60000-C")
ENDING = (
    ("binance_coinm", "BTC-USD-261225", "BTCUSD_261225", "/stream"),
    ("okx", "BTC-USD-261225", "BTC-USD-261225", "/ws/v5/public"),
    ("okx", "BTC-USD-261225-60000-C", "BTC-USD-261225-60000-C", "/ws/v5/public"),
)


def test_dated_futures_and_options_are_found_followed_and_asked_about() -> None:
    """From the lists to the book: COIN-M's dated future, and the same at OKX with an option."""

    async def test() -> None:
        async with running(
            ("binance_coinm", "okx"),
            exchange=KEYS,
            listed=("BTC-USDT", *DATED),
            symbols='BTC-USD-261225, "BTC-USD-261225-*"',
            book_rate=10.0,
        ) as program:
            for name, count in {"binance_coinm": 0, "okx": 1}.items():
                markets = program.exchange(name).markets
                await wait_until(lambda: markets.known and len(markets.followed.symbols) == count)  # noqa: B023 - awaited here
            async with asyncio.TaskGroup() as tasks:
                for row in ENDING:
                    tasks.create_task(wait_right(program, *row))
            watched = {
                (name, feed.subscription.instrument)
                for name in ("binance_coinm", "okx")
                for feed in program.exchange(name).feeds
            }
            assert watched == {(name, instrument) for name, instrument, _, _ in ENDING}
            for row in ENDING:
                await checked_by_its_own(program, *row[:3])

    asyncio.run(asyncio.wait_for(test(), 90.0))


def test_books_trades_lists_and_checks_follow_the_class_of_each_market() -> None:
    """Found by patterns; what a cross-check asks about a perpetual is no spot market's price."""

    async def test() -> None:
        async with running(
            ("bybit", "okx", "binance_futures"),
            exchange=KEYS,
            listed=LISTED,
            symbols='BTC-USDT, "BTC-*-PERP"',
            book_rate=10.0,
        ) as program:
            followed = {"bybit": 2, "okx": 2, "binance_futures": 0}  # beside the one that is named
            for name, count in followed.items():
                markets = program.exchange(name).markets
                await wait_until(lambda: markets.known and len(markets.followed.symbols) == count)  # noqa: B023 - awaited here
            async with asyncio.TaskGroup() as tasks:
                for row in MARKETS:
                    tasks.create_task(wait_right(program, *row))
            watched = {
                (name, feed.subscription.instrument)
                for name in ("bybit", "okx", "binance_futures")
                for feed in program.exchange(name).feeds
            }
            assert watched == {(name, instrument) for name, instrument, _, _ in MARKETS}
            for row in MARKETS:
                await checked_by_its_own(program, *row[:3])

    asyncio.run(asyncio.wait_for(test(), 90.0))
