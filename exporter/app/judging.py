"""The signals of all exchanges, judged once a tick by all detectors."""

from __future__ import annotations

from collections.abc import Sequence

from exporter import detectors
from exporter.contracts import Clock
from exporter.detectors.bank import Bank
from exporter.metrics.anomalies import AnomalyMeter
from exporter.metrics.registry import Registry
from exporter.model import Probed, Scores, Series
from exporter.pipeline import Pipeline
from exporter.signals import probe_latency
from exporter.signals.probe_latency import ProbeLatency


class Judging:
    """What is usual for each exchange, and how far it is from that now."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry, self._clock = registry, clock
        judges = {name: detectors.load(name) for name in detectors.names()}
        self.detectors = tuple(judges)
        self.bank = Bank((), judges)
        self.scores: Scores | None = None  # of the last tick, by `series`
        self._latencies = (ProbeLatency((), 0.5), ProbeLatency((), 0.95))
        self._names: frozenset[str] = frozenset()
        self._begin(())

    @property
    def series(self) -> tuple[Series, ...]:
        """What is judged, in the order of the scores."""
        return self._pipeline.series

    def follow(self, exchanges: Sequence[str]) -> None:
        """Judge these from now on; those known already keep what was learnt of them."""
        for latency in self._latencies:
            latency.keep(exchanges)
        before = self._shown
        self._begin(exchanges)
        before.close()

    def _begin(self, exchanges: Sequence[str]) -> None:
        self._names = frozenset(exchanges)
        self.scores = None
        trackers = tuple(zip(probe_latency.SIGNALS, self._latencies, strict=True))
        self._pipeline = Pipeline(exchanges, trackers, self.bank)
        self._shown = self._registry.scope()
        self._meter = AnomalyMeter(self._shown, self.series, self.detectors)

    def probed(self, done: Probed) -> None:
        """Take in one probe that ended."""
        if done.ok and done.exchange in self._names:
            now = self._clock.monotonic()
            for latency in self._latencies:
                latency.observe(done.exchange, done.duration, now)

    async def tick(self) -> None:
        """Sample, judge and show, with turns for everyone else in between."""
        pipeline, scores = self._pipeline, self.scores
        for tick in pipeline.tick(self._clock.monotonic(), self._clock.wall()):
            scores = tick.scores
            await self._clock.sleep(0.0)
            if pipeline is not self._pipeline:
                return  # other exchanges since: these scores are of series that are gone
        self.scores = scores
        if scores is not None:
            self._meter.show(scores)
