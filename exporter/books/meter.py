"""The metrics of order books: one object for each book, and one more where depth is measured."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.books.book import BookSync
from exporter.books.liquidity import Usual, measure, named, shortfalls
from exporter.metrics import families as f
from exporter.metrics.registry import Registry
from exporter.model import BookSide, Resync, SizeUnit, Subscription


class BookMeter:
    """Shows one book, read before each scrape so that frames cost nothing here.

    ``checksums``: whether the venue sends any. ``audited``: whether it is held against REST.
    """

    def __init__(
        self,
        registry: Registry,
        what: Subscription,
        book: BookSync,
        *,
        checksums: bool,
        audited: bool,
    ) -> None:
        names = (what.exchange, what.instrument)
        self._book = book
        self._counted = dict.fromkeys(Resync, 0)
        self._synced = registry.gauge(f.BOOK_SYNCED, *names)
        self._resyncs = registry.counters(f.BOOK_RESYNCS, *names, values=Resync)
        self._failures = registry.counter(f.BOOK_CHECKSUM_FAILURES, *names) if checksums else None
        self._crossed = registry.counter(f.BOOK_CROSSED_SECONDS, *names)
        self._divergence = registry.gauge(f.BOOK_AUDIT_DIVERGENCE, *names) if audited else None
        registry.refresh(self.refresh)

    def crossed(self, duration: float) -> None:
        """Count seconds during which the best bid was not below the best ask."""
        self._crossed.inc(duration)

    def audited(self, divergence: float) -> None:
        """Show the share of levels that an audit found wrong."""
        if self._divergence is not None:
            self._divergence.set(divergence)

    def refresh(self) -> None:
        """Bring the children up to what the book shows now."""
        self._synced.set(1 if self._book.synced else 0)
        for reason, total in self._book.resyncs.items():
            new, self._counted[reason] = total - self._counted[reason], total
            self._resyncs[reason].inc(new)
            if reason is Resync.CHECKSUM and self._failures is not None:
                self._failures.inc(new)


class LiquidityMeter:
    """Shows how much one book holds, and keeps what of it a gate may stand on.

    ``stands``: seconds for which a look counts. Public after the first look: ``looked``, monotonic
    seconds, and ``lacking``, in words what is missing, None while nothing is known.
    """

    def __init__(
        self,
        registry: Registry,
        what: Subscription,
        book: BookSync,
        unit: SizeUnit,
        *,
        bps: Sequence[float],
        sizes: Sequence[float],
        stands: float,
    ) -> None:
        names = (what.exchange, what.instrument)
        self._book, self._unit, self._bps, self._sizes = book, unit, bps, sizes
        self.stands = stands
        self.looked = float("-inf")
        self.lacking: tuple[str, ...] | None = None
        self._counted = -1
        bands, orders = [named(each) for each in bps], [named(each) for each in sizes]
        self._depth, self._median, self._slippage = (
            {side: [registry.gauge(family, *names, side, each) for each in values]
             for side in BookSide}
            for family, values in (
                (f.BOOK_DEPTH, bands), (f.BOOK_DEPTH_MEDIAN, bands), (f.BOOK_SLIPPAGE, orders),
            )
        )  # fmt: skip
        self._usual = {side: [Usual() for _ in bps] for side in BookSide}

    def update(self, count: int, now: float) -> None:
        """Look once a tick: ``count`` messages have come so far, ``now`` is monotonic.

        A book that heard nothing since is as it was, and costs nothing but what is learnt of it.
        """
        usable = self._book.synced and not self._book.book.touching
        if not usable or count != self._counted:
            self._show(usable)
            self._counted = count if usable else -1
        self.looked = now
        if not usable:
            self.lacking = None
            return
        known = True
        for side in BookSide:
            depths = self._depth[side], self._usual[side], self._median[side]
            for depth, usual, median in zip(*depths, strict=True):
                if depth.value is not None:
                    usual.add(depth.value)
                middle = usual.median
                median.set(middle)
                known = known and middle is not None
        lacking = tuple(shortfalls(self._found, self._usual, self._bps, self._sizes))
        self.lacking = lacking if lacking or known else None

    def _show(self, usable: bool) -> None:
        self._found = measure(self._book.book, self._unit, self._bps, self._sizes) if usable else {}
        for side in BookSide:
            one = self._found.get(side)
            for place, child in enumerate(self._depth[side]):
                child.set(None if one is None else one.depth[place])
            for place, child in enumerate(self._slippage[side]):
                child.set(None if one is None else one.slippage[place])
