"""Healthy series with the tails and the memory that real ones have: what the pager must not say.

No kind has an incident, so every one that the chain of bank, guard and tracker opens is a false
alarm. And as the smallest effects of signals mute most of what is rare, the promise of a score,
once in so many values, is measured on further series of the same kinds of which every departure
matters. Even series were in sight when the defaults were set, odd ones are reported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from exporter.anomaly.bank import Bank
from exporter.anomaly.detectors.ensemble import DETECTOR
from exporter.anomaly.gauges import CLOCK_OFFSET, INTER_ARRIVAL, PRICE_DEVIATION, STREAM_LATENCY
from exporter.anomaly.incidents import IncidentTracker
from exporter.anomaly.rates import MESSAGE_RATE
from exporter.probes.latency import SIGNALS as PROBE_LATENCIES
from exporter.signals import Change, Floats, Series, Severity, Signal

Chance = np.random.Generator
DAY = 86400  # ticks, of a second
PER_KIND = 4  # series of each kind, half of them reported
PROMISED = 8  # series of each generated kind, whose scores are counted
DECADES = (3, 4, 5)
PHASES = {"first hour": 3600, "to 16 h": 57600, "after": 1 << 60}  # and the tick at which each ends
_READY = 200  # ticks that are not counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """One kind of healthy series: of which signal, and how so many seconds of it are drawn."""

    name: str
    signal: Signal
    draw: Callable[[int, Chance], Floats]


def _age(rate: float) -> Callable[[int, Chance], Floats]:
    """Return ages of the newest message of a Poisson stream of so many messages a second."""

    def draw(seconds: int, chance: Chance) -> Floats:
        gaps = chance.exponential(1.0 / rate, int(seconds * rate * 1.3) + 100)
        arrivals = np.cumsum(gaps) - 10.0 / rate  # some lie before the first look
        looks = np.arange(seconds, dtype=np.float64)
        ages: Floats = looks - arrivals[np.searchsorted(arrivals, looks, side="right") - 1]
        return ages

    return draw


def _lognormal(median: float, sigma: float) -> Callable[[int, Chance], Floats]:
    def draw(seconds: int, chance: Chance) -> Floats:
        return median * np.exp(chance.normal(scale=sigma, size=seconds))

    return draw


def _remembering(center: float, spread: float, memory: float) -> Callable[[int, Chance], Floats]:
    """Return an autoregression: each value keeps so much of the last one's distance."""

    def draw(seconds: int, chance: Chance) -> Floats:
        noise = chance.normal(size=seconds + 5000) * np.sqrt(1.0 - memory * memory)
        kept: Floats = lfilter([1.0], [1.0, -memory], noise)[5000:]
        return center + spread * kept

    return draw


def _poisson(rate: float) -> Callable[[int, Chance], Floats]:
    """Return counts over ten seconds, a second."""

    def draw(seconds: int, chance: Chance) -> Floats:
        counts = np.cumsum(chance.poisson(rate, seconds + 10).astype(np.float64))
        means: Floats = (counts[10:] - counts[:-10]) / 10.0
        return means

    return draw


def _daily(seconds: int, chance: Chance) -> Floats:
    phase = chance.uniform(0.0, 2.0 * np.pi)
    wave = 0.3 + 0.1 * np.sin(2.0 * np.pi * np.arange(seconds) / DAY + phase)
    daily: Floats = wave * np.exp(chance.normal(scale=0.3, size=seconds))
    return daily


