"""The running program's detectors over series with known incidents: what they find, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import isfinite, nan
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from exporter.anomaly import detectors
from exporter.anomaly.bank import Bank
from exporter.anomaly.engine import DECIDES
from exporter.anomaly.incidents import IncidentRule, IncidentTracker
from exporter.anomaly.tick import Tick
from exporter.backtest.labelled import Labelled, Window
from exporter.capture.playback import Playback
from exporter.capture.replay import captured
from exporter.contracts import Banded
from exporter.signals import Change, Floats, Series, Signal, Verdict

DAY = 86400.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestSettings:
    """What is tried: a detector and the judge's rule, the same for every series."""

    detector: str = DECIDES
    rule: IncidentRule = field(default_factory=IncidentRule)
    grace: float = 0.0  # seconds after a window in which an alarm still belongs to it


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What a plot shows beside the series; each of shape (n,), NaN where unknown."""

    scores: Floats
    lower: Floats
    center: Floats
    upper: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestOutcome:
    """What was said of one series. Durations in seconds, times in epoch seconds."""

    series: Labelled
    verdicts: tuple[Verdict, ...]
    found: tuple[tuple[Window, float], ...]  # windows with an alarm, and when it came
    false_alarms: tuple[float, ...]  # when; of an unlabelled series none is known to be false
    trace: Trace | None = None

    @property
    def alarms(self) -> tuple[Verdict, ...]:
        """The verdicts that a person is told first."""
        return tuple(one for one in self.verdicts if one.change is Change.OPENED)

    @property
    def days(self) -> float:
        """How long the series is."""
        times = self.series.times
        return float(times[-1] - times[0]) / DAY

    @property
    def step(self) -> float:
        """The usual time between two values."""
        times = self.series.times
        return float(np.median(np.diff(times))) if len(times) > 1 else nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A series to be judged, and what it is of; without a signal every departure matters."""

    series: Labelled
    exchange: str
    signal: Signal | None = None


def judge(
    subjects: Sequence[Subject],
    settings: BacktestSettings,
    *,
    traced: bool = False,
    progress: Callable[[int], None] = lambda values: None,
) -> list[BacktestOutcome]:
    """Put series of the same times through bank, guard and judge, value by value.

    Each value is scored before it is learnt. ``progress`` is told of values that are done, now and
    then. Raises ValueError for series of other times.
    """
    times = subjects[0].series.times
    if any(not np.array_equal(one.series.times, times) for one in subjects):
        raise ValueError("expected series of the same times")
    rows = [Series(one.exchange, one.signal.name if one.signal else "value") for one in subjects]
    signals = tuple({one.signal.name: one.signal for one in subjects if one.signal}.values())
    name = settings.detector
    bank = Bank(rows, {name: detectors.load(name)}, signals, guard=name)
    referee = IncidentTracker(
        rows, signals, settings.rule, lambda row, score: bank.aspect(name, row, score)
    )
    verdicts: list[list[Verdict]] = [[] for _ in rows]
    places = {one: place for place, one in enumerate(rows)}
    trace = np.full((len(times) if traced else 0, 4, len(rows)), nan)
    banded = isinstance(bank.detectors[name], Banded)

    def band(now: float) -> Floats:
        return bank.band(name, now) if banded else np.full((3, len(rows)), nan)

    stacked = np.stack([one.series.values for one in subjects], axis=1)
    for row, (time, values) in enumerate(zip(times.tolist(), stacked, strict=True)):
        if traced:
            trace[row, 1:] = band(time)
        scores = bank.tick(values, time)
        score = scores.score[0]
        if traced:
            trace[row, 0] = np.where(scores.measured & scores.ready[0], score, nan)

        def explain(
            place: int, time: float = time, score: Floats = score
        ) -> tuple[Floats, Mapping[str, float]]:
            return band(time)[:, place], {name: float(score[place])}

        for one in chain.from_iterable(
            referee.steps(values, score, scores.measured, time, time, explain)
        ):
            verdicts[places[one.series]].append(one)
        if row % 100 == 99:
            progress(100 * len(rows))
    return [
        _outcome(
            subject.series,
            tuple(verdicts[place]),
            settings.grace,
            _trace(trace[:, :, place]) if traced else None,
        )
        for place, subject in enumerate(subjects)
    ]


def _trace(found: Floats) -> Trace:
    scores, lower, center, upper = found.T
    return Trace(scores=scores, lower=lower, center=center, upper=upper)


