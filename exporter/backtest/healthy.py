"""Healthy series with the tails and the memory that real ones have: what the pager must not say.

No kind has an incident, so every one that the chain of bank, guard and tracker opens is a false
alarm. Even series were in sight when the defaults were set, odd ones are reported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from exporter.anomaly.bank import Bank
from exporter.anomaly.detectors.ensemble import DETECTOR
from exporter.anomaly.gauges import CLOCK_OFFSET, INTER_ARRIVAL, PRICE_DEVIATION, STREAM_LATENCY
from exporter.anomaly.incidents import IncidentTracker
from exporter.anomaly.rates import MESSAGE_RATE
from exporter.model import Change, Floats, Series, Severity, Signal
from exporter.probes.latency import SIGNALS as PROBE_LATENCIES

Chance = np.random.Generator
DAY = 86400  # ticks, of a second
PER_KIND = 4  # series of each kind, half of them reported
DECADES = (3, 4, 5)


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


def run(
    days: float = 1.0,
    progress: Callable[[int, int], None] = lambda values, of: None,
) -> dict[str, dict[str, float]]:
    """Draw and watch all series for so many days; return the figures by kind, reported half.

    ``progress`` is told of values that are done, now and then, and of how many there are.
    """
    seconds = round(days * DAY)
    pairs = [(kind, number) for kind in KINDS for number in range(PER_KIND)]
    series = [Series(f"healthy{i}", kind.signal.name) for i, (kind, _) in enumerate(pairs)]
    values = np.stack(
        [
            kind.draw(seconds, np.random.default_rng([number, row // PER_KIND, 7]))
            for row, (kind, number) in enumerate(pairs)
        ],
        axis=1,
    )
    signals = tuple({kind.signal.name: kind.signal for kind in KINDS}.values())
    bank = Bank(series, {"ensemble": DETECTOR}, signals, guard="ensemble")
    tracker = IncidentTracker(series, signals)
    opened, critical = np.zeros(len(pairs)), np.zeros(len(pairs))
    exceeded = np.zeros((len(DECADES), len(pairs)))
    limits = np.array(DECADES)[:, None] / DETECTOR.decades
    rows = {one: row for row, one in enumerate(series)}

    def explain(row: int) -> tuple[Floats, Mapping[str, float]]:
        return np.full(3, np.nan), {}

    for second, now in enumerate(np.arange(seconds, dtype=np.float64).tolist()):
        scores = bank.tick(values[second], now)
        score = scores.score[0]
        exceeded += score >= limits
        for one in tracker.advance(values[second], score, scores.measured, now, now, explain):
            row = rows[one.series]
            opened[row] += one.change is Change.OPENED
            rises = one.change in (Change.OPENED, Change.WORSENED)
            critical[row] += rises and one.severity is Severity.CRITICAL
        if second % 1000 == 999:
            progress(1000 * len(pairs), seconds * len(pairs))
    return _figures(pairs, days, opened, critical, exceeded)


def _figures(
    pairs: list[tuple[Noise, int]], days: float, opened: Floats, critical: Floats, exceeded: Floats
) -> dict[str, dict[str, float]]:
    found = {}
    for name in ("all", *(kind.name for kind in KINDS)):
        picked = [
            row
            for row, (kind, number) in enumerate(pairs)
            if number % 2 and name in ("all", kind.name)
        ]
        counted = exceeded[:, picked].sum(axis=1) / (len(picked) * days * DAY)
        found[name] = {
            "series": float(len(picked)),
            "series_days": len(picked) * days,
            "incidents_per_series_day": float(opened[picked].sum()) / (len(picked) * days),
            "critical": float(critical[picked].sum()),
        } | {
            f"observed_over_promised_{decades}": float(share * 10.0**decades)
            for decades, share in zip(DECADES, counted.tolist(), strict=True)
        }
    return found


def table(figures: Mapping[str, Mapping[str, float]]) -> str:
    """Format the figures of `run` for people."""
    lines = ["healthy series              incidents a series-day, critical; over 3, 4, 5 decades"]
    for name, found in figures.items():
        ratios = "  ".join(f"{found[f'observed_over_promised_{d}']:5.2f}" for d in DECADES)
        lines.append(
            f"{name:28s} {found['incidents_per_series_day']:6.3f}  {found['critical']:3.0f}  "
            f"{ratios}  ({found['series_days']:.0f} series-days)"
        )
    lines.append("over n decades: how often a score reached it, over the one in 10^n it promises")
    return "\n".join(lines)
