"""Prices of the running program, held against one another while one exchange misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import pytest

from tests.runtime.running import Running, running, wait_metrics

VENUES = ("binance", "bybit", "okx")
KEYS = "endpoints: [], streams: [{channels: [quotes]}]"
BTC = 'symbol="BTC-USDT"'


def run(test: Coroutine[object, object, None]) -> None:
    """Run a test that may take two minutes."""
    asyncio.run(asyncio.wait_for(test, 110.0))


async def wait_priced(program: Running) -> None:
    """Wait until every exchange has a price and a tick has seen all of them."""
    names = [f'exchange_price_frozen{{exchange="{each.name}"' for each in program.app.exchanges]
    await wait_metrics(
        program, lambda seen: all(any(line.startswith(name) for line in seen) for name in names)
    )


def test_the_one_that_is_off_is_named() -> None:
    """5 % on one of three: its deviation says so, the others' does not, the median stays."""

    async def test() -> None:
        async with running(VENUES, exchange=KEYS) as program:
            await wait_priced(program)
            before = await program.metrics()
            assert before[f"exchange_consensus_venues{{{BTC}}}"] == 3
            program.simulator.inject({"fault": "price_offset", "venue": "okx", "ratio": 0.05})
            name = f'exchange_price_deviation_ratio{{exchange="okx",{BTC}}}'
            assert abs(before[name]) < 0.01
            after = await wait_metrics(program, lambda seen: abs(seen[name] - 0.05) < 0.01)
            consensus = f"exchange_consensus_price{{{BTC}}}"
            assert after[consensus] == pytest.approx(before[consensus], rel=0.01)
            # Of three, each is held against two: the middle of a right and a wrong one.
            binance = f'exchange_price_deviation_ratio{{exchange="binance",{BTC}}}'
            assert after[binance] == pytest.approx(-0.025, abs=0.01)

    run(test())


def test_a_frozen_price_is_told_from_a_calm_market() -> None:
    """One price stands still while two move; when all of them did, none would be blamed."""

    async def test() -> None:
        prices = "prices: {still: 2s, freshness: 5s}"
        async with running(VENUES, exchange=KEYS, shared=prices) as program:
            await wait_priced(program)
            seen = await program.metrics()
            names = [f'exchange_price_frozen{{exchange="{name}",{BTC}}}' for name in VENUES]
            assert [seen[name] for name in names] == [0, 0, 0]
            program.simulator.inject({"fault": "frozen_price", "venue": "bybit"})
            await wait_metrics(program, lambda seen: [seen[name] for name in names] == [0, 1, 0])

    run(test())


def test_what_is_stale_takes_no_part() -> None:
    """A silent exchange leaves the consensus, and with too few left nobody is accused."""

    async def test() -> None:
        async with running(VENUES, exchange=KEYS, shared="prices: {freshness: 500ms}") as program:
            await wait_priced(program)
            program.simulator.inject({"fault": "mute", "venue": "okx"})
            venues = f"exchange_consensus_venues{{{BTC}}}"
            seen = await wait_metrics(program, lambda seen: seen[venues] == 2)
            assert not [line for line in seen if line.startswith("exchange_price_deviation")]
            assert f'exchange_price_frozen{{exchange="okx",{BTC}}}' not in seen

    run(test())


def test_one_sided_currencies_have_a_basis() -> None:
    """USDT against USD is one number, over all that trade in both."""

    async def test() -> None:
        keys = "endpoints: [], streams: [{channels: [quotes], symbols: [BTC-USDT, BTC-USD]}]"
        async with running(["coinbase"], exchange=keys) as program:
            await wait_priced(program)
            seen = await program.metrics()
            basis = seen['exchange_quote_basis_ratio{base_quote="USD",quote="USDT"}']
            dollars = seen['exchange_consensus_price{symbol="BTC-USD"}']
            tethers = seen[f"exchange_consensus_price{{{BTC}}}"]
            assert basis == pytest.approx(dollars / tethers - 1.0, abs=1e-9)

    run(test())
