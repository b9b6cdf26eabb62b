"""The state of one subscription: written per frame, read once a tick and at each scrape."""

from __future__ import annotations

from collections.abc import Iterable
from math import nan

from exporter.continuity import bind
from exporter.contracts import Counter, Histogram, LateTime, SequenceRule
from exporter.instrument import canonical
from exporter.model import Channel, Data, Depth, Kline, Quote, Subscription, Trade
from exporter.probes.clock_offset import Skew


class Feed:
    """The newest values of one subscription, and its counters.

    The innermost call of the frame path, so it only stores: whoever wants a count as a metric or
    a rate takes the difference between two looks.
    """

    __slots__ = (
        "_late",
        "_latency",
        "_negative",
        "_quotes",
        "_sequences",
        "_skew",
        "_whole",
        "changed",
        "count",
        "gaps",
        "last",
        "latency",
        "market",
        "mid",
        "missed",
        "spread",
        "subscription",
    )

    def __init__(
        self,
        subscription: Subscription,
        rules: Iterable[SequenceRule],
        skew: Skew,
        latency: Histogram,
        negative: Counter,
        late: Counter,
        now: float,
        *,
        whole: bool = False,
    ) -> None:
        """``whole``: snapshots of the book are its news, and not what was known before."""
        self.subscription = subscription
        # The name under which its price is compared: it costs 2 µs, and there are ticks.
        self.market = canonical(subscription.instrument, subscription.product)
        self._quotes = subscription.channel is Channel.QUOTES
        self._sequences = bind(rules)
        self._skew = skew
        self._latency = latency
        self._negative = negative
        self._late = late
        self._whole = whole
        self.count = 0
        self.gaps = 0  # holes in the venue's numbering
        self.missed = 0  # messages that fell into them, at least
        self.last = now  # epoch seconds; armed when subscribing, not by the first message
        self.latency = nan  # of the newest message, seconds, corrected; NaN: we read it late
        self.mid = nan  # the newest price: middle of best bid and ask, or of the last trade
        self.spread = nan  # over the middle
        self.changed = now  # when that price last changed, epoch seconds

    def __call__(self, event: Data, received: float) -> None:
        """Take one event whose frame was received at ``received`` (epoch seconds)."""
        late = type(received) is LateTime
        if late:  # a plain number is what is kept
            received = float(received)
        self.count += 1
        self.last = received
        for sequence in self._sequences.get(event.label, ()):
            missing = sequence.feed(event)
            if missing > 0:
                self.gaps += 1
                self.missed += missing
        if type(event) is Trade:  # asking isinstance of what it is not costs 0.1 µs
            if event.snapshot:  # history repeated on subscribing: alive, but neither late nor news
                return
            price = event.price
        elif type(event) is Depth:
            if event.snapshot and not self._whole:
                return
            price = self.mid
        elif type(event) is Quote:
            bid, ask = event.bid, event.ask
            price = (bid + ask) / 2
            self.spread = (ask - bid) / price
        elif type(event) is Kline:
            price = event.close
        else:
            if self._quotes:
                self.mid = self.spread = nan  # a side is empty: what was quoted is over
            price = self.mid
        if price != self.mid and price == price:
            self.mid = price
            self.changed = received
        time = event.time
        if time is None:
            return
        if late:
            self.latency = nan
            self._late.inc()
            return
        # By the venue's clock the frame was read at `received + offset`.
        self.latency = latency = received + self._skew.offset - time
        if latency >= 0.0:
            self._latency.observe(latency)
        else:
            self._negative.inc()

    def show(self, bid: float | None, ask: float | None, now: float) -> None:
        """Take best bid and ask from a book, where nobody quotes them; None: not known."""
        if bid is None or ask is None:
            self.mid = self.spread = nan
            return
        price = (bid + ask) / 2
        self.spread = (ask - bid) / price
        if price != self.mid:
            self.mid, self.changed = price, now

    def rearm(self) -> None:
        """Begin a new count of the venue's numbers: what a lost connection missed is not known.

        The time of the last message stays: asking again must not make a silence look fresh.
        """
        for sequences in self._sequences.values():
            for sequence in sequences:
                sequence.reset()
