"""What one subscription leaves in the metrics: shown at each scrape, not counted per message."""

from __future__ import annotations

from math import isfinite
from typing import Protocol

from exporter.metrics import families as f
from exporter.metrics.registry import Registry
from exporter.metrics.streams import ChannelMeter
from exporter.model import Channel, Subscription


class Facts(Protocol):
    """What a subscription knows of itself; times in epoch seconds, counts since the start."""

    count: int
    gaps: int
    missed: int
    last: float
    changed: float
    mid: float
    spread: float


class FeedMeter:
    """One subscription's children. ``priced``: it speaks for the instrument's price."""

    def __init__(
        self, registry: Registry, subscription: Subscription, shared: ChannelMeter, priced: bool
    ) -> None:
        exchange, channel = subscription.exchange, subscription.channel
        instrument = subscription.instrument
        self._shared = shared
        self._last = registry.gauge(f.STREAM_LAST_MESSAGE, exchange, channel, instrument)
        self._stale_after = registry.gauge(f.STREAM_STALE_AFTER, exchange, channel, instrument)
        self._stream_gaps = registry.counter(f.STREAM_GAPS, exchange, channel)
        self._book_gaps = self._book_missed = None
        if channel is Channel.BOOK:
            self._book_gaps = registry.counter(f.BOOK_GAPS, exchange, instrument)
            self._book_missed = registry.counter(f.BOOK_MISSED, exchange, instrument)
        self._mid = self._spread = self._changed = None
        if priced:
            self._mid = registry.gauge(f.MID_PRICE, exchange, instrument)
            self._spread = registry.gauge(f.SPREAD, exchange, instrument)
            self._changed = registry.gauge(f.STREAM_VALUE_LAST_CHANGE, exchange, instrument)
        self._count = self._gaps = self._missed = 0

    def show(self, facts: Facts, stale_after: float, now: float) -> None:
        """Bring the children up to these facts; ``now`` in epoch seconds."""
        self._shared.data.inc(facts.count - self._count)
        self._stream_gaps.inc(facts.gaps - self._gaps)
        if self._book_gaps is not None and self._book_missed is not None:
            self._book_gaps.inc(facts.gaps - self._gaps)
            self._book_missed.inc(facts.missed - self._missed)
        self._count, self._gaps, self._missed = facts.count, facts.gaps, facts.missed
        self._last.set(facts.last)
        self._stale_after.set(stale_after)
        if self._mid is not None and self._spread is not None and self._changed is not None:
            # A frozen line is a lie: a price is gone once its subscription is stale.
            fresh = isfinite(facts.mid) and now - facts.last <= stale_after
            self._mid.set(facts.mid if fresh else None)
            self._spread.set(facts.spread if fresh and isfinite(facts.spread) else None)
            self._changed.set(facts.changed if isfinite(facts.mid) else None)
