"""What order books leave in the metrics: one object a book."""

from __future__ import annotations

from exporter.books.book import BookSync
from exporter.metrics import families as f
from exporter.metrics.registry import Registry
from exporter.model import Resync, Subscription


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
