"""Order books on the page."""

from __future__ import annotations

import pytest

from exporter.books.book import BookSync
from exporter.books.meter import BookMeter
from exporter.contracts import BookRules
from exporter.metrics.registry import Registry
from exporter.model import Channel, Resync, Subscription
from tests.metrics.test_registry import page, samples
from tests.probes.test_meter import value

WHAT = Subscription(
    exchange="acme", channel=Channel.BOOK, instrument="BTC-USDT", symbol="btcusdt", topic="book"
)
NAMES = 'exchange="acme",symbol="BTC-USDT"'


def a_book() -> BookSync:
    """Return a book that waits for its first snapshot."""
    return BookSync(BookRules(levels=lambda levels: ((), ())), ())


def test_a_book_begins_unsynced_with_every_reason() -> None:
    """The first increase of any reason is seen as one, because its series was there before."""
    registry = Registry()
    BookMeter(registry, WHAT, a_book(), checksums=True, audited=True)
    list(registry.run_refreshers())
    assert value(registry, f"exchange_book_synced{{{NAMES}}}") == 0
    assert value(registry, f"exchange_book_checksum_failures_total{{{NAMES}}}") == 0
    for reason in Resync:
        name = f'exchange_book_resyncs_total{{{NAMES},reason="{reason}"}}'
        assert value(registry, name) == (1 if reason is Resync.START else 0)
    assert samples(registry, "exchange_book_audit_divergence_ratio") == []


def test_losses_are_counted_once_by_reason() -> None:
    """Totals of the book become increases; a failed checksum counts as such, too."""
    registry, book = Registry(), a_book()
    book.wanted = None
    meter = BookMeter(registry, WHAT, book, checksums=True, audited=True)
    for checksum, gap in ((1, 0), (1, 2), (1, 2)):
        book.resyncs[Resync.CHECKSUM], book.resyncs[Resync.GAP] = checksum, gap
        list(registry.run_refreshers())
    meter.crossed(1.5)
    meter.audited(0.25)
    name = "exchange_book_resyncs_total"
    assert value(registry, f"exchange_book_synced{{{NAMES}}}") == 1
    assert value(registry, f'{name}{{{NAMES},reason="checksum"}}') == 1
    assert value(registry, f'{name}{{{NAMES},reason="gap"}}') == 2
    assert value(registry, f"exchange_book_checksum_failures_total{{{NAMES}}}") == 1
    assert value(registry, f"exchange_book_crossed_seconds_total{{{NAMES}}}") == 1.5
    assert value(registry, f"exchange_book_audit_divergence_ratio{{{NAMES}}}") == 0.25


@pytest.mark.parametrize("family", ["checksum_failures_total", "audit_divergence_ratio"])
def test_what_does_not_apply_has_no_series(family: str) -> None:
    """A venue without checksums, and a stream that is not audited, show none."""
    registry = Registry()
    meter = BookMeter(registry, WHAT, a_book(), checksums=False, audited=False)
    meter.audited(0.5)
    list(registry.run_refreshers())
    assert not [line for line in page(registry) if f"exchange_book_{family}" in line]
