"""Depth and slippage equal what a plain walk over the levels finds; what is usual is a median."""

from __future__ import annotations

from statistics import median_high

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.books.book import BookSync
from exporter.books.levels import OrderBook
from exporter.books.liquidity import SideLiquidity, Usual, measure, named
from exporter.books.meter import LiquidityMeter
from exporter.contracts import BookRules
from exporter.metrics import families as f
from exporter.metrics.children import GaugeChild
from exporter.metrics.registry import Registry
from exporter.model import BookSide, Channel, Depth, SizeUnit, Subscription

Levels = list[tuple[float, float]]
BPS, SIZES = (1.0, 10.0, 50.0), (100.0, 5_000.0, 1e6)


def walk(levels: Levels, middle: float, unit: SizeUnit, sign: float) -> SideLiquidity:
    """Find the same level by level, best first; ``sign`` is 1 for bids."""
    depths = []
    for band in BPS:
        edge = middle * (1.0 - sign * band / 1e4)
        inside = [(price, size) for price, size in levels if sign * price >= sign * edge]
        depths.append(sum(_quote(price, size, unit) for price, size in inside))
    slippages: list[float | None] = []
    for order in SIZES:
        left, base = order, 0.0
        for price, size in levels:
            taken = min(left, _quote(price, size, unit))
            left -= taken
            base += taken / price
            if left <= 0.0:
                break
        slippages.append(None if left > 1e-9 * order else sign * (1.0 - order / base / middle))
    return SideLiquidity(tuple(depths), tuple(slippages))


def _quote(price: float, size: float, unit: SizeUnit) -> float:
    return size if unit is SizeUnit.QUOTE else price * size


SIDE = st.dictionaries(
    st.integers(1, 400), st.sampled_from([0.001, 0.02, 0.5, 3.0, 40.0, 900.0]), min_size=1
)


@settings(max_examples=300, deadline=None)
@given(SIDE, SIDE, st.sets(st.integers(1, 400)), st.sampled_from(SizeUnit), st.booleans())
def test_it_equals_a_plain_walk(
    below: dict[int, float], above: dict[int, float], gone: set[int], unit: SizeUnit, text: bool
) -> None:
    """Over random books, levels that were taken away among them, of both kinds of sizes."""
    tick, middle = 0.25, 1000.0
    bids = {middle - tick * away: size for away, size in below.items()}
    asks = {middle + tick * away: size for away, size in above.items()}
    left = [{p: s for p, s in side.items() if round(abs(p - middle) / tick) not in gone}
            for side in (bids, asks)]  # fmt: skip
    book = OrderBook(text=text)
    spelled = [[(str(p), str(s)) if text else (p, s) for p, s in side.items()]
               for side in (bids, asks)]  # fmt: skip
    book.load(*spelled)
    removed = [
        [(str(p), "0") if text else (p, 0.0) for p in side if p not in kept]
        for side, kept in zip((bids, asks), left, strict=True)
    ]
    book.apply(*removed)
    found = measure(book, unit, BPS, SIZES)
    if not (left[0] and left[1]):
        for side, kept in zip(BookSide, left, strict=True):
            assert found[side].depth == ((None if kept else 0.0),) * len(BPS)
            assert found[side].slippage == (None,) * len(SIZES)
        return
    middle = (max(left[0]) + min(left[1])) / 2
    for side, kept, sign in zip(BookSide, left, (1.0, -1.0), strict=True):
        levels = sorted(kept.items(), reverse=sign > 0)
        plain = walk(levels, middle, unit, sign)
        assert found[side].depth == pytest.approx(plain.depth)
        for ours, theirs in zip(found[side].slippage, plain.slippage, strict=True):
            assert (ours is None) == (theirs is None)
            assert ours is None or ours == pytest.approx(theirs, rel=1e-6, abs=1e-12)


def test_a_book_worked_by_hand() -> None:
    """Middle 100: 3 at 99 and 2 at 98 below; buying for 303 takes 1 at 101 and 2 at 101 more."""
    book = OrderBook()
    book.load([(99.0, 3.0), (98.0, 2.0)], [(101.0, 1.0), (102.0, 10.0)])
    found = measure(book, SizeUnit.BASE, (100.0, 200.0), (203.0, 5000.0))
    assert found[BookSide.BID].depth == (297.0, 493.0)
    assert found[BookSide.ASK].depth == (101.0, 1121.0)
    ratio, unknown = found[BookSide.ASK].slippage
    assert ratio == pytest.approx(203.0 / 2.0 / 100.0 - 1.0)
    assert unknown is None


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=128))
def test_what_is_usual_is_the_median(values: list[float]) -> None:
    """Of all that was seen, as long as that is little; and of too little there is none."""
    usual = Usual()
    for value in values:
        usual.add(value)
    assert usual.median == (median_high(values) if len(values) >= 30 else None)


