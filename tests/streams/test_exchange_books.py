"""Order books of the running program, held against the simulator's own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from itertools import pairwise
from random import Random

import pytest

from exporter.model import Depth, Resync
from exporter.runtime.state import snapshot
from exporter.web.state import BookView
from tests.runtime.running import Running, listing, running, wait_until

NUMBERED = ("binance", "binance_futures", "bybit", "kucoin", "okx")  # their updates


def run(test: Coroutine[object, object, None]) -> None:
    """Run a test that takes seconds, and minutes on a busy machine."""
    asyncio.run(asyncio.wait_for(test, 150.0))


def losses(program: Running, name: str) -> dict[Resync, int]:
    """Return how often one book was lost, by reasons that there were."""
    return {why: count for why, count in program.book(name).sync.resyncs.items() if count}


def test_every_venue_s_book_is_the_venue_s() -> None:
    """By each venue's own procedure, over many states of the market, without a resync."""

    async def test() -> None:
        async with running(listing()) as program:
            async with asyncio.TaskGroup() as tasks:
                for name in listing():
                    tasks.create_task(program.wait_equal(name))
            for name in listing():
                assert losses(program, name) == {Resync.START: 1}
            seen = await program.metrics()
            for name in listing():
                book = f'{{exchange="{name}",symbol="BTC-USDT"}}'
                assert seen[f"exchange_book_synced{book}"] == 1
                assert seen[f"exchange_book_crossed_seconds_total{book}"] == 0

    run(test())


def test_lost_frames_cost_the_book_and_it_is_mended() -> None:
    """A hole is seen by the venue's own numbers, or by its checksum; then the book is right."""

    async def test() -> None:
        venues = (*NUMBERED, "kraken")
        async with running(venues) as program:
            for name in venues:
                await program.wait_equal(name, 2)
            gap = program.simulator.inject({"fault": "gap", "channel": "book", "probability": 0.5})
            await wait_until(lambda: all(len(losses(program, name)) > 1 for name in venues))
            program.simulator.clear(gap)
            for name in venues:
                await program.wait_equal(name)
                why = Resync.CHECKSUM if name == "kraken" else Resync.GAP
                assert set(losses(program, name)) == {Resync.START, why}
            seen = await program.metrics()
            for name in NUMBERED:
                book = f'{{exchange="{name}",symbol="BTC-USDT"}}'
                assert seen[f"exchange_book_sequence_gaps_total{book}"] >= 1
                assert seen[f"exchange_book_missed_updates_total{book}"] >= 1

    run(test())


def test_unreadable_frames_cost_the_book_where_no_number_shows_them() -> None:
    """It is built anew, by a snapshot in the stream or over REST, and is the venue's again."""

    async def test() -> None:
        venues = ("bitstamp", "coinbase", "kraken")
        async with running(venues) as program:
            for name in venues:
                await program.wait_equal(name, 2)
            bad = program.simulator.inject(
                {"fault": "malformed", "channel": "book", "probability": 0.2}
            )
            await wait_until(lambda: all(Resync.GAP in losses(program, name) for name in venues))
            program.simulator.clear(bad)
            for name in venues:
                await program.wait_equal(name)

    run(test())


class _Broken:
    """Levels that no reader of ours is prepared for."""

    def __iter__(self) -> Iterator[object]:
        raise ZeroDivisionError("a fault of ours")


def test_a_fault_of_ours_costs_the_book_and_not_the_stream() -> None:
    """Half of a message may stand in the book: it is distrusted, built anew, and right again."""

    async def test() -> None:
        async with running(["binance"]) as program:
            await program.wait_equal("binance", 2)
            book = program.book("binance")
            position, what = book.sync.position, book.feed.subscription
            assert position is not None
            event = Depth(
                "depthUpdate", what.topic, what.symbol, None, _Broken(),
                first=position + 1, last=position + 1,
            )  # fmt: skip
            with pytest.raises(ZeroDivisionError):
                book(event, 1.7e9)
            assert losses(program, "binance") == {Resync.START: 1, Resync.GAP: 1}
            await program.wait_equal("binance", 2)
            seen = await program.metrics()
            assert seen['exchange_exporter_task_restarts_total{task="stream"}'] == 0

    run(test())


def test_any_mixture_of_faults_ends_in_right_books() -> None:
    """Lost, doubled and broken frames, silence, disconnects, REST that fails: all of it mended."""

    async def test() -> None:
        random, venues = Random(7), (*NUMBERED, "kraken")
        faults: tuple[dict[str, object], ...] = (
            {"fault": "gap", "channel": "book", "probability": 0.2, "for": "500ms"},
            {"fault": "duplicate", "channel": "book", "probability": 0.5, "for": "1s"},
            {"fault": "malformed", "channel": "book", "probability": 0.2, "for": "500ms"},
            {"fault": "disconnect"},
            {"fault": "garbage_body", "probability": 0.5, "for": "1s"},
            {"fault": "error", "probability": 0.5, "for": "1s"},
        )
        async with running(venues) as program:
            for _ in range(25):
                program.simulator.inject({**random.choice(faults), "venue": random.choice(venues)})
                await asyncio.sleep(random.random() * 0.4)
            program.simulator.clear()
            async with asyncio.TaskGroup() as tasks:
                for name in venues:
                    tasks.create_task(program.wait_equal(name, timeout=40.0))
            seen = await program.metrics()
            assert seen['exchange_exporter_task_restarts_total{task="book"}'] == 0
            assert seen['exchange_exporter_task_restarts_total{task="stream"}'] == 0

    run(test())


