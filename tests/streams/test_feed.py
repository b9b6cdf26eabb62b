"""What one subscription shows of itself."""

from __future__ import annotations

from math import isnan, nan

import pytest

from exporter.contracts import LateTime, SequenceRule
from exporter.metrics.registry import Registry
from exporter.model import Channel, Continuity, Depth, Kline, Message, Quote, Subscription, Trade
from exporter.probes.clock_offset import Skew
from exporter.streams.feed import Feed
from exporter.streams.liveness import Liveness, Patience
from exporter.streams.stream_state import WatchedSubscription

RULES = (
    SequenceRule(
        name="trade",
        labels=("trade", "trade.other"),
        continuity=Continuity.CONTIGUOUS,
        attribute="sequence",
    ),
    SequenceRule(
        name="depth", labels=("depth",), continuity=Continuity.CONTIGUOUS, attribute="span"
    ),
)


class Tally:
    """A counter and a histogram that remember."""

    def __init__(self) -> None:
        self.total = 0.0
        self.seen: list[float] = []

    def inc(self, amount: float = 1.0) -> None:
        self.total += amount

    def observe(self, value: float) -> None:
        self.seen.append(value)


def make(skew: Skew | None = None) -> tuple[Feed, Tally, Tally]:
    subscription = Subscription(
        exchange="x", channel=Channel.TRADES, instrument="A-B", symbol="AB", topic="ab@trade"
    )
    latency, negative = Tally(), Tally()
    feed = Feed(subscription, RULES, skew or Skew(), latency, negative, Tally(), 1000.0)
    return feed, latency, negative


def trade(
    sequence: int, price: float = 10.0, time: float = 1000.0, snapshot: bool = False
) -> Trade:
    return Trade("trade", "ab@trade", "AB", time, price, 1.0, sequence=sequence, snapshot=snapshot)


def test_an_empty_side_ends_what_was_quoted_but_shows_life() -> None:
    """Nobody bids: there is no price, and the last one must not be shown for ever."""
    subscription = Subscription(
        exchange="x", channel=Channel.QUOTES, instrument="A-B", symbol="AB", topic="ab@q"
    )
    feed = Feed(subscription, (), Skew(), Tally(), Tally(), Tally(), 1000.0)
    feed(Quote("q", "ab@q", "AB", 1001.0, 9.0, 11.0), 1001.0)
    feed(Message("q", "ab@q", "AB", 1002.0), 1002.0)
    assert (feed.count, feed.last) == (2, 1002.0)
    assert isnan(feed.mid)
    assert isnan(feed.spread)
    feed(Quote("q", "ab@q", "AB", 1003.0, 9.0, 11.0), 1003.0)
    assert (feed.mid, feed.changed) == (10.0, 1003.0)


def test_a_trade_that_is_none_of_the_market_takes_its_number_and_nothing_else() -> None:
    """Neither its price counts nor a hole in the numbers where it stood."""
    feed, *_ = make()
    feed(trade(1), 1001.0)
    feed(Message("trade.other", "ab@trade", "AB", 1002.0, sequence=2), 1002.0)
    feed(trade(3), 1003.0)
    assert (feed.mid, feed.gaps, feed.missed, feed.last) == (10.0, 0, 0, 1003.0)


def test_what_we_read_late_counts_but_has_no_latency() -> None:
    """Our own delay is not published as the exchange's: such messages are counted apart."""
    subscription = Subscription(
        exchange="x", channel=Channel.TRADES, instrument="A-B", symbol="AB", topic="ab@trade"
    )
    latency, negative, late = Tally(), Tally(), Tally()
    feed = Feed(subscription, RULES, Skew(), latency, negative, late, 1000.0)
    feed(trade(1, time=1000.0), 1000.25)
    feed(trade(2, price=11.0, time=1001.0), LateTime(1003.0))
    assert (latency.seen, negative.total, late.total) == ([0.25], 0.0, 1.0)
    assert isnan(feed.latency)
    assert (feed.count, feed.mid, feed.last, feed.changed) == (2, 11.0, 1003.0, 1003.0)
    assert type(feed.last) is type(feed.changed) is float
    feed(trade(3, time=1003.0), 1003.5)
    assert (latency.seen, feed.latency) == ([0.25, 0.5], 0.5)


