"""Anomaly detection for all exchanges, once a tick: scores by all detectors, verdicts by one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache

import msgspec

from exporter.anomaly import detectors
from exporter.anomaly.bank import Bank
from exporter.anomaly.incidents import IncidentRule, IncidentTracker
from exporter.anomaly.meter import AnomalyMeter
from exporter.anomaly.sampling import SIGNALS, Sampling
from exporter.anomaly.tick import Pipeline, Tick
from exporter.contracts import Clock, Tracker
from exporter.exchange.exchange import Exchange
from exporter.flow.cooperative import in_cooperative_steps
from exporter.flow.state_file import Parts
from exporter.metrics.registry import Registry
from exporter.model import Probed
from exporter.signals import Aspect, Change, Floats, Scores, Series, Signal, Verdict

DECIDES = "ensemble"  # the detector that opens incidents, and keeps them from being learnt
RECENT = 200  # verdicts that are kept for people to read

_ENDS = (Change.CLOSED, Change.LOST)


class AnomalyEngine:
    """Samples the signals of all exchanges, scores them, and opens and closes incidents.

    ``heard`` is called with the verdicts, some at a time.
    """

    def __init__(
        self, registry: Registry, clock: Clock, heard: Callable[[Sequence[Verdict]], None]
    ) -> None:
        self._registry, self._clock, self._heard = registry, clock, heard
        judges = {name: detectors.load(name) for name in detectors.names()}
        self.detectors = tuple(judges)
        self.bank = Bank((), judges, SIGNALS, guard=DECIDES)
        self.judge = IncidentTracker((), SIGNALS, aspect=self._aspect)
        self.scores: Scores | None = None  # of the last tick, by `series`
        self.recent: deque[Verdict] = deque(maxlen=RECENT)  # the newest last
        self._open: dict[Series, Verdict] = {}
        self.sampling = Sampling(clock)
        self._exchanges: Sequence[str] | None = None
        self._stale_after = 0.0
        self._baseline = False
        self._signals = _by_name(SIGNALS)
        self._own: Mapping[str, Mapping[str, Signal]] = {}
        self._begin((), with_own=False)

    @property
    def series(self) -> tuple[Series, ...]:
        """What is judged, in the order of the scores."""
        return self._pipeline.series

    @property
    def incidents(self) -> Collection[Verdict]:
        """What goes on now: the newest verdict of each open incident."""
        return self._open.values()

    def follow(
        self,
        exchanges: Sequence[str],
        rule: IncidentRule,
        *,
        stale_after: float,
        baseline: bool,
        signals: Sequence[Signal] = SIGNALS,
        own: Mapping[str, Sequence[Signal]] | None = None,
    ) -> None:
        """Judge these from now on; those known already keep what was learnt of them.

        A score that is not renewed for ``stale_after`` seconds leaves the page; ``baseline`` shows
        what is expected, too. Of ``signals`` those that are left out are not judged; for exchanges
        in ``own`` those given there count instead.
        """
        self._signals = _by_name(signals)
        self._own = {exchange: _by_name(found) for exchange, found in (own or {}).items()}
        before = self._shown
        self._stale_after, self._baseline = stale_after, baseline
        self.judge.rule = rule
        self._begin(exchanges, with_own=True)
        before.close()

    def stop(self) -> None:
        """Stop. What was learnt is discarded, and open incidents end without a verdict."""
        before = self._shown
        self._begin((), with_own=False)
        before.close()

    def _begin(self, exchanges: Sequence[str], *, with_own: bool) -> None:
        self.scores = None
        self.sampling.keep(exchanges)
        own = self._judged(self.sampling.own) if with_own else ()
        trackers = self._judged(self.sampling.trackers)
        special = {
            Series(exchange, signal.name): found.get(signal.name)
            for exchange, found in self._special(exchanges).items()
            for signal, _ in trackers
        }
        self._pipeline = Pipeline(exchanges, trackers, self.bank, own, special)
        self.judge.keep(self.series)
        known = frozenset(self.series)
        self._open = {one: verdict for one, verdict in self._open.items() if one in known}
        self._shown = self._registry.scope()
        self._meter = AnomalyMeter(
            self._shown,
            self.series,
            self.detectors,
            stale_after=self._stale_after,
            baseline=self._baseline,
        )

    def _judged(
        self, trackers: Iterable[tuple[Signal, Tracker]]
    ) -> tuple[tuple[Signal, Tracker], ...]:
        """Return those of signals that are judged anywhere, each with its signal as configured."""
        anywhere = set(self._signals).union(*self._own.values())
        return tuple(
            (self._signals.get(signal.name, signal), tracker)
            for signal, tracker in trackers
            if signal.name in anywhere
        )

    def _special(self, exchanges: Sequence[str]) -> dict[str, Mapping[str, Signal]]:
        """Return the signals of the exchanges that have their own, or lack one that others have."""
        some_lack = not self._signals.keys() >= set[str]().union(*self._own.values())
        return {
            exchange: self._own.get(exchange, self._signals)
            for exchange in exchanges
            if some_lack or exchange in self._own
        }

    async def tick(
        self, exchanges: Iterable[Exchange], deviations: Mapping[tuple[str, str], float]
    ) -> None:
        """Sample, judge and show, with turns for everyone else in between.

        ``deviations`` by exchange and symbol: how far a price is from its peers', as a ratio.
        Meanwhile nobody may call `follow`, `stop` or `snapshot`.
        """
        worst = _worst(deviations)
        wall, now = self._clock.wall(), self._clock.monotonic()

        def update(exchange: Exchange) -> None:
            self.sampling.update(exchange, worst.get(exchange.name), wall)

        await in_cooperative_steps(exchanges, update, self._clock)
        self.sampling.look_at_ourselves()
        whole: Tick | None = None
        for tick in self._pipeline.tick(now, wall):
            whole = tick
            await self._clock.sleep(0.0)
        if whole is not None and self.series:
            await self._decide(whole, now, wall)

    async def _decide(self, tick: Tick, now: float, wall: float) -> None:
        scores = self.scores = tick.scores

        @cache
        def band() -> Floats:
            return self.bank.band(DECIDES, wall)

        def explain(row: int) -> tuple[Floats, Mapping[str, float]]:
            found = zip(self.detectors, scores.score[:, row].tolist(), strict=True)
            return band()[:, row], dict(found)

        decided = scores.score[self.detectors.index(DECIDES)]
        for verdicts in self.judge.steps(tick.values, decided, scores.measured, now, wall, explain):
            self._note(verdicts)
            await self._clock.sleep(0.0)
        self._meter.show(scores, now, band() if self._baseline else None)

    def _aspect(self, row: int, score: float) -> Aspect | None:
        return self.bank.aspect(DECIDES, row, score)

    def _note(self, verdicts: Sequence[Verdict]) -> None:
        for verdict in verdicts:
            self.recent.append(verdict)
            if verdict.change in _ENDS:
                self._open.pop(verdict.series, None)
            else:
                self._open[verdict.series] = verdict
            if verdict.change is Change.OPENED:
                self._meter.opened(verdict.series)
        if verdicts:
            self._heard(verdicts)

    def probed(self, done: Probed) -> None:
        """Record one probe that ended."""
        self.sampling.probed(done)

    # --- what outlives the process ------------------------------------------------------------

    def snapshot(self) -> Iterator[tuple[str, bytes]]:
        """Yield what was learnt, part by part and in bites; meanwhile nobody may call `tick`."""
        for piece in self.bank.pieces():
            yield "detectors", piece
        for piece in self.judge.pieces(self._clock.monotonic()):
            yield "incidents", piece
        for name, told in (("open", tuple(self._open.values())), ("recent", tuple(self.recent))):
            for start in range(0, max(len(told), 1), RECENT):
                yield name, msgspec.msgpack.encode(told[start : start + RECENT])

    def restore(self, parts: Parts) -> None:
        """Take up what was learnt; raises ValueError, and changes nothing, for what is no such."""
        series = self.series
        signals = tuple(self._signals.values())
        bank = Bank(series, self.bank.detectors, signals, guard=DECIDES)
        judge = IncidentTracker(series, SIGNALS, self.judge.rule, self._aspect)
        try:
            bank.restore(b"".join(parts["detectors"]))
            judge.restore(b"".join(parts["incidents"]), self._clock.monotonic())
            opened, recent = (_verdicts(parts[name]) for name in ("open", "recent"))
        except KeyError as error:
            raise ValueError(f"no part {error}") from error
        except (msgspec.MsgspecError, TypeError) as error:
            raise ValueError(f"unreadable verdicts: {error}") from error
        self.bank.adopt(bank)
        self.judge = judge
        known = judge.incidents()
        self._open = {one.series: one for one in opened if one.series in known}
        self.recent.extend(recent)


def _by_name(signals: Iterable[Signal]) -> Mapping[str, Signal]:
    return {signal.name: signal for signal in signals}


def _verdicts(pieces: Iterable[bytes]) -> list[Verdict]:
    return [
        verdict
        for piece in pieces
        for verdict in msgspec.msgpack.decode(piece, type=tuple[Verdict, ...])
    ]


def _worst(deviations: Mapping[tuple[str, str], float]) -> dict[str, float]:
    """Return for each exchange the deviation that is furthest from none, with its sign."""
    found: dict[str, float] = {}
    for (exchange, _), ratio in deviations.items():
        if abs(ratio) > abs(found.get(exchange, 0.0)):
            found[exchange] = ratio
        found.setdefault(exchange, ratio)
    return found