def test_what_is_usual_remembers_half_a_day_in_bounded_room() -> None:
    """An hour of another level does not become usual within a day of looks a second."""
    usual = Usual()
    for _ in range(40_000):
        usual.add(1000.0)
    for _ in range(3_600):
        usual.add(1.0)
    assert usual.median == 1000.0
    for _ in range(70_000):
        usual.add(1.0)
    assert usual.median == 1.0
    assert len(usual._seen) == len(usual._sorted) <= 128


def test_bands_and_sizes_are_named_as_people_write_them() -> None:
    """No exponents: a query is written by hand."""
    assert [named(each) for each in (10.0, 2.5, 1e6, 0.1)] == ["10", "2.5", "1000000", "0.1"]


def _depth(bids: Levels, asks: Levels, *, snapshot: bool = True) -> Depth:
    return Depth(
        label="book",
        topic="book",
        symbol="BTCUSDT",
        time=None,
        levels=(bids, asks),
        snapshot=snapshot,
    )


def _metered(unit: SizeUnit = SizeUnit.BASE) -> tuple[BookSync, LiquidityMeter, Registry]:
    registry = Registry()
    what = Subscription(
        exchange="acme",
        channel=Channel.BOOK,
        instrument="BTC-USDT",
        symbol="BTCUSDT",
        topic="book",
    )
    sync = BookSync(BookRules(levels=lambda event: event.levels), ())  # type: ignore[arg-type, return-value]
    meter = LiquidityMeter(registry, what, sync, unit, bps=(100.0,), sizes=(500.0,), stands=3.0)
    return sync, meter, registry


def _shown(registry: Registry) -> dict[tuple[str, str], float]:
    return {
        (table.family.name, labels[2]): child.value
        for table in registry.tables()
        if table.family.name in (f.BOOK_DEPTH.name, f.BOOK_SLIPPAGE.name)
        for labels, child in table.children.items()
        if isinstance(child, GaugeChild) and child.value is not None
    }


def test_only_a_book_in_step_is_shown() -> None:
    """Before the snapshot, after a loss and while crossed there are no figures and no verdict."""
    sync, meter, registry = _metered()
    meter.update(0, 0.0)
    assert (_shown(registry), meter.lacking) == ({}, None)
    sync.feed(_depth([(99.5, 10.0)], [(100.5, 10.0)]))
    meter.update(1, 1.0)
    assert _shown(registry)[f.BOOK_DEPTH.name, "bid"] == 995.0
    assert len(_shown(registry)) == 4
    sync.feed(_depth([(101.0, 1.0)], [], snapshot=False))
    meter.update(2, 2.0)
    assert _shown(registry) == {}
    sync.feed(_depth([(99.5, 10.0)], [(100.5, 10.0)]))
    meter.update(3, 3.0)
    assert _shown(registry)
    sync.miss()
    meter.update(3, 4.0)
    assert (_shown(registry), meter.lacking, meter.looked) == ({}, None, 4.0)


def test_liquidity_that_is_gone_is_named() -> None:
    """Unknown until a median is; then a tenth of it is too little, and a size that nobody has."""
    sync, meter, _ = _metered()
    sync.feed(_depth([(99.5, 10.0)], [(100.5, 10.0)]))
    for now in range(29):
        meter.update(1, float(now))
    assert meter.lacking is None
    for now in range(29, 60):
        meter.update(1, float(now))
    assert meter.lacking == ()
    sync.feed(_depth([(99.5, 0.5)], [], snapshot=False))
    meter.update(2, 60.0)
    assert meter.lacking == (
        "the bid side holds less than 500",
        "the bid side holds 49.75 within 100 bps, usual is 995",
    )
    sync.feed(_depth([(99.5, 0.0)], [], snapshot=False))
    meter.update(3, 61.0)
    assert meter.lacking is not None
    assert "the bid side holds 0 within 100 bps, usual is 995" in meter.lacking
