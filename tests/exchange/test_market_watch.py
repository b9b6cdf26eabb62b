"""The running program watches what may be done in the markets of simulated venues."""

from __future__ import annotations

import asyncio
from math import isinf

import pytest

from exporter import config as settings
from exporter import venues
from exporter.clock import SystemClock
from exporter.exchange.exchange import Exchange
from exporter.gates.facts import Moment, Wanted, of_exchange
from exporter.model import Need
from tests.runtime.running import Running, running, wait_metrics, wait_until

KEYS = (
    "endpoints: [], limits: {share: 100%}, instruments: {watch: true}, "
    "streams: [{channels: [trades, quotes]}]"
)
LISTED = ("BTC-USDT", "ETH-USDT")
VENUES = ("binance", "bybit", "kraken", "kucoin", "okx")


def modes(page: dict[str, float], symbol: str) -> dict[str, str]:
    """Return the mode that is shown of one market at each exchange."""
    found = {}
    for line, value in page.items():
        if line.startswith("exchange_market_mode{") and f'symbol="{symbol}"' in line:
            assert value == 1
            assert line.split('"')[1] not in found
            found[line.split('"')[1]] = line.split('mode="')[1].split('"')[0]
    return found


async def read(program: Running) -> None:
    """Have every exchange read its lists now, again where something is missing."""

    async def until_sure(exchange: Exchange) -> None:
        while not await exchange.states.refresh():
            pass

    async with asyncio.TaskGroup() as tasks:
        for exchange in program.app.exchanges:
            tasks.create_task(until_sure(exchange))


def refused(program: Running, name: str, symbol: str) -> list[str]:
    """Return what a gate would have against a market."""
    clock = SystemClock()
    wanted = Wanted(needs=frozenset({Need.MODE}), symbols=frozenset({symbol}), clock_offset=1.0)
    now = Moment(clock.wall(), clock.monotonic())
    return [each.why for each in of_exchange(program.exchange(name), wanted, now) if not each.good]


def test_each_restriction_is_shown_in_the_words_of_all() -> None:
    """Halted, cancel only, gone: of that market alone, at each venue, and its end."""

    async def test() -> None:
        async with running(
            VENUES, exchange=KEYS, listed=LISTED, symbols=", ".join(LISTED), book_rate=5.0
        ) as program:
            await read(program)
            page = await program.metrics()
            trading = dict.fromkeys(VENUES, "trading")
            assert modes(page, "BTC-USDT") == modes(page, "ETH-USDT") == trading
            assert refused(program, "okx", "BTC-USDT") == []
            for fault, shown, odd in (
                ("halted", "halted", {"bybit": "absent"}),
                ("cancel_only", "cancel_only",
                 {"bybit": "absent", "okx": "halted", "kucoin": "halted"}),
                ("delisted", "absent", {}),
            ):  # fmt: skip
                number = program.simulator.inject({"fault": fault, "symbol": "BTC-USDT"})
                await read(program)
                page = await program.metrics()
                assert modes(page, "BTC-USDT") == {**dict.fromkeys(VENUES, shown), **odd}
                assert modes(page, "ETH-USDT") == trading
                (why,) = refused(program, "okx", "BTC-USDT")
                assert "trading in it is restricted" in why
                assert refused(program, "okx", "ETH-USDT") == []
                whole = 'exchange_trading_mode{exchange="okx",mode="trading"}'
                assert page[whole] == 1  # one market is not the exchange
                program.simulator.clear(number)
            await read(program)
            assert modes(await program.metrics(), "BTC-USDT") == trading

    asyncio.run(asyncio.wait_for(test(), 110.0))


def test_a_market_that_rests_is_not_silent_and_is_judged_anew_afterwards() -> None:
    """While it is halted it may be silent for ever; then for as long as was usual, from then on."""

    async def test() -> None:
        async with running(("okx",), exchange=KEYS, listed=LISTED, symbols=", ".join(LISTED)) as program:  # fmt: skip  # noqa: E501
            exchange = program.exchange("okx")
            watches = [w for state in exchange.streams for w in state.watches.values()]
            resting = [w for w in watches if w.feed.subscription.instrument == "BTC-USDT"]
            await wait_until(lambda: all(watch.feed.count for watch in watches))
            await read(program)
            number = program.simulator.inject({"fault": "halted", "symbol": "BTC-USDT"})
            await read(program)
            assert all(isinf(watch.stale_after) is (watch in resting) for watch in watches)
            stale = 'exchange_stream_stale_after_seconds{exchange="okx",channel="trades",symbol='
            page = await program.metrics()
            assert f'{stale}"BTC-USDT"}}' not in page
            assert f'{stale}"ETH-USDT"}}' in page
            assert 'exchange_mid_price{exchange="okx",symbol="BTC-USDT"}' not in page
            (watch,) = (w for w in resting if w.feed.subscription.channel == "trades")
            watch.update(watch.feed.last + 500.0)  # a long halt
            watch.resting = False
            assert watch.stale_after == pytest.approx(watch.liveness.stale_after + 500.0)
            program.simulator.clear(number)
            await read(program)
            await wait_until(lambda: not any(watch.resting for watch in watches))
            name = f'{stale}"BTC-USDT"}}'
            await wait_metrics(program, lambda seen: name in seen)

    asyncio.run(asyncio.wait_for(test(), 110.0))


