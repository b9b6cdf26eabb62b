"""The markets behind the simulated venues."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.simulator.market import STRAIGHT, Bend, Candle, Pair, Walk, listing

ONE = listing("BTC-USDT", "BTCUSDT", seed=1)


def pair(seed: int = 1, venue: str = "acme", rate: float = 50.0) -> Pair:
    """A market of its own."""
    return Pair(ONE, venue, seed, rate=rate, steps=10.0, depth=20)


def test_the_same_seed_gives_the_same_market() -> None:
    """Steps, trades and books are a function of the seed; another seed or venue differs."""
    runs = []
    for seed, venue in ((7, "acme"), (7, "acme"), (8, "acme"), (7, "other")):
        market, walk = pair(seed, venue), Walk(seed, "BTC", 0.1)
        runs.append([market.advance(walk.at(n), 1000 * n) for n in range(1, 50)])
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
    assert runs[0] != runs[3]


def test_a_quiet_market_trades_less_and_loses_no_number() -> None:
    """The share of the usual trades is made; the next one has the next number all the same."""
    market, walk = pair(rate=50.0), Walk(1, "BTC", 0.1)
    made = {}
    for share in (1.0, 0.1, 0.0):
        first = market.trade
        made[share] = 0
        for _ in range(400):
            step = market.advance(walk.at(market.number + 1), 0, Bend(trades=share))
            made[share] += len(step.trades)
        assert market.trade == first + made[share]
    assert made[1.0] == 2000
    assert 120 < made[0.1] < 280
    assert made[0.0] == 0


@given(
    seed=st.integers(0, 1000),
    bends=st.lists(
        st.builds(
            Bend,
            offset=st.floats(-0.1, 0.1),
            spread=st.floats(1, 50),
            crossed=st.booleans(),
            frozen=st.booleans(),
        )
        | st.just(STRAIGHT),
        max_size=30,
    ),
)
@settings(max_examples=50, deadline=None)
def test_deltas_build_the_book(seed: int, bends: list[Bend]) -> None:
    """Whoever applies all changes to the first state has exactly the market's own book."""
    market, walk = pair(seed), Walk(seed, "BTC", 0.1)
    bids, asks = dict(market.bids.top()), dict(market.asks.top())
    last = market.last
    for number, bend in enumerate(bends, 1):
        step = market.advance(walk.at(number), number * 100, bend)
        assert step.first == last + 1 <= step.last
        last = step.last
        for side, changes in ((bids, step.bids), (asks, step.asks)):
            for price, size in changes:
                side.pop(price, None)
                if size:
                    side[price] = size
        assert sorted(bids.items(), reverse=True) == market.bids.top()
        assert sorted(asks.items()) == market.asks.top()
        assert len(bids) == len(asks) == 20
        assert (max(bids) > min(asks)) == bend.crossed


def test_trades_count_up_inside_the_spread() -> None:
    """Each trade is at the best bid or ask of its step, and its number is the next one."""
    market, walk = pair(), Walk(1, "BTC", 0.1)
    numbers = []
    for n in range(1, 100):
        step = market.advance(walk.at(n), 100 * n)
        for number, buy, price, size in step.trades:
            numbers.append(number)
            assert price == (market.asks.best if buy else market.bids.best)
            assert size > 0
    assert len(numbers) > 400
    assert all(after == before + 1 for before, after in pairwise(numbers))


def test_venues_agree_within_ten_basis_points() -> None:
    """The walk is common: venues differ by their noise alone, while the price itself wanders."""
    walk = Walk(3, "BTC", 0.1)
    markets = [pair(3, venue) for venue in ("one", "two", "three")]
    middles = []
    for n in range(1, 2000):
        for market in markets:
            market.advance(walk.at(n), 100 * n)
        row = [(market.bids.best + market.asks.best) / 2 for market in markets]
        middles.append(row[0])
        assert max(row) / min(row) - 1 < 0.001
    assert max(middles) / min(middles) - 1 > 0.0005


def test_a_minute_closes_its_kline() -> None:
    """The closed kline holds its minute's trades, and the next one begins where it ended."""
    market, walk = pair(), Walk(1, "BTC", 0.1)
    volume = 0
    closed: list[Candle] = []
    for n in range(1, 1300):
        step = market.advance(walk.at(n), 100 * n)
        closed += step.closed.values()
        if n * 100 < 60_000:
            volume += sum(row[3] for row in step.trades)
    first, second = closed
    assert (first.start, first.end, first.closed) == (0, 59_999, True)
    assert first.volume == volume
    assert first.low <= min(first.open, first.close) <= max(first.open, first.close) <= first.high
    assert second.start == 60_000
    assert second.first == first.last + 1
