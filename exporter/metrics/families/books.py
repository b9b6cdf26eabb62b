"""Families of order books."""

from __future__ import annotations

from exporter.metrics.families.declare import counter, gauge

BOOK_GAPS = counter(
    "exchange_book_sequence_gaps_total",
    "Gaps in the sequence of the book's updates.",
    "exchange",
    "symbol",
)
BOOK_MISSED = counter(
    "exchange_book_missed_updates_total",
    "Book updates lost in sequence gaps, as far as the venue's numbers show it.",
    "exchange",
    "symbol",
)
BOOK_CHECKSUM_FAILURES = counter(
    "exchange_book_checksum_failures_total",
    "Books whose checksum differed from the checksum sent by the venue.",
    "exchange",
    "symbol",
)
BOOK_RESYNCS = counter(
    "exchange_book_resyncs_total",
    "Times the book was rebuilt from a snapshot, by reason.",
    "exchange",
    "symbol",
    "reason",
)
BOOK_SYNCED = gauge(
    "exchange_book_synced",
    "Whether the local book is synchronized with the venue's (1) or not (0).",
    "exchange",
    "symbol",
    fold="min",
)
BOOK_CROSSED_SECONDS = counter(
    "exchange_book_crossed_seconds_total",
    "Time during which the best bid was not below the best ask, by the local monotonic clock.",
    "exchange",
    "symbol",
)
BOOK_AUDIT_DIVERGENCE = gauge(
    "exchange_book_audit_divergence_ratio",
    "Share of the top levels that differed between the local book and a REST snapshot.",
    "exchange",
    "symbol",
    fold="max",
)
BOOK_DEPTH = gauge(
    "exchange_book_depth",
    "Amount in the quote currency that the levels of the local book hold on one side within so "
    "many basis points of the middle; absent while the book is not in step or is crossed.",
    "exchange",
    "symbol",
    "side",
    "bps",
)
BOOK_DEPTH_MEDIAN = gauge(
    "exchange_book_depth_median",
    "Median of that amount over as long as it is known, up to half a day; absent for the first "
    "30 seconds.",
    "exchange",
    "symbol",
    "side",
    "bps",
)
BOOK_SLIPPAGE = gauge(
    "exchange_book_slippage_ratio",
    "How much worse than the middle the average price of a market order of that size, in the quote "
    "currency, would be; side ask for buying. Absent where the book holds less, is not in step or "
    "is crossed.",
    "exchange",
    "symbol",
    "side",
    "size",
)