def test_a_changed_tick_is_counted_and_an_announced_end_is_shown() -> None:
    """Once for each market whose rule is another; the tick that holds is shown."""

    async def test() -> None:
        async with running(("okx",), exchange=KEYS, listed=LISTED, symbols=", ".join(LISTED)) as program:  # fmt: skip  # noqa: E501
            await read(program)
            tick = 'exchange_market_tick_size{exchange="okx",symbol="BTC-USDT"}'
            changes = 'exchange_market_rule_changes_total{exchange="okx",rule="tick_size"}'
            end = 'exchange_market_delisting_timestamp_seconds{exchange="okx",symbol="BTC-USDT"}'
            before = await program.metrics()
            assert before[changes] == 0
            assert end not in before
            program.simulator.inject({"fault": "tick_change", "symbol": "BTC-USDT"})
            number = program.simulator.inject({"fault": "delisting", "symbol": "BTC-USDT"})
            await read(program)
            after = await program.metrics()
            assert after[tick] == pytest.approx(10 * before[tick])
            assert after[changes] == 1
            assert after[end] - SystemClock().wall() == pytest.approx(172_800, abs=3700)
            program.simulator.clear(number)
            await read(program)
            assert end not in await program.metrics()

    asyncio.run(asyncio.wait_for(test(), 110.0))


def test_a_market_that_one_list_leaves_out_is_not_gone_yet() -> None:
    """A list may be cut: only the second in a row is believed; what is never read is unknown."""

    async def test() -> None:
        async with running(("okx",), exchange=KEYS, listed=LISTED, symbols=", ".join(LISTED)) as program:  # fmt: skip  # noqa: E501
            states = program.exchange("okx").states
            await read(program)
            program.simulator.inject({"fault": "delisted", "symbol": "BTC-USDT"})
            assert not await states.refresh()
            assert modes(await program.metrics(), "BTC-USDT") == {"okx": "trading"}
            assert await states.refresh()
            assert modes(await program.metrics(), "BTC-USDT") == {"okx": "absent"}
            states.states["ETH-USDT"].read -= 2 * states.standing
            states.tick()
            assert modes(await program.metrics(), "ETH-USDT") == {}
            assert refused(program, "okx", "ETH-USDT") == ["its state was not read yet"]

    asyncio.run(asyncio.wait_for(test(), 110.0))


def test_a_whole_exchange_that_is_restricted_says_so_itself() -> None:
    """Where all that it lists is restricted, so is the exchange."""

    async def test() -> None:
        async with running(("okx",), exchange=KEYS, listed=LISTED, symbols=", ".join(LISTED)) as program:  # fmt: skip  # noqa: E501
            program.simulator.inject({"fault": "halted"})
            await read(program)
            assert (await program.metrics())['exchange_trading_mode{exchange="okx",mode="halted"}'] == 1  # fmt: skip  # noqa: E501

    asyncio.run(asyncio.wait_for(test(), 110.0))


def test_watching_is_refused_where_nothing_is_listed() -> None:
    """The place and the mend are named."""
    text = "exchanges: [{venue: http, rest_url: 'http://a', endpoints: [{name: a, path: /}], instruments: {watch: true}}]"  # noqa: E501
    with pytest.raises(settings.ConfigError, match=r"instruments.watch: found true.*no markets"):
        settings.read(text, "t.yml", venues.choices(), venues.load)


def test_nothing_is_watched_unless_asked_for() -> None:
    """Without the key there is no task, no request and no series."""

    async def test() -> None:
        async with running(("okx",), exchange="endpoints: [], streams: [{channels: [trades]}]") as program:  # fmt: skip  # noqa: E501
            exchange = program.exchange("okx")
            assert "okx/market states" not in {name for _, name, _ in exchange.tasks()}
            assert not [line for line in await program.metrics() if "exchange_market_" in line]

    asyncio.run(asyncio.wait_for(test(), 60.0))
