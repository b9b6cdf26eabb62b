"""Order books: built from snapshots and deltas, and synchronized with the venue.

`OrderBook` holds the levels, `BookSync` knows whether they can be trusted and why not. No I/O: who
drives a BookSync fetches the REST snapshot when it says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from exporter.books.levels import LIMIT, OrderBook
from exporter.continuity import STEPS, unruled
from exporter.contracts import BookRules, SequenceRule
from exporter.decoding import ParseError
from exporter.model import Continuity, Depth, Resync

BUFFER = 2000  # deltas kept while a snapshot is on its way
CHECKED = 25  # levels a side: no venue's checksum covers more


def verify(book: OrderBook, rules: BookRules, checksum: int) -> bool:
    """Return whether the book agrees with the checksum that came with its last message."""
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
        "numbered",
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
        sequences = tuple(sequences)
        self._steps = {label: STEPS[r.continuity] for r in sequences for label in r.labels}
        # Whether the venue's own numbers show that a message is missing.
        self.numbered = any(
            r.attribute == "span" and r.continuity is not Continuity.RISING for r in sequences
        )
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

    def _empty(self, depth: int | None) -> OrderBook:
        text = self._rules.checksum is not None
        return OrderBook(depth=depth, limit=self._limit, text=text)

    @property
    def synced(self) -> bool:
        """Return whether the book is usable right now."""
        return self.wanted is None

    @property
    def reason(self) -> Resync:
        """Why it was last lost: at first, because there was none yet."""
        return self._reason

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
        """Mark the book as lost: by an audit, a new connection, or whatever the caller knows."""
        self.resyncs[reason] += 1
        self._reason = reason
        self._distrust()
        return reason

    def miss(self) -> Resync | None:
        """Take that a message may be missing here; return why the book was lost, if it was.

        What waited for a snapshot may have a hole now, and waits no longer.
        """
        if self.numbered:
            return None
        self._buffer.clear()
        return self.lose(Resync.GAP) if self.synced else None

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
        previous, last = self._last, event.last
        if event.checksum is None and event.previous is None:
            # Nearly all follow by every rule, or have nothing to follow by: 1 µs less than asking.
            if last is None:
                if event.order is None:
                    self._apply(event)
                    return None
            elif previous is not None and event.first == previous + 1 and last > previous:
                self._last, self._fresh = last, False
                self._apply(event)
                return None
        lost = self._follow(event)
        if lost is not None and self._rules.read_snapshot is not None:
            self._buffer.append(event)  # it stands behind the hole, as the next snapshot will
        return lost

    def join(self, snapshot: Depth) -> bool:
        """Apply a REST snapshot and the buffered deltas; return whether the book is synced.

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
        self._apply(event)
        return None if event.checksum is None else self._check(event)

    def _apply(self, event: Depth) -> None:
        try:
            bids, asks = self._levels(event)
            self.book.apply(bids, asks)
        except ParseError:
            self.lose(Resync.GAP)
            raise

    def _check(self, event: Depth) -> Resync | None:
        if event.checksum is None or self._rules.checksum is None:
            return None
        if verify(self.book, self._rules, event.checksum):
            return None
        return self.lose(Resync.CHECKSUM)


def _number(event: Depth) -> int | None:
    return event.order if event.last is None else event.last
