"""The depth of an order book near its mid price, and the slippage of orders of a given size.

Pure: once a tick a book is looked at, never on a frame. Amounts are in the quote currency, bands
in basis points of the middle of best bid and ask.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import mul, truediv

from exporter.books.levels import OrderBook
from exporter.model import BookSide, SizeUnit

_FEW = 32  # levels that are looked at first where only an order's size says how far to go


@dataclass(frozen=True, slots=True)
class SideLiquidity:
    """One side: depth by band, and slippage by size, a ratio of the middle; None: not known."""

    depth: tuple[float | None, ...]
    slippage: tuple[float | None, ...]


def measure(
    book: OrderBook, unit: SizeUnit, bps: Sequence[float], sizes: Sequence[float]
) -> dict[BookSide, SideLiquidity]:
    """Measure both sides of a book that is not crossed; ``bps`` and ``sizes`` rise.

    Depth counts the levels that are known: where a venue sends few, it is what these hold. An
    empty side has a depth of 0, and the other one none, for there is no middle to count from. A
    slippage is None where the known levels of the side hold less than the size.
    """
    bid, ask = book.bid, book.ask
    if bid is None or ask is None:
        nothing: tuple[float | None, ...] = (None,) * len(sizes)
        return {
            side: SideLiquidity((0.0 if best is None else None,) * len(bps), nothing)
            for side, best in ((BookSide.BID, bid), (BookSide.ASK, ask))
        }
    middle = (bid + ask) / 2
    return {side: _measure(book, side, middle, unit, bps, sizes) for side in BookSide}


def _measure(
    book: OrderBook,
    side: BookSide,
    middle: float,
    unit: SizeUnit,
    bps: Sequence[float],
    orders: Sequence[float],
) -> SideLiquidity:
    sign = 1.0 if side is BookSide.BID else -1.0
    counts = [book.count(side, middle * (1.0 - sign * each / 1e4)) for each in bps]
    looked, whole = max(counts, default=0), book.entries(side)
    while True:
        prices, sizes = book.nearest(side, looked)
        amounts = sizes if unit is SizeUnit.QUOTE else map(mul, prices, sizes)
        quote = list(accumulate(amounts))  # in the quote currency, up to each level
        if not orders or looked >= whole or (quote and quote[-1] >= orders[-1]):
            break
        looked = max(2 * looked, _FEW)
    depth = tuple(quote[count - 1] if count else 0.0 for count in counts)
    if not orders:
        return SideLiquidity(depth, ())
    base = list(accumulate(sizes if unit is SizeUnit.BASE else map(truediv, sizes, prices)))
    slippage: list[float | None] = []
    for order in orders:
        last = bisect_left(quote, order)  # the level that fills the rest of it
        if last == len(quote):
            slippage.append(None)
            continue
        before, got = (quote[last - 1], base[last - 1]) if last else (0.0, 0.0)
        average = order / (got + (order - before) / prices[last])
        slippage.append(sign * (1.0 - average / middle))
    return SideLiquidity(depth, tuple(slippage))


class Usual:
    """The median of what was seen of one figure, over as long as it is known, up to half a day.

    Bounded: when there are `_MOST` values every second one is forgotten, and only every second
    one taken from then on, until they lie `_APART` looks apart; then the oldest goes.
    """

    __slots__ = ("_apart", "_due", "_seen", "_sorted")

    _MOST = 128
    _LEAST = 30
    _APART = 512

    def __init__(self) -> None:
        self._seen: deque[float] = deque()
        self._sorted: list[float] = []
        self._apart = 1  # looks between two values that are kept
        self._due = 0  # looks until the next one is

    def add(self, value: float) -> None:
        """Take what was seen at one look."""
        self._due -= 1
        if self._due > 0:
            return
        self._due = self._apart
        if len(self._seen) >= self._MOST:
            if self._apart < self._APART:
                self._apart *= 2
                self._seen = deque(list(self._seen)[::2])
                self._sorted = sorted(self._seen)
            else:
                gone = self._seen.popleft()
                del self._sorted[bisect_left(self._sorted, gone)]
        self._seen.append(value)
        insort(self._sorted, value)

    @property
    def median(self) -> float | None:
        """The median; None while too little was seen."""
        seen = self._sorted
        return None if len(seen) < self._LEAST else seen[len(seen) // 2]


def named(value: float) -> str:
    """Return a band or a size as its label has it: 10, 2.5, 1000000."""
    return format(value, ".12g")


GONE = 0.1  # of its own median: less than that is no liquidity to speak of


def shortfalls(
    found: dict[BookSide, SideLiquidity],
    usual: dict[BookSide, list[Usual]],
    bps: Sequence[float],
    sizes: Sequence[float],
) -> Iterator[str]:
    """Yield what is missing, in words: sizes that a side does not hold, depth that is gone."""
    for side, one in found.items():
        for size, ratio in zip(sizes, one.slippage, strict=True):
            if ratio is None:
                yield f"the {side} side holds less than {named(size)}"
        for band, depth, seen in zip(bps, one.depth, usual[side], strict=True):
            median = seen.median
            if depth is not None and median is not None and depth < GONE * median:
                yield (
                    f"the {side} side holds {depth:.6g} within {named(band)} bps, "
                    f"usual is {median:.6g}"
                )
