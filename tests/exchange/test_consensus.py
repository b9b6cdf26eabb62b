"""Prices of several exchanges, compared."""

from __future__ import annotations

from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.exchange.consensus import Comparison, Consensus, Mid, compare, frozen

NAMES = ("a", "b", "c", "d", "e")


def look(prices: dict[str, float], **others: float) -> Comparison:
    """Compare fresh prices of BTC-USDT."""
    mids = [Mid(name, "BTC-USDT", price, 100.0, "BTC-USDT") for name, price in prices.items()]
    return compare(mids, 100.0, freshness=5.0, **others)  # type: ignore[arg-type]  # test values


def test_the_odd_one_out_does_not_move_its_own_yardstick() -> None:
    """An exchange 10 % too high is seen 10 % too high, though it is a third of the sample."""
    seen = look({"a": 100.0, "b": 100.0, "c": 110.0})
    assert seen.deviation["c", "BTC-USDT"] == pytest.approx(0.10)
    assert seen.consensus["BTC-USDT"] == Consensus(100.0, 3)


def test_two_alone_accuse_nobody() -> None:
    """With one peer only, no deviation is published."""
    assert look({"a": 100.0, "b": 110.0}).deviation == {}


def test_stale_prices_do_not_count() -> None:
    """A price older than the freshness takes no part in the consensus."""
    mids = [Mid("a", "X-USD", 1.0, 90.0, "X-USD"), Mid("b", "X-USD", 2.0, 99.0, "X-USD")]
    assert compare(mids, 100.0, freshness=5.0).consensus == {"X-USD": Consensus(2.0, 1)}


def test_a_depeg_is_one_number() -> None:
    """USDT at 0.95 USD shows as -5 %, whatever coin is looked at."""
    mids = [
        Mid("a", "BTC-USD", 95.0, 1.0, "BTC-USD"),
        Mid("b", "BTC-USDT", 100.0, 1.0, "BTC-USDT"),
        Mid("a", "ETH-USD", 9.5, 1.0, "ETH-USD"),
        Mid("b", "ETH-USDT", 10.0, 1.0, "ETH-USDT"),
    ]
    assert compare(mids, 1.0, freshness=5.0).basis == {("USD", "USDT"): pytest.approx(-0.05)}


def test_only_like_is_compared_with_like() -> None:
    """A perpetual far from spot is no deviation, whatever the exchange calls it."""
    mids = [
        Mid("spot1", "BTC-USDT", 100.0, 1.0, "BTC-USDT"),
        Mid("spot2", "BTC-USDT", 100.0, 1.0, "BTC-USDT"),
        Mid("spot3", "BTC-USDT", 101.0, 1.0, "BTC-USDT"),
        Mid("futures", "BTC-USDT", 110.0, 1.0, "BTC-USDT-PERP"),
        Mid("swaps", "BTC-USDT-PERP", 110.0, 1.0, "BTC-USDT-PERP"),
    ]
    found = compare(mids, 1.0, freshness=5.0)
    assert found.consensus == {
        "BTC-USDT": Consensus(100.0, 3),
        "BTC-USDT-PERP": Consensus(110.0, 2),
    }
    assert found.deviation == {
        ("spot1", "BTC-USDT"): pytest.approx(100.0 / 100.5 - 1.0),
        ("spot2", "BTC-USDT"): pytest.approx(100.0 / 100.5 - 1.0),
        ("spot3", "BTC-USDT"): pytest.approx(0.01),
    }
    assert found.basis == {}
    moving = [Mid(name, "BTC-USDT", 100.0, 100.0, "BTC-USDT", 99.0) for name in "bc"]
    still = Mid("a", "BTC-USDT", 100.0, 100.0, "BTC-USDT-PERP", 0.0)
    assert frozen([still, *moving], 100.0, freshness=5.0, still=30.0) == frozenset()


@given(st.lists(st.floats(0.01, 1e6), min_size=3, max_size=5), st.floats(0.1, 10.0))
def test_deviation_has_no_unit(prices: list[float], scale: float) -> None:
    """Quoting everything in another unit changes no deviation."""
    one = look(dict(zip(NAMES, prices, strict=False))).deviation
    other = look(dict(zip(NAMES, [p * scale for p in prices], strict=False))).deviation
    assert other == pytest.approx(one, rel=1e-9, abs=1e-9)


def test_frozen_needs_moving_peers() -> None:
    """A value that stands still is frozen only while two peers move."""
    still = Mid("a", "BTC-USDT", 100.0, 100.0, "BTC-USDT", 0.0)
    moving = [Mid(name, "BTC-USDT", 100.0, 100.0, "BTC-USDT", 99.0) for name in "bc"]
    assert frozen([still, *moving], 100.0, freshness=5.0, still=30.0) == {("a", "BTC-USDT")}
    assert frozen([still, moving[0]], 100.0, freshness=5.0, still=30.0) == frozenset()


def test_silence_is_not_frozen() -> None:
    """An exchange that sends nothing is stale, which is told elsewhere."""
    silent = Mid("a", "BTC-USDT", 100.0, 50.0, "BTC-USDT", 0.0)
    moving = [Mid(name, "BTC-USDT", 100.0, 100.0, "BTC-USDT", 99.0) for name in "bc"]
    assert frozen([silent, *moving], 100.0, freshness=5.0, still=30.0) == frozenset()


@given(st.lists(st.sampled_from([1.0, 2.0, 3.5, 7.0]), min_size=3, max_size=9))
def test_every_yardstick_is_the_median_of_the_others(prices: list[float]) -> None:
    """Odd and even numbers of peers, equal prices: as if each were left out and all sorted anew."""
    seen = look({f"x{row}": price for row, price in enumerate(prices)})
    for row, price in enumerate(prices):
        others = median(prices[:row] + prices[row + 1 :])
        assert seen.deviation[f"x{row}", "BTC-USDT"] == price / others - 1.0