def test_silence_counts_from_subscribing() -> None:
    """Before the first message, the time of subscribing stands for it."""
    assert make()[0].last == 1000.0


def test_latency_is_corrected_by_the_clock_offset() -> None:
    """A venue whose clock is 2 s ahead, and a frame 50 ms on its way."""
    skew = Skew()
    skew.offset = 2.0
    feed, latency, negative = make(skew)
    feed(trade(1, time=1002.0), 1000.05)
    assert latency.seen == [pytest.approx(0.05)]
    assert negative.total == 0


def test_negative_latency_is_counted_and_not_clamped() -> None:
    """A message from the future tells of the clocks, not of the path."""
    feed, latency, negative = make()
    feed(trade(1, time=1000.5), 1000.0)
    assert (latency.seen, negative.total) == ([], 1.0)
    assert feed.latency == pytest.approx(-0.5)


def test_holes_are_counted_and_forgiven_after_a_reconnect() -> None:
    """Two numbers missing are one gap of two; a new connection starts a new count."""
    feed, _, _ = make()
    for number in (1, 2, 5):
        feed(trade(number), 1000.0)
    assert (feed.gaps, feed.missed, feed.count) == (1, 2, 3)
    feed.rearm()
    assert feed.last == 1000.0  # asking again must not make a silence look fresh
    feed(trade(100), 1011.0)
    assert (feed.gaps, feed.last) == (1, 1011.0)


def test_repeated_history_is_no_news() -> None:
    """A last trade repeated on subscribing is proof of life, neither late nor a price."""
    feed, latency, _ = make()
    feed(trade(1, time=900.0, snapshot=True), 1001.0)
    assert (feed.last, latency.seen) == (1001.0, [])
    assert isnan(feed.mid)


def test_price_and_its_last_change() -> None:
    """A quote gives middle and spread; a price that stands still keeps its time of change."""
    feed, _, _ = make()
    quote = Quote("quote", "ab@trade", "AB", None, 99.0, 101.0)
    feed(quote, 1001.0)
    feed(quote, 1005.0)
    assert (feed.mid, feed.spread, feed.changed, feed.last) == (100.0, 0.02, 1001.0, 1005.0)
    feed(Kline("kline", "ab@trade", "AB", 1005.0, 960.0, 101.0), 1006.0)
    assert (feed.mid, feed.changed) == (101.0, 1006.0)


def test_depth_moves_no_price() -> None:
    """Book updates are counted, timed and followed; their levels are left alone."""
    feed, latency, _ = make()
    feed(Depth("depth", "ab@trade", "AB", 1000.0, None, first=1, last=3), 1000.1)
    feed(Depth("depth", "ab@trade", "AB", 1000.0, None, first=5, last=6), 1000.2)
    assert (feed.gaps, feed.missed) == (1, 1)
    assert latency.seen == [pytest.approx(0.1), pytest.approx(0.2)]
    assert isnan(feed.mid)


def test_a_book_may_stand_for_quotes() -> None:
    """Middle and spread of its best levels; unknown with an empty side, changed when it moves."""
    feed, _, _ = make()
    feed.show(99.0, 101.0, 1005.0)
    assert (feed.mid, feed.spread, feed.changed) == (100.0, 0.02, 1005.0)
    feed.show(99.0, 101.0, 1006.0)
    assert feed.changed == 1005.0
    feed.show(None, 101.0, 1007.0)
    assert isnan(feed.mid)
    assert isnan(feed.spread)


def test_lateness_began_with_the_first_late_tick() -> None:
    """It ends with the first message that is in time, and an unknown latency is none."""
    feed, _, _ = make()
    watch = WatchedSubscription(feed, Liveness(Patience(), last=1000.0), Registry())
    seen = []
    for now, latency in enumerate((nan, 0.2, 1.0, 7.0, 0.9, 2.0), 1000):
        feed.latency = latency
        watch.update(float(now))
        seen.append(watch.late_since)
    assert seen == [None, None, 1002.0, 1002.0, None, 1005.0]
