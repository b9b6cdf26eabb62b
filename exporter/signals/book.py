"""Order books: built from snapshot and deltas, bounded, kept in step with the venue.

`Book` holds the levels, `BookSync` knows whether they can be trusted and why not. No I/O: who
drives a BookSync fetches the REST snapshot when it says so.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from exporter.contracts import BookRules, SequenceRule
from exporter.model import Depth, Resync
from exporter.signals.continuity import STEPS, unruled
from exporter.wire import DOUBTFUL, ParseError, natural, positive, unreadable

LIMIT = 5000  # levels a side that are kept at most
BUFFER = 2000  # deltas kept while a snapshot is on its way


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


CHECKED = 25  # levels a side: no venue's checksum covers more


def verify(book: Book, rules: BookRules, checksum: int) -> bool:
    """Say whether the book agrees with the checksum that came with its last message."""
    assert rules.checksum is not None  # noqa: S101 - a venue that sends one says how it is made
    return rules.checksum(*book.spelled(CHECKED)) == checksum


class BookSync:
    """One book and whether it can be trusted: buffers, joins, checks, and says why it was lost.

    ``sequences`` are the venue's rules. While ``wanted`` is not None the caller fetches a snapshot
    (where the venue has one by REST; else it subscribes anew) and gives it to `join`; a snapshot
    in the stream comes through `feed` like any other message.
    """

    __slots__ = (
        "_buffer",
        "_crossed_since",
        "_fresh",
        "_last",
        "_levels",
        "_limit",
        "_reason",
        "_rules",
        "_steps",
        "book",
        "overflows",
        "resyncs",
        "wanted",
    )

    def __init__(
        self,
        rules: BookRules,
        sequences: Iterable[SequenceRule],
        *,
        limit: int = LIMIT,
        buffer: int = BUFFER,
    ) -> None:
        self._rules = rules
        self._levels = rules.levels
        self._limit = limit
        self._steps = {label: STEPS[r.continuity] for r in sequences for label in r.labels}
        self._buffer: deque[Depth] = deque(maxlen=buffer)
        self._last: int | None = None
        self._fresh = False  # nothing has followed the snapshot yet
        self._crossed_since: float | None = None
        self._reason = Resync.START  # why it was last lost
        self.book = self._empty(rules.depth)
        self.wanted: Resync | None = Resync.START
        self.resyncs = dict.fromkeys(Resync, 0)
        self.resyncs[Resync.START] = 1
        self.overflows = 0  # deltas that fell out of the buffer

    def _empty(self, depth: int | None) -> Book:
        text = self._rules.checksum is not None
        return Book(depth=depth, limit=self._limit, text=text)

    @property
    def synced(self) -> bool:
        """Whether the book is usable right now."""
        return self.wanted is None

    @property
    def position(self) -> int | None:
        """Which message the book has come to, by the venue's number; None where it has none."""
        return self._last

    @property
    def waiting(self) -> int:
        """How many deltas wait for a snapshot."""
        return len(self._buffer)

    def agree(self, depth: int | None) -> None:
        """Take the depth that the venue has acknowledged, before its snapshot comes."""
        if depth is not None and not self.synced:
            self.book = self._empty(depth)

    def lose(self, reason: Resync) -> Resync:
        """Distrust the book from now on: an audit, a new connection, whatever the caller knows."""
        self.resyncs[reason] += 1
        self._reason = reason
        self._distrust()
        return reason

    def restart(self) -> None:
        """Begin anew because the subscription does; a book that is lost already stays so."""
        if self.synced:
            self.lose(Resync.START)
        self._buffer.clear()

    def _distrust(self) -> None:
        self.wanted = self._reason
        self.book.clear()
        self._buffer.clear()
        self._crossed_since = None

    def feed(self, event: Depth) -> Resync | None:
        """Take one message from the stream; gives why the book was lost just now, if it was.

        Raises ParseError when its levels are unreadable; the book is lost then, too.
        """
        if event.snapshot:
            self._load(event)
            return self._check(event)
        if self.wanted is not None:
            if self._rules.read_snapshot is not None:
                self.overflows += len(self._buffer) == self._buffer.maxlen
                self._buffer.append(event)
            return None
        lost = self._follow(event)
        if lost is not None and self._rules.read_snapshot is not None:
            self._buffer.append(event)  # it stands behind the hole, as the next snapshot will
        return lost

    def join(self, snapshot: Depth) -> bool:
        """Take a REST snapshot, let the buffered deltas follow it, say whether the book is synced.

        A snapshot older than the first of them is no use: they wait for a newer one. Raises
        ParseError like `feed`.
        """
        waiting = list(self._buffer)
        self._load(snapshot)
        for position, event in enumerate(waiting):
            if self._follow(event) is not None:
                self._buffer.extend(waiting[position:])
                return False
        return True

    def tick(self, now: float, patience: float = 5.0) -> Resync | None:
        """Lose a book that has stayed crossed or locked for ``patience`` seconds.

        ``now`` is monotonic.
        """
        if self.wanted is not None or not self.book.touching:
            self._crossed_since = None
        elif self._crossed_since is None:
            self._crossed_since = now
        elif now - self._crossed_since >= patience:
            return self.lose(Resync.CROSSED)
        return None

    def _load(self, event: Depth) -> None:
        try:
            self.book.load(*self._rules.levels(event))
        except ParseError:
            self.lose(Resync.GAP)
            raise
        self._last = _number(event)
        self._fresh = True
        self.wanted = None
        self._buffer.clear()

    def _follow(self, event: Depth) -> Resync | None:
        last, previous = event.last, self._last
        if last is None:
            last = event.order
        if last is not None and previous is not None:
            first = last if event.first is None else event.first
            if self._fresh:
                # The snapshot lies between two deltas or inside one, hardly ever at a seam.
                if last <= previous and event.previous != previous:
                    return None
                link = first - 1 if event.previous is None else event.previous
                found = 1 if link > previous and event.last is not None else 0
                if found and self._rules.read_snapshot is not None:
                    self._distrust()  # it was too old: no fault of the stream's
                    return self._reason
            else:
                step = self._steps.get(event.label, unruled)
                found = step(previous, first, last, event.previous)
            if found > 0:
                return self.lose(Resync.GAP)
            if found < 0 and last <= previous:
                return None  # old news
            self._fresh = False
        if last is not None:
            self._last = last
        try:
            self.book.apply(*self._levels(event))
        except ParseError:
            self.lose(Resync.GAP)
            raise
        return None if event.checksum is None else self._check(event)

    def _check(self, event: Depth) -> Resync | None:
        if event.checksum is None or self._rules.checksum is None:
            return None
        if verify(self.book, self._rules, event.checksum):
            return None
        return self.lose(Resync.CHECKSUM)


def _number(event: Depth) -> int | None:
    return event.order if event.last is None else event.last