@pytest.mark.parametrize("name", ["kraken", "okx"])
def test_a_wrong_checksum_costs_the_book(name: str) -> None:
    """Counted as such and as the reason of the resync; the book comes back when they are right."""

    async def test() -> None:
        async with running([name]) as program:
            await program.wait_equal(name, 2)
            bad = program.simulator.inject({"fault": "bad_checksum"})
            await wait_until(lambda: Resync.CHECKSUM in losses(program, name))
            program.simulator.clear(bad)
            await program.wait_equal(name, timeout=20.0)
            seen = await program.metrics()
            failures = (
                f'exchange_book_checksum_failures_total{{exchange="{name}",symbol="BTC-USDT"}}'
            )
            assert seen[failures] == losses(program, name)[Resync.CHECKSUM]

    run(test())


def test_a_lost_connection_begins_anew() -> None:
    """The book is lost with it, for the reason that there is none, and right on the next one."""

    async def test() -> None:
        venues = ("binance", "okx")
        async with running(venues) as program:
            for name in venues:
                await program.wait_equal(name, 2)
            program.simulator.disconnect()
            await wait_until(lambda: all(losses(program, n)[Resync.START] == 2 for n in venues))
            for name in venues:
                await program.wait_equal(name)
                assert losses(program, name) == {Resync.START: 2}

    run(test())


def books(program: Running) -> list[BookView]:
    """Return the first book of each exchange, as the status page shows it."""
    return [
        next(row.book for row in each.streams[0].subscriptions if row.book is not None)
        for each in snapshot(program.app).exchanges
    ]


def test_a_crossed_book_is_counted_and_given_up() -> None:
    """For as long as it lasts its seconds count, and after five of them it is built anew."""

    async def test() -> None:
        venues = ("binance", "bybit")
        async with running(venues) as program:
            for name in venues:
                await program.wait_equal(name, 2)
            begun = program.app.clock.monotonic()
            before = program.app.clock.wall()
            crossed = program.simulator.inject({"fault": "crossed_book"})
            # What is shown follows the book with the next tick.
            await wait_until(lambda: all(book.crossed_since for book in books(program)))
            for shown in books(program):
                assert shown.crossed_since is not None
                assert before <= shown.crossed_since <= program.app.clock.wall()
            await wait_until(
                lambda: all(Resync.CROSSED in losses(program, name) for name in venues)
            )
            program.simulator.clear(crossed)
            for name in venues:
                await program.wait_equal(name)
            lasted, seen = program.app.clock.monotonic() - begun, await program.metrics()
            for name in venues:
                book = f'{{exchange="{name}",symbol="BTC-USDT"}}'
                assert 4.5 < seen[f"exchange_book_crossed_seconds_total{book}"] <= lasted
            await wait_until(lambda: not any(book.crossed_since for book in books(program)))

    run(test())


@pytest.mark.parametrize("name", ["binance", "binance_futures", "bitstamp", "kucoin"])
def test_an_audit_finds_what_is_wrong_and_nothing_else(name: str) -> None:
    """A right book does not differ from REST at all; levels that nobody offers are found."""

    async def test() -> None:
        keys = "endpoints: [], streams: [{channels: [book], book_audit: 10s}]"
        async with running([name], exchange=keys, book_rate=10.0) as program:
            await program.wait_equal(name, 5)
            book = program.book(name)
            snapshots = program.exchange(name).books.snapshots
            assert snapshots is not None
            assert await book.audit(snapshots) == 0.0
            prices = [price for price, _ in book.sync.book.top(12)[0]][5:]
            between = [(left + right) / 2 for left, right in pairwise(prices)]
            book.sync.book.apply([(price, 1.0) for price in between], [])
            found = await book.audit(snapshots)
            assert found is not None
            assert 0.05 < found < 0.5
            seen = await program.metrics()
            labels = f'{{exchange="{name}",symbol="BTC-USDT"}}'
            assert f"exchange_book_audit_divergence_ratio{labels}" in seen

    run(test())


def test_without_books_nothing_is_built() -> None:
    """Who only wants to know that the channel lives pays for no book, and sees no series of one."""

    async def test() -> None:
        keys = "endpoints: [], streams: [{channels: [book], book: false}]"
        async with running(["binance"], exchange=keys) as program:
            (feed,) = program.exchange("binance").feeds
            await wait_until(lambda: feed.count > 10)
            assert program.exchange("binance").books.books == []
            seen = await program.metrics()
            assert not [line for line in seen if line.startswith("exchange_book_synced{")]

    run(test())


def test_a_book_gives_the_price_where_nobody_quotes() -> None:
    """Middle and spread come from the book; with it they go."""

    async def test() -> None:
        keys = "endpoints: [], streams: [{channels: [book]}]"
        async with running(["binance"], exchange=keys) as program:
            await program.wait_equal("binance", 2)
            await wait_until(lambda: program.book("binance").feed.mid > 0)
            seen, pair = await program.metrics(), program.pair("binance")
            middle = (pair.bids.best + pair.asks.best) / 2 / 10**pair.listing.price_decimals
            labels = '{exchange="binance",symbol="BTC-USDT"}'
            assert seen[f"exchange_mid_price{labels}"] == pytest.approx(middle, rel=1e-3)
            assert 0 < seen[f"exchange_spread_ratio{labels}"] < 1e-3
            program.simulator.inject({"fault": "error", "status": 503})
            program.simulator.disconnect()
            await wait_until(lambda: not program.book("binance").sync.synced)
            await asyncio.sleep(0.3)
            seen = await program.metrics()
            assert f"exchange_mid_price{labels}" not in seen
            assert seen[f"exchange_book_synced{labels}"] == 0

    run(test())