def _outcome(
    series: Labelled, verdicts: tuple[Verdict, ...], grace: float, trace: Trace | None
) -> BacktestOutcome:
    alarms = [one.time for one in verdicts if one.change is Change.OPENED]
    windows = series.windows or ()
    found = []
    for begin, end in windows:
        within = [time for time in alarms if begin <= time <= end + grace]
        if within:
            found.append(((begin, end), within[0]))
    false = [
        time
        for time in alarms
        if series.windows is not None
        and not any(begin <= time <= end + grace for begin, end in windows)
    ]
    return BacktestOutcome(
        series=series, verdicts=verdicts, found=tuple(found), false_alarms=tuple(false), trace=trace
    )


def figures(outcomes: Sequence[BacktestOutcome]) -> dict[str, float | int | None]:
    """Add outcomes up: precision, recall, delay and false alarms a day; None: nothing to say.

    Delays are medians over the incidents found, in seconds and in values of their series.
    Precision is the share of told incidents that are some: those found, of those and false ones.
    """
    labelled = [one for one in outcomes if one.series.windows is not None]
    windows = sum(len(one.series.windows or ()) for one in labelled)
    found = sum(len(one.found) for one in labelled)
    false = sum(len(one.false_alarms) for one in labelled)
    days = sum(one.days for one in labelled)
    delays = [(alarm - begin, one.step) for one in labelled for (begin, _), alarm in one.found]
    return {
        "series": len(outcomes),
        "rows": sum(len(one.series.times) for one in outcomes),
        "days": sum(one.days for one in outcomes),
        "alarms": sum(len(one.alarms) for one in outcomes),
        "incidents": windows if labelled else None,
        "found": found if labelled else None,
        "false_alarms": false if labelled else None,
        "recall": found / windows if windows else None,
        "precision": found / (found + false) if found + false else None,
        "delay_seconds": median(delay for delay, _ in delays) if delays else None,
        "delay_ticks": median(delay / step for delay, step in delays) if delays else None,
        "false_alarms_per_series_day": false / days if days > 0.0 else None,
        **_intervals(found, windows, false, days),
    }


def _intervals(found: int, windows: int, false: int, days: float) -> dict[str, float | None]:
    """Return 95 % confidence intervals of recall and of the rate of false alarms.

    Exact ones: Clopper and Pearson (1934) for a share, Garwood (1936) for a rate.
    """
    from scipy.stats import beta, gamma  # here, as it takes longer to load than a backtest

    return {
        "recall_low": (float(beta.ppf(0.025, found, windows - found + 1)) if found else 0.0)
        if windows
        else None,
        "recall_high": (
            float(beta.ppf(0.975, found + 1, windows - found)) if found < windows else 1.0
        )
        if windows
        else None,
        "false_alarms_per_series_day_low": (float(gamma.ppf(0.025, false)) if false else 0.0) / days
        if days > 0.0
        else None,
        "false_alarms_per_series_day_high": float(gamma.ppf(0.975, false + 1)) / days
        if days > 0.0
        else None,
    }


def plain(outcome: BacktestOutcome) -> dict[str, Any]:
    """Return one outcome as plain values, with every alarm."""
    found = dict(outcome.found)
    return {
        "name": outcome.series.name,
        **figures([outcome]),
        "windows": [
            {"begin": begin, "end": end, "alarm": found.get((begin, end))}
            for begin, end in outcome.series.windows or ()
        ],
        "verdicts": [
            {
                "time": one.time,
                "change": one.change,
                "severity": one.severity,
                "score": one.evidence.score,
                "value": one.evidence.value if isfinite(one.evidence.value) else None,
                "false": one.time in outcome.false_alarms,
                "sentence": one.sentence,
            }
            for one in outcome.verdicts
        ],
    }


# --- captures -----------------------------------------------------------------------------------


def signals_of(
    capture: Path, known: Mapping[str, Signal], damaged: Callable[[str], None]
) -> Iterator[Subject]:
    """Yield all that is measured of a capture, a value a tick; ``known`` are signals by name.

    Raises OSError and ForeignError, as reading it does.
    """
    times: dict[Series, list[float]] = {}
    values: dict[Series, list[float]] = {}

    def ticked(series: Iterable[Series], tick: Tick, now: float) -> None:
        for one, value in zip(series, tick.values.tolist(), strict=True):
            times.setdefault(one, []).append(now)
            values.setdefault(one, []).append(value)

    board = Playback(ticked=ticked)
    for row in captured(capture, damaged):
        board.take(row)
    board.finish()
    for one, moments in times.items():
        # The last tick is when the last row came, which may be that of a tick.
        kept = np.concatenate([[True], np.diff(moments) > 0.0])
        found = Labelled(
            name=f"{capture}/{one.exchange}/{one.signal}",
            times=np.array(moments)[kept],
            values=np.array(values[one])[kept],
            windows=None,
        )
        if np.isfinite(found.values).any():
            yield Subject(series=found, exchange=one.exchange, signal=known[one.signal])