LATENCY = PROBE_LATENCIES[0]
KINDS = tuple(
    Noise(name=name, signal=signal, draw=draw)
    for name, signal, draw in (
        ("age, 0.2 messages a second", INTER_ARRIVAL, _age(0.2)),
        ("age, 0.05 messages a second", INTER_ARRIVAL, _age(0.05)),
        ("lognormal, sigma 0.5", STREAM_LATENCY, _lognormal(0.3, 0.5)),
        ("lognormal, sigma 1", STREAM_LATENCY, _lognormal(0.1, 1.0)),
        ("autoregression, 0.5", LATENCY, _remembering(0.3, 0.05, 0.5)),
        ("autoregression, 0.9", LATENCY, _remembering(0.3, 0.05, 0.9)),
        ("normal", PRICE_DEVIATION, _remembering(0.0, 0.001, 0.0)),
        ("Poisson counts, 3 a second", MESSAGE_RATE, _poisson(3.0)),
        ("daily season", STREAM_LATENCY, _daily),
        ("walk, reverting in 100 s", STREAM_LATENCY, _remembering(0.3, 0.05, 0.99)),
        ("walk, reverting in 1000 s", CLOCK_OFFSET, _remembering(0.0, 0.2, 0.999)),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One series of the bank: which of its kind, and whether every departure of it matters."""

    kind: Noise
    number: int
    plain: bool
    column: int  # of the values


def run(
    days: float = 1.0,
    progress: Callable[[int, int], None] = lambda values, of: None,
    *,
    further: Sequence[Noise] = (),
    promised: int = PROMISED,
) -> dict[str, dict[str, float]]:
    """Draw and watch all series for so many days; return the figures by kind, reported half.

    ``further`` kinds are watched only for incidents. ``progress`` is told of values that are done,
    now and then, and of how many there are.
    """
    seconds = round(days * DAY)
    rows, drawn = list[_Row](), list[Floats]()
    for place, kind in enumerate((*KINDS, *further)):
        known = place < len(KINDS)
        for number in range(max(PER_KIND, promised if known else 0)):
            values = kind.draw(seconds, np.random.default_rng([number, place, 7]))
            column = len(drawn)
            drawn.append(values.astype(np.float32))  # three days of all are 200 MB so
            if number < PER_KIND:
                rows.append(_Row(kind=kind, number=number, plain=False, column=column))
            if known and number < promised:
                rows.append(_Row(kind=kind, number=number, plain=True, column=column))
    opened, critical, exceeded = _watch(rows, np.stack(drawn, axis=1), progress)
    names = [kind.name for kind in (*KINDS, *further)]
    return {
        name: _incidents(rows, name, seconds, opened, critical)
        | _promises(rows, name, seconds, exceeded)
        for name in ("all", *names)
    }


def _watch(
    rows: Sequence[_Row], values: npt.NDArray[np.float32], progress: Callable[[int, int], None]
) -> tuple[Floats, Floats, Floats]:
    """Return incidents and critical ones by row, and how often each of `DECADES` was reached."""
    plain = {
        kind.name: replace(
            kind.signal, name=f"plain {kind.signal.name}", effect=0.0, resolution=0.0
        )
        for kind in KINDS
        if kind.signal.age
    }
    signals = {kind.signal.name: kind.signal for kind in (row.kind for row in rows)}
    signals |= {signal.name: signal for signal in plain.values()}
    series = [Series(f"healthy{place}", _signal(row, plain)) for place, row in enumerate(rows)]
    bank = Bank(series, {"ensemble": DETECTOR}, tuple(signals.values()), guard="ensemble")
    tracker = IncidentTracker(series, tuple(signals.values()))
    opened, critical = np.zeros(len(rows)), np.zeros(len(rows))
    exceeded = np.zeros((len(PHASES), len(DECADES), len(rows)))
    limits = np.array(DECADES)[:, None] / DETECTOR.decades
    ends = list(PHASES.values())
    columns = [row.column for row in rows]
    places = {one: place for place, one in enumerate(series)}

    def explain(place: int) -> tuple[Floats, Mapping[str, float]]:
        return np.full(3, np.nan), {}

    for second, measured in enumerate(values):
        now, current = float(second), measured[columns].astype(np.float64)
        scores = bank.tick(current, now)
        score = scores.score[0]
        if second >= _READY and score.max() >= limits[0]:
            phase = next(place for place, end in enumerate(ends) if second < end)
            exceeded[phase] += score >= limits
        for one in chain.from_iterable(
            tracker.steps(current, score, scores.measured, now, now, explain)
        ):
            place = places[one.series]
            opened[place] += one.change is Change.OPENED
            rises = one.change in (Change.OPENED, Change.WORSENED)
            critical[place] += rises and one.severity is Severity.CRITICAL
        if second % 1000 == 999:
            progress(1000 * len(rows), len(values) * len(rows))
    return opened, critical, exceeded


def _signal(row: _Row, plain: Mapping[str, Signal]) -> str:
    if not row.plain:
        return row.kind.signal.name
    return plain[row.kind.name].name if row.kind.name in plain else "none"


def _reported(rows: Sequence[_Row], name: str, *, plain: bool) -> list[int]:
    return [
        place
        for place, row in enumerate(rows)
        if row.plain == plain and row.number % 2 and name in ("all", row.kind.name)
    ]


def _incidents(
    rows: Sequence[_Row], name: str, seconds: int, opened: Floats, critical: Floats
) -> dict[str, float]:
    picked = _reported(rows, name, plain=False)
    days = len(picked) * seconds / DAY
    count = float(opened[picked].sum())
    return {
        "series": float(len(picked)),
        "series_days": days,
        "incidents_per_series_day": count / days,
        "false_alarms_per_series_week": 7.0 * count / days,
        "critical": float(critical[picked].sum()),
    }


def _promises(rows: Sequence[_Row], name: str, seconds: int, exceeded: Floats) -> dict[str, float]:
    """Return how often scores reached each of `DECADES`, over how often they promise to.

    With 95 % bounds: Garwood's (1936) for counts, of as many as are independent; those of one
    series come in bursts, and how much so is measured by how far the series differ.
    """
    from scipy.stats import gamma  # here, as it takes longer to load than a backtest

    picked = _reported(rows, name, plain=True)
    found: dict[str, float] = {}
    begin = _READY
    for phase, (label, end) in enumerate(PHASES.items()):
        ticks = min(end, seconds) - begin
        if ticks <= 0 or len(picked) < 2:
            break
        begin = end
        burst = 0.0
        for place, decades in enumerate(DECADES):
            counts = exceeded[phase, place, picked]
            expected = len(picked) * ticks * 10.0**-decades
            # Where none came, how they would come is known from the more frequent ones at best.
            burst = max(1.0, float(counts.var(ddof=1) / counts.mean()) if counts.any() else burst)
            if not counts.any() and place == 0:
                burst = max(1.0, expected)
            runs = float(counts.sum()) / burst
            unit = burst / expected
            key = f"observed_over_promised_{decades} {label}"
            found[key] = float(counts.sum()) / expected
            found[f"{key}, least"] = float(gamma.ppf(0.025, runs)) * unit if runs else 0.0
            found[f"{key}, most"] = float(gamma.ppf(0.975, runs + 1.0)) * unit
    return found


def table(figures: Mapping[str, Mapping[str, float]]) -> str:
    """Format the figures of `run` for people."""
    lines = ["healthy series               false alarms a series-week, critical"]
    for name, found in figures.items():
        lines.append(
            f"{name:28s} {found['false_alarms_per_series_week']:6.2f}  {found['critical']:3.0f}  "
            f"({found['series_days']:.0f} series-days)"
        )
    lines.append("how often a score of 3, 4 and 5 decades was reached, over how often it promises:")
    for name, found in figures.items():
        for label in PHASES:
            keys = [f"observed_over_promised_{decades} {label}" for decades in DECADES]
            if keys[0] in found:
                bounds = [
                    (found[key], found[f"{key}, least"], found[f"{key}, most"]) for key in keys
                ]
                cells = (
                    f"{ratio:5.2f} ({least:.2f} to {most:.2f})" for ratio, least, most in bounds
                )
                lines.append(f"{name:28s} {label:10s}  {'  '.join(cells)}")
    return "\n".join(lines)
