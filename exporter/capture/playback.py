"""Plays recorded rows through the program's own feeds, signals and detectors.

Time is what the rows say, so a day takes seconds, and the same rows give the same figures to the
last digit. A tick passes whenever a row is later than it was due.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite, nan
from typing import Any

from exporter import venues
from exporter.anomaly import detectors, gauges, rates
from exporter.anomaly.bank import Bank
from exporter.anomaly.gauges import SignalGauge
from exporter.anomaly.meter import AnomalyMeter
from exporter.anomaly.rates import Rate
from exporter.anomaly.tick import Pipeline, Tick
from exporter.capture.codec import Mark, Row
from exporter.contracts import Venue
from exporter.metrics.registry import Registry
from exporter.model import (
    Ack,
    Channel,
    Control,
    Data,
    Depth,
    Kline,
    Message,
    Quote,
    Subscription,
    Trade,
)
from exporter.probes.clock_offset import Skew
from exporter.signals import Series
from exporter.streams.feed import Feed
from exporter.streams.liveness import Liveness, Patience
from exporter.streams.meter import ChannelMeter, FeedMeter

SUBSCRIBED, ARMED, LOST, UNREADABLE = "subscribed", "armed", "lost", "unreadable"

_CHANNELS = {
    Trade: Channel.TRADES,
    Quote: Channel.QUOTES,
    Depth: Channel.BOOK,
    Kline: Channel.KLINES,
}
_LONGEST_SILENCE = 600.0  # seconds without a row that are ticked through; a capture has pauses
_GUARD = "ensemble"  # the detector that keeps anomalies from being learnt
_SIGNALS = (rates.MESSAGE_RATE, gauges.STREAM_LATENCY, gauges.SPREAD)


def subscribed(what: Subscription, venue: str, received: float) -> Row:
    """Return the row that introduces a subscription, so that a capture explains itself."""
    facts = {
        "venue": venue,
        "channel": str(what.channel),
        "instrument": what.instrument,
        "symbol": what.symbol,
    }
    return Row(received, what.exchange, Mark(SUBSCRIBED, what.topic, facts))


def guess(exchange: str, event: Data) -> Subscription:
    """Return the subscription that an event must be of, where nobody recorded it."""
    return Subscription(
        exchange=exchange,
        channel=_CHANNELS[type(event)],
        instrument=event.symbol,
        symbol=event.symbol,
        topic=event.topic,
    )


# --- what they are put through ------------------------------------------------------------------


@dataclass(slots=True)
class _Playing:
    """One subscription, and for how many ticks it was silent for too long."""

    feed: Feed
    liveness: Liveness
    sampled: int = 0  # messages when its latency and spread were last looked at
    stale: int = 0


@dataclass(slots=True)
class Highest:
    """The highest score of one series, when it was reached (epoch seconds) and by which test."""

    score: float = 0.0
    time: float = nan
    detector: str = ""


@dataclass(slots=True)
class Playback:
    """All subscriptions of some rows, their signals and what the detectors say of them.

    ``every`` is the time between two ticks, in seconds. `take` rows in order, `finish`, then look.
    ``ticked`` hears of every tick: its series, what it saw, and when (epoch seconds). ``venue``
    finds a venue by the name that a capture has of it, None for one that nobody knows.
    """

    every: float = 1.0
    patience: Patience = field(default_factory=Patience)
    registry: Registry = field(default_factory=Registry)
    ticked: Callable[[tuple[Series, ...], Tick, float], None] | None = None
    venue: Callable[[str], Venue | None] = venues.find
    now: float = nan  # epoch seconds, by the newest row or tick
    first: float = nan
    ticks: int = 0
    events: int = 0
    controls: int = 0
    marks: Counter[str] = field(default_factory=Counter)
    highest: dict[tuple[str, str], Highest] = field(default_factory=dict)
    _watches: dict[tuple[str, str], _Playing] = field(default_factory=dict)
    _channels: dict[tuple[str, Channel], ChannelMeter] = field(default_factory=dict)
    _judge: _Judge | None = None
    _start: float = nan  # of the ticks that are counted in `_done`
    _done: int = 0

    def take(self, row: Row) -> None:
        """Let time pass up to a row, and take it in."""
        self._pass(row.received)
        event = row.event
        if isinstance(event, Mark):
            self._mark(row, event)
        elif isinstance(event, Ack | Control):
            self.controls += 1
        else:
            self.events += 1
            watch = self._watches.get((row.exchange, event.topic))
            if watch is None and isinstance(event, Message):
                return  # nobody recorded of which channel it is
            if watch is None:
                watch = self._add(guess(row.exchange, event), None, row.received)
            watch.feed(event, row.received)

    def finish(self) -> None:
        """Tick once more, so that the last rows are seen."""
        if isfinite(self.now):
            self._tick(self.now)

    def _sorted(self) -> list[_Playing]:
        return sorted(self._watches.values(), key=lambda watch: _place(watch.feed.subscription))

    def figures(self) -> dict[str, Any]:
        """Return all that was seen as plain values: seconds, epoch seconds, None for nothing."""
        return {
            "first": _known(self.first),
            "last": _known(self.now),
            "ticks": self.ticks,
            "events": self.events,
            "controls": self.controls,
            "marks": dict(sorted(self.marks.items())),
            "subscriptions": [_subscription(watch) for watch in self._sorted()],
            "signals": [
                {
                    "exchange": exchange,
                    "signal": signal,
                    "highest_score": round(highest.score, 6),
                    "at": _known(highest.time),
                    "detector": highest.detector,
                }
                for (exchange, signal), highest in sorted(self.highest.items())
            ],
        }

    def _mark(self, row: Row, mark: Mark) -> None:
        if mark.name == SUBSCRIBED:
            found = _introduced(row.exchange, mark)
            if found is not None and (row.exchange, mark.topic) not in self._watches:
                what, name = found
                self._add(what, self.venue(name), row.received)
            return
        self.marks[mark.name] += 1
        watch = self._watches.get((row.exchange, mark.topic))
        if mark.name == ARMED and watch is not None:
            watch.feed.rearm()
            watch.liveness.rearm(row.received)

    def _add(self, what: Subscription, venue: Venue | None, now: float) -> _Playing:
        key = what.exchange, what.channel
        if key not in self._channels:
            self._channels[key] = ChannelMeter(self.registry, *key)
        channel = self._channels[key]
        book = None if venue is None else venue.book
        feed = Feed(
            what,
            () if venue is None else venue.sequences,
            Skew(),
            channel.latency,
            channel.negative,
            channel.late,
            now,
            whole=book is not None and book.whole,
        )
        liveness = Liveness(self.patience, last=now)
        FeedMeter(
            self.registry,
            feed,
            channel,
            priced=what.channel is Channel.QUOTES,
            stale_after=lambda: liveness.stale_after,
            wall=lambda: self.now,
        )
        watch = self._watches[what.exchange, what.topic] = _Playing(feed, liveness)
        return watch

    # --- ticks --------------------------------------------------------------------------------

    def _pass(self, until: float) -> None:
        if not isfinite(self.now):
            self.now = self.first = self._start = until
            return
        ending = min(until, self.now + _LONGEST_SILENCE)
        while (due := self._start + (self._done + 1) * self.every) <= ending:
            self._done += 1
            self._tick(due)
        if until > ending:
            self._start, self._done = until, 0
        self.now = max(self.now, until)  # a clock that was set back makes no tick come twice

    def _tick(self, now: float) -> None:
        self.now = now
        self.ticks += 1
        for watch in self._watches.values():
            watch.stale += watch.liveness.update(watch.feed.last, now)
        names = sorted({exchange for exchange, _ in self._watches})
        if self._judge is None:
            self._judge = _Judge(names, self.registry)
        elif self._judge.exchanges != names:
            self._judge = _Judge(names, self.registry, self._judge.bank)
        judge = self._judge
        for watch in self._watches.values():
            judge.sample(watch)
        tick = judge.tick(now)
        if self.ticked is not None:
            self.ticked(judge.pipeline.series, tick, now)
        scores = tick.scores
        for column in scores.measured.nonzero()[0].tolist():
            row = int(scores.score[:, column].argmax())
            score = float(scores.score[row, column])
            one = judge.pipeline.series[column]
            known = self.highest.setdefault((one.exchange, one.signal), Highest())
            if score > known.score:
                known.score, known.time, known.detector = score, now, judge.names[row]


def _place(what: Subscription) -> tuple[str, ...]:
    return what.exchange, what.channel, what.instrument, what.topic


def _introduced(exchange: str, mark: Mark) -> tuple[Subscription, str] | None:
    """Read subscription and venue of a mark of `subscribed`.

    None where it says too little, or a channel nobody knows.
    """
    facts = mark.facts
    channel, name = facts.get("channel", ""), facts.get("venue", "")
    if channel not in set(Channel):
        return None
    what = Subscription(
        exchange=exchange,
        channel=Channel(channel),
        instrument=facts.get("instrument", ""),
        symbol=facts.get("symbol", ""),
        topic=mark.topic,
    )
    return what, name


class _Judge:
    """The signals of some exchanges, and the detectors over them."""

    def __init__(self, exchanges: list[str], registry: Registry, bank: Bank | None = None) -> None:
        self.exchanges = exchanges
        self.names = detectors.names()
        self._rate, self._latency, self._spread = (
            Rate(exchanges), SignalGauge(exchanges), SignalGauge(exchanges),
        )  # fmt: skip
        trackers = (self._rate, self._latency, self._spread)
        if bank is None:
            judges = {name: detectors.load(name) for name in self.names}
            guard = _GUARD if _GUARD in judges else None
            bank = Bank((), judges, _SIGNALS, guard=guard)
        self.bank = bank
        self.pipeline = Pipeline(exchanges, tuple(zip(_SIGNALS, trackers, strict=True)), bank)
        self._meter = AnomalyMeter(registry, self.pipeline.series, self.names)
        self._totals: Counter[str] = Counter()
        self._latencies: dict[str, list[float]] = {}
        self._spreads: dict[str, list[float]] = {}

    def sample(self, watch: _Playing) -> None:
        """Look at one subscription; of several of an exchange the middle one counts."""
        feed, exchange = watch.feed, watch.feed.subscription.exchange
        self._totals[exchange] += feed.count
        if feed.count == watch.sampled:
            return
        watch.sampled = feed.count
        for value, kept in ((feed.latency, self._latencies), (feed.spread, self._spreads)):
            if isfinite(value):
                kept.setdefault(exchange, []).append(value)

    def tick(self, now: float) -> Tick:
        """Score what was sampled."""
        for exchange, total in self._totals.items():
            self._rate.set(exchange, total)
        for kept, gauge in ((self._latencies, self._latency), (self._spreads, self._spread)):
            for exchange, values in kept.items():
                gauge.set(exchange, sorted(values)[len(values) // 2])
            kept.clear()
        self._totals.clear()
        *_, last = self.pipeline.tick(now, now)
        self._meter.show(last.scores)
        return last


def _subscription(watch: _Playing) -> dict[str, Any]:
    feed = watch.feed
    what = feed.subscription
    return {
        "exchange": what.exchange,
        "channel": str(what.channel),
        "instrument": what.instrument,
        "topic": what.topic,
        "events": feed.count,
        "gaps": feed.gaps,
        "missed": feed.missed,
        "price": _known(feed.mid),
        "latency": _known(feed.latency),
        "longest_silence": watch.liveness.longest,
        "stale_ticks": watch.stale,
    }


def _known(value: float) -> float | None:
    return value if isfinite(value) else None
