"""The levels of an order book: sorted, bounded, and nothing known of where they come from."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from typing import Any

from exporter.wire import DOUBTFUL, natural, positive, unreadable

LIMIT = 5000  # levels a side that are kept at most


class _Side:
    """One side: keys rise towards the best price, so that most changes are near the list's end."""

    __slots__ = ("keys", "limit", "sign", "sizes")

    def __init__(self, sign: float, limit: int) -> None:
        self.sign = sign  # bids 1, asks -1: the best key is the greatest on both sides
        self.limit = limit
        self.keys: list[float] = []
        self.sizes: dict[float, Any] = {}  # key → size, or (price, size) as text

    def clear(self) -> None:
        """Forget all levels."""
        self.keys.clear()
        self.sizes.clear()

    def apply(self, levels: Iterable[tuple[float, Any]]) -> None:
        """Set levels in order; a falsy size takes one away."""
        keys, sizes, sign = self.keys, self.sizes, self.sign
        for price, size in levels:
            key = price * sign
            if size:
                if key not in sizes:
                    insort(keys, key)
                sizes[key] = size
            # A level that was never there may be taken away: it lay beyond our depth.
            elif sizes.pop(key, None) is not None:
                del keys[bisect_left(keys, key)]
        extra = len(keys) - self.limit
        if extra > 0:
            for key in keys[:extra]:
                del sizes[key]
            del keys[:extra]


class Book:
    """The levels of one instrument; ``text`` keeps the wire's spelling for a checksum.

    ``depth`` is where the venue itself forgets levels, ``limit`` where we do.
    """

    __slots__ = ("_asks", "_bids", "text")

    def __init__(self, *, depth: int | None = None, limit: int = LIMIT, text: bool = False) -> None:
        kept = limit if depth is None else min(depth, limit)
        self._bids = _Side(1.0, kept)
        self._asks = _Side(-1.0, kept)
        self.text = text

    def load(self, bids: Sequence[tuple[Any, ...]], asks: Sequence[tuple[Any, ...]]) -> None:
        """Begin anew from a snapshot. Raises ParseError, then the book is wrong."""
        self._bids.clear()
        self._asks.clear()
        self.apply(bids, asks)

    def apply(self, bids: Sequence[tuple[Any, ...]], asks: Sequence[tuple[Any, ...]]) -> None:
        """Set levels in order; size 0 takes one away. Raises ParseError, then the book is wrong."""
        try:
            if self.text:
                bids, asks = _read(bids), _read(asks)
            if bids:  # most updates are of one side
                self._bids.apply(bids)
            if asks:
                self._asks.apply(asks)
        except DOUBTFUL as error:
            raise unreadable("book", error) from error

    def clear(self) -> None:
        """Forget all levels."""
        self.load((), ())

    @property
    def bid(self) -> float | None:
        """The best bid, None on an empty side."""
        keys = self._bids.keys
        return keys[-1] if keys else None

    @property
    def ask(self) -> float | None:
        """The best ask, None on an empty side."""
        keys = self._asks.keys
        return -keys[-1] if keys else None

    @property
    def crossed(self) -> bool:
        """Whether somebody bids more than another asks: no market does, so the book is wrong."""
        bids, asks = self._bids.keys, self._asks.keys
        return bool(bids and asks and bids[-1] + asks[-1] > 0.0)

    @property
    def touching(self) -> bool:
        """Whether the best bid is not below the best ask: the book is crossed or locked."""
        bids, asks = self._bids.keys, self._asks.keys
        return bool(bids and asks and bids[-1] + asks[-1] >= 0.0)

    def __len__(self) -> int:
        return len(self._bids.keys) + len(self._asks.keys)

    def top(self, count: int) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        """Give up to ``count`` best (price, size) a side, best first."""
        return _numbers(self._bids, count), _numbers(self._asks, count)

    def spelled(self, count: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """Give the same as the wire spelled it; only for a book that keeps ``text``."""
        bids, asks = self._bids, self._asks
        return (
            list(map(bids.sizes.__getitem__, bids.keys[: -count - 1 : -1])),
            list(map(asks.sizes.__getitem__, asks.keys[: -count - 1 : -1])),
        )


def _read(levels: Iterable[tuple[str, str]]) -> list[tuple[float, tuple[str, str] | None]]:
    """Read levels as text; what is kept of each is the spelling, None of one that is gone."""
    return [(positive(price), (price, size) if natural(size) else None) for price, size in levels]


def _numbers(side: _Side, count: int) -> list[tuple[float, float]]:
    best = side.keys[: -count - 1 : -1]
    rows = [(key * side.sign, side.sizes[key]) for key in best]
    return [(price, float(size[1]) if type(size) is tuple else size) for price, size in rows]


def divergence(one: Book, other: Book, count: int) -> float:
    """Give the share of levels, of the best ``count`` a side, in which two books differ."""
    wrong = whole = 0
    for ours, theirs in zip(one.top(count), other.top(count), strict=True):
        left, right = dict(ours), dict(theirs)
        prices = left.keys() | right.keys()
        whole += len(prices)
        wrong += sum(left.get(price) != right.get(price) for price in prices)
    return wrong / whole if whole else 0.0
