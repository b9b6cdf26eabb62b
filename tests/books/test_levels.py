"""The levels of a book."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.books.levels import OrderBook, divergence
from exporter.decoding import ParseError

PRICES = st.sampled_from([n / 4 for n in range(1, 60)])
SIZES = st.sampled_from([0.0, 0.5, 1.0, 7.25])
LEVELS = st.lists(st.tuples(PRICES, SIZES), max_size=40)


@given(st.lists(st.tuples(LEVELS, LEVELS), max_size=8))
def test_a_book_is_a_sorted_table(updates: list[tuple[Any, Any]]) -> None:
    """After any updates it holds what a plain dict does, best first."""
    book = OrderBook()
    bids: dict[float, float] = {}
    asks: dict[float, float] = {}
    for update in updates:
        book.apply(*update)
        for table, levels in zip((bids, asks), update, strict=True):
            for price, size in levels:
                table[price] = size
    expected_bids = sorted(((p, s) for p, s in bids.items() if s), reverse=True)
    expected_asks = sorted((p, s) for p, s in asks.items() if s)
    assert book.top(100) == (expected_bids, expected_asks)
    assert book.bid == (expected_bids[0][0] if expected_bids else None)
    assert book.ask == (expected_asks[0][0] if expected_asks else None)
    assert len(book) == len(expected_bids) + len(expected_asks)


@given(LEVELS, st.integers(1, 10))
def test_depth_is_bounded(levels: list[tuple[float, float]], depth: int) -> None:
    """A frame's levels beyond the depth are cut after the last of them, the best are kept."""
    book, whole = OrderBook(depth=depth), OrderBook()
    book.apply(levels, levels)
    whole.apply(levels, levels)
    assert book.top(depth) == whole.top(depth)
    assert len(book) <= 2 * depth


@given(st.lists(LEVELS, max_size=8))
def test_looking_changes_nothing(updates: list[list[tuple[float, float]]]) -> None:
    """Levels that come back are the same, whether or not somebody looked while they were gone."""
    looked, left = OrderBook(), OrderBook()
    for levels in updates:
        looked.apply(levels, levels)
        left.apply(levels, levels)
        best = looked.top(1)
        assert looked.bid == (best[0][0][0] if best[0] else None)
        assert looked.ask == (best[1][0][0] if best[1] else None)
    assert (looked.top(100), len(looked)) == (left.top(100), len(left))


def test_levels_that_come_and_go_do_not_pile_up() -> None:
    """A price that wanders for days leaves nothing behind, and the best levels are what stays."""
    book = OrderBook(limit=100)
    for price in range(1, 5000):
        book.apply([(float(price), 1.0), (float(price), 0.0)], [(float(price), 1.0)])
        assert sum(len(side.sizes) for side in (book._bids, book._asks)) <= 250
    assert (book.bid, book.ask) == (None, 1.0)
    assert book.top(5000)[1] == [(float(price), 1.0) for price in range(1, 101)]


def test_what_is_gone_is_forgotten_long_before_the_limit() -> None:
    """A market of ten levels that wanders costs what about ten levels cost, not the limit's."""
    book = OrderBook()
    for price in range(1, 20_000):
        book.apply([(float(price), 1.0), (float(price - 10), 0.0)], [])
        assert len(book._bids.sizes) <= 250
    assert [price for price, _ in book.top(100)[0]] == [float(19_999 - n) for n in range(10)]


def test_text_is_kept_for_the_checksum() -> None:
    """The wire's zeros survive; one price under two spellings is one level."""
    book = OrderBook(text=True)
    book.load([("1.10", "0.50")], [("2.00", "1.0"), ("3.0", "1.00")])
    book.apply([("1.1", "0.5000")], [("2.0", "0.000")])
    assert book.spelled(5) == ([("1.1", "0.5000")], [("3.0", "1.00")])
    assert book.top(5) == ([(1.1, 0.5)], [(3.0, 1.0)])


@pytest.mark.parametrize("level", [("nan", "1"), ("1", "-1"), ("0", "1"), ("1", "x"), ("{}", "1")])
def test_text_that_is_no_level_is_refused(level: tuple[str, str]) -> None:
    """A book never holds a price that is none."""
    with pytest.raises(ParseError):
        OrderBook(text=True).apply([level], [])


def test_crossed_and_locked() -> None:
    """Crossed is a bid above an ask, locked a bid at one: both touch, an empty side does not."""
    book = OrderBook()
    book.apply([(1.0, 1.0)], [])
    assert (book.crossed, book.touching) == (False, False)
    book.apply([], [(1.0, 1.0)])
    assert (book.crossed, book.touching) == (False, True)
    book.apply([(1.5, 1.0)], [])
    assert (book.crossed, book.touching) == (True, True)


def test_divergence_is_a_share_of_levels() -> None:
    """Of four prices one has another size and one is not there: half of them are wrong."""
    one, other = OrderBook(), OrderBook()
    one.apply([(1.0, 1.0), (0.5, 1.0)], [(2.0, 1.0)])
    other.apply([(1.0, 1.0), (0.5, 2.0)], [(2.0, 1.0), (3.0, 1.0)])
    assert divergence(one, other, 10) == 0.5
    assert divergence(one, other, 1) == 0.0
    assert divergence(OrderBook(), OrderBook(), 10) == 0.0
