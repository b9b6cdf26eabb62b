"""What is measured of each exchange once a tick, for the detectors: the closed list of signals."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from exporter.anomaly import gauges, rates
from exporter.anomaly.gauges import SignalGauge
from exporter.anomaly.rates import Rate
from exporter.anomaly.tick import OURSELVES
from exporter.contracts import Clock, Tracker
from exporter.exchange.exchange import Exchange
from exporter.model import Probed, Resync
from exporter.probes import error_rate
from exporter.probes import latency as probe_latency
from exporter.probes.error_rate import ErrorRate
from exporter.probes.latency import ProbeLatency
from exporter.signals import Signal
from exporter.streams.feed import Feed

SIGNALS = (
    *probe_latency.SIGNALS,
    error_rate.SIGNAL,
    *rates.SIGNALS,
    *gauges.SIGNALS,
    gauges.LOOP_LAG,
)


class Sampling:
    """The trackers of all signals, and how they are fed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._names: frozenset[str] = frozenset()
        median = ProbeLatency((), 0.5)
        self._latencies = (median, ProbeLatency((), 0.95, of=median))
        self._errors = ErrorRate(())
        self._rates = {signal: Rate(()) for signal in rates.SIGNALS}
        self._gauges = {signal: SignalGauge(()) for signal in gauges.SIGNALS}
        # Looked up once: a signal's hash is that of all its fields.
        self._reconnects = self._rates[rates.RECONNECT_RATE]
        self._messages = self._rates[rates.MESSAGE_RATE]
        self._resyncs = self._rates[rates.RESYNC_RATE]
        self._silence = self._gauges[gauges.INTER_ARRIVAL]
        self._stream_latency = self._gauges[gauges.STREAM_LATENCY]
        self._spread = self._gauges[gauges.SPREAD]
        self._deviation = self._gauges[gauges.PRICE_DEVIATION]
        self._offset = self._gauges[gauges.CLOCK_OFFSET]
        self._wait = self._gauges[gauges.QUEUE_WAIT]
        self._loop = SignalGauge((OURSELVES,))
        self._lag: float | None = None  # the worst since the last tick
        self._clocked: set[str] = set()  # whose clock was read since the last tick
        self._counted: dict[str, dict[Feed, int]] = {}
        self._waited: dict[str, tuple[int, float]] = {}

    @property
    def trackers(self) -> tuple[tuple[Signal, Tracker], ...]:
        """Those of the exchanges, each with its signal."""
        pairs = zip(probe_latency.SIGNALS, self._latencies, strict=True)
        return (
            *pairs,
            (error_rate.SIGNAL, self._errors),
            *self._rates.items(),
            *self._gauges.items(),
        )

    @property
    def own(self) -> tuple[tuple[Signal, Tracker], ...]:
        """Those of this process."""
        return ((gauges.LOOP_LAG, self._loop),)

    def keep(self, exchanges: Sequence[str]) -> None:
        """Measure these from now on; those known already keep what was measured."""
        self._names = frozenset(exchanges)
        for latency in self._latencies:
            latency.keep(exchanges)
        self._errors.keep(exchanges)
        for rate in self._rates.values():
            rate.keep(exchanges)
        for gauge in self._gauges.values():
            gauge.keep(exchanges)
        self._clocked &= self._names
        self._counted = {name: self._counted.get(name, {}) for name in exchanges}
        self._waited = {name: self._waited.get(name, (0, 0.0)) for name in exchanges}

    def probed(self, done: Probed) -> None:
        """Take in one probe that ended."""
        if done.exchange not in self._names:
            return
        now = self._clock.monotonic()
        self._errors.observe(done.exchange, done.ok, now)
        if done.clock is not None:
            self._clocked.add(done.exchange)
        if done.ok and not done.tainted:
            for latency in self._latencies:
                latency.observe(done.exchange, done.duration, now)

    def lagged(self, lag: float) -> None:
        """Take in how much later than asked a task was woken, in seconds."""
        self._lag = lag if self._lag is None else max(self._lag, lag)

    def look_at_ourselves(self) -> None:
        """Take what was measured of this process since the last tick."""
        if self._lag is not None:
            self._loop.set(OURSELVES, self._lag)
            self._lag = None

    def update(self, exchange: Exchange, deviation: float | None, wall: float) -> None:
        """Look at one exchange; ``deviation`` of its worst price, ``wall`` in epoch seconds."""
        name = exchange.name
        if name not in self._names:
            return
        if exchange.streams:
            self._look_at_streams(exchange, wall)
        if exchange.books.books:
            again = (
                count
                for book in exchange.books.books
                for reason, count in book.sync.resyncs.items()
                if reason is not Resync.START  # that is the connection's doing
            )
            self._resyncs.set(name, sum(again))
        if deviation is not None:
            self._deviation.set(name, deviation)
        if name in self._clocked:
            self._clocked.discard(name)
            with suppress(LookupError):  # no reply yet: an exchange that was just made
                offset = exchange.probing.offset.read(self._clock.monotonic())
                self._offset.set(name, offset.value)

    def _look_at_streams(self, exchange: Exchange, wall: float) -> None:
        name, attempts, losses = exchange.name, 0, 0
        before = self._counted[name]
        after: dict[Feed, int] = {}
        latencies: list[float] = []
        spreads: list[float] = []
        newest, total, known = 0.0, 0, before.get
        for stream in exchange.streams:
            attempts += stream.attempts
            losses += stream.losses
            for watch in stream.watches.values():
                feed = watch.feed
                after[feed] = count = feed.count
                total += count
                last = feed.last
                if last > newest:
                    newest = last
                if count != known(feed, 0):
                    if (latency := feed.latency) - latency == 0.0:  # neither NaN nor infinity
                        latencies.append(latency)
                    if (spread := feed.spread) - spread == 0.0:
                        spreads.append(spread)
        if not attempts:
            return
        self._counted[name] = after
        self._reconnects.set(name, losses)
        self._messages.set(name, total)
        self._silence.set(name, max(0.0, wall - newest))
        _set_middle(self._stream_latency, name, latencies)
        _set_middle(self._spread, name, spreads)
        waits, waited = exchange.queue_waited
        counted, summed = self._waited[name]
        self._waited[name] = (waits, waited)
        if waits > counted:
            self._wait.set(name, (waited - summed) / (waits - counted))


def _set_middle(gauge: SignalGauge, exchange: str, values: list[float]) -> None:
    """Set the middle one of an exchange's subscriptions: one that is odd has its own metrics."""
    if values:
        values.sort()
        gauge.set(exchange, values[len(values) // 2])
