"""Incidents of our own, labelled, from seeds: what the pager's chain finds, how fast, and how often
it cries wolf.

Half of the cases are healthy. Each kind is drawn with random size, onset, noise and rhythm. The
cases with even seeds are the development half, on which the defaults of `Ensemble`, `Bank` and
`Rule` were set; those with odd seeds are only reported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from statistics import median

import numpy as np

from exporter.anomaly.bank import Bank
from exporter.anomaly.detectors import load
from exporter.anomaly.gauges import CLOCK_OFFSET, PRICE_DEVIATION, STREAM_LATENCY
from exporter.anomaly.incidents import IncidentTracker
from exporter.anomaly.rates import MESSAGE_RATE
from exporter.probes.error_rate import SIGNAL as ERROR_RATE
from exporter.probes.latency import SIGNALS as PROBE_LATENCIES
from exporter.signals import Change, Floats, Series, Signal

Chance = np.random.Generator
SIGNALS = (
    *PROBE_LATENCIES,
    ERROR_RATE,
    STREAM_LATENCY,
    MESSAGE_RATE,
    PRICE_DEVIATION,
    CLOCK_OFFSET,
)
PER_KIND = 20  # cases of each kind with an incident, and as many without
LASTS = 300.0  # seconds that an incident lasts


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentKind:
    """One kind of incident: how its signal looks when healthy, and what happens to it.

    ``healthy`` takes ticks (times in seconds) and chance; ``harm`` changes the values of the
    incident's ticks, whose times count from its onset.
    """

    name: str
    signal: Signal
    tick: float  # seconds
    length: int  # ticks of one case
    healthy: Callable[[Floats, Chance], Floats]
    harm: Callable[[Floats, Floats, Chance], Floats]


@dataclass(slots=True)
class Case:
    """One series, with its incident's first and last tick, or None when healthy."""

    kind: IncidentKind
    values: Floats
    onset: tuple[int, int] | None
    opened: list[int] = field(default_factory=list)


def _latency(times: Floats, chance: Chance) -> Floats:
    """Log-normal round trips of 20 to 120 ms whose level wanders a little, with stray spikes."""
    base = chance.uniform(0.02, 0.12)
    wander = np.cumsum(chance.normal(scale=0.002, size=times.size))
    noise = chance.normal(scale=chance.uniform(0.05, 0.25), size=times.size)
    spikes = np.where(chance.random(times.size) < 0.001, chance.exponential(0.2, times.size), 0.0)
    return base * np.exp(np.clip(wander, -0.3, 0.3) + noise) + spikes


def _daily(times: Floats, chance: Chance) -> Floats:
    """Latency that doubles towards the same hour of every day."""
    phase = chance.uniform(0.0, 2 * np.pi)
    wave = 1.5 + 0.5 * np.sin(2 * np.pi * times / 86400.0 + phase)
    noise: Floats = np.exp(chance.normal(scale=0.1, size=times.size))
    return 0.06 * wave * noise


def _errors(times: Floats, chance: Chance) -> Floats:
    """The share that failed of the last 18 probes, of which one in 200 fails by itself."""
    failed = chance.random(times.size + 17) < 0.005
    return _running_mean(failed.astype(np.float64), 18)


def _rate(times: Floats, chance: Chance) -> Floats:
    """Messages per second over 10 s, whose intensity follows the market."""
    intensity = chance.uniform(20.0, 500.0)
    mood = np.zeros(times.size)
    for i, push in enumerate(chance.normal(scale=0.02, size=times.size)):
        mood[i] = 0.995 * mood[i - 1] + push
    counts = chance.poisson(intensity * np.exp(mood)).astype(float)
    padded = np.concatenate([np.full(9, counts[0]), counts])
    return _running_mean(padded, 10)


def _running_mean(values: Floats, width: int) -> Floats:
    means: Floats = np.lib.stride_tricks.sliding_window_view(values, width).mean(axis=1)
    return means


def _deviation(times: Floats, chance: Chance) -> Floats:
    """A price's ratio to its peers' median: two basis points of noise around a small bias."""
    return chance.normal(chance.uniform(-2e-4, 2e-4), 2e-4, times.size)


def _offset(times: Floats, chance: Chance) -> Floats:
    """A clock that is some milliseconds off, known within a few."""
    return chance.normal(chance.uniform(-0.05, 0.05), 0.004, times.size)


def _step(values: Floats, since: Floats, chance: Chance) -> Floats:
    return values + chance.uniform(0.25, 1.0)


def _ramp(values: Floats, since: Floats, chance: Chance) -> Floats:
    return values + chance.uniform(0.4, 1.0) * np.minimum(since / 120.0, 1.0)


def _spikes(values: Floats, since: Floats, chance: Chance) -> Floats:
    return values + np.where(chance.random(since.size) < 0.5, chance.uniform(0.5, 1.5), 0.0)


def _brownout(values: Floats, since: Floats, chance: Chance) -> Floats:
    return values * 2.0 + chance.exponential(0.4, since.size)


def _error_burst(values: Floats, since: Floats, chance: Chance) -> Floats:
    return np.clip(values + chance.uniform(0.5, 1.0) * np.minimum(since / 60.0, 1.0), 0.0, 1.0)


def _silence(values: Floats, since: Floats, chance: Chance) -> Floats:
    return values * np.maximum(1.0 - since / 10.0, 0.0)  # the window of the rate runs empty


def _collapse(values: Floats, since: Floats, chance: Chance) -> Floats:
    return values * np.maximum(1.0 - since / 10.0, chance.uniform(0.02, 0.2))


def _sign(chance: Chance) -> float:
    return 1.0 if chance.random() < 0.5 else -1.0


def _price_offset(values: Floats, since: Floats, chance: Chance) -> Floats:
    return values + _sign(chance) * chance.uniform(0.005, 0.03)


def _depeg(values: Floats, since: Floats, chance: Chance) -> Floats:
    return values - chance.uniform(0.01, 0.05) * np.minimum(since / 120.0, 1.0)


def _clock_step(values: Floats, since: Floats, chance: Chance) -> Floats:
    return values + _sign(chance) * chance.uniform(0.5, 5.0)


LATENCY = PROBE_LATENCIES[0]
KINDS = tuple(
    IncidentKind(name=name, signal=signal, tick=tick, length=length, healthy=healthy, harm=harm)
    for name, signal, tick, length, healthy, harm in (
        ("latency step", LATENCY, 1.0, 5400, _latency, _step),
        ("latency ramp", LATENCY, 1.0, 5400, _latency, _ramp),
        ("latency spikes", LATENCY, 1.0, 5400, _latency, _spikes),
        ("brownout", STREAM_LATENCY, 1.0, 5400, _latency, _brownout),
        ("error burst", ERROR_RATE, 10.0, 5400, _errors, _error_burst),
        ("silent stream", MESSAGE_RATE, 1.0, 5400, _rate, _silence),
        ("rate collapse", MESSAGE_RATE, 1.0, 5400, _rate, _collapse),
        ("price offset", PRICE_DEVIATION, 1.0, 5400, _deviation, _price_offset),
        ("depeg", PRICE_DEVIATION, 1.0, 5400, _deviation, _depeg),
        ("clock step", CLOCK_OFFSET, 10.0, 5400, _offset, _clock_step),
        ("daily latency step", LATENCY, 60.0, 5760, _daily, _step),
    )
)
STEPS = ("latency step", "price offset", "clock step", "daily latency step")


def draw(kind: IncidentKind, seed: int, healthy: bool) -> Case:
    """Return one case. The same seed gives the same case, whatever the others are."""
    chance = np.random.default_rng([seed, KINDS.index(kind), int(healthy)])
    times = kind.tick * np.arange(kind.length, dtype=np.float64)
    values = kind.healthy(times, chance)
    if healthy:
        return Case(kind=kind, values=values, onset=None)
    first = int(chance.integers(kind.length // 2, kind.length - 100))
    last = min(first + max(round(LASTS / kind.tick), 10), kind.length - 10)
    since = times[first:last] - times[first] + kind.tick
    values[first:last] = kind.harm(values[first:last], since, chance)
    return Case(kind=kind, values=values, onset=(first, last))


def watch(cases: list[Case], progress: Callable[[int], None] = lambda rows: None) -> None:
    """Run cases of one tick and length through bank and judge; note when incidents opened.

    ``progress`` is told of values that are done, now and then.
    """
    series = [Series(f"case{i}", case.kind.signal.name) for i, case in enumerate(cases)]
    bank = Bank(series, {"ensemble": load("ensemble")}, SIGNALS, guard="ensemble")
    judge = IncidentTracker(series, SIGNALS)
    tick = cases[0].kind.tick

    def explain(row: int) -> tuple[Floats, Mapping[str, float]]:
        return np.full(3, np.nan), {}

    for i, values in enumerate(np.stack([case.values for case in cases], axis=1)):
        now = i * tick
        scores = bank.tick(values, now)
        for verdict in chain.from_iterable(
            judge.steps(values, scores.score[0], scores.measured, now, now, explain)
        ):
            if verdict.change is Change.OPENED:
                cases[series.index(verdict.series)].opened.append(i)
        if i % 100 == 0:
            progress(100 * len(cases))


def report(cases: list[Case]) -> dict[str, float]:
    """Return recall, precision, delay in ticks and false alarms per series-week of these cases."""
    delays, false, weeks, harmed = list[int](), 0, 0.0, 0
    for case in cases:
        weeks += case.values.size * case.kind.tick / 604800.0
        harmed += case.onset is not None
        found = [
            tick
            for tick in case.opened
            if case.onset and case.onset[0] <= tick <= case.onset[1] + 10
        ]
        false += len(case.opened) - len(found)
        if found and case.onset:
            delays.append(found[0] - case.onset[0])
    return {
        "cases": len(cases),
        "recall": len(delays) / harmed if harmed else float("nan"),
        "precision": len(delays) / (len(delays) + false) if delays else float("nan"),
        "delay_ticks": median(delays) if delays else float("nan"),
        "false_alarms_per_series_week": false / weeks,
        "series_weeks": weeks,
    }


def run(
    progress: Callable[[int, int], None] = lambda rows, of: None,
) -> dict[str, dict[str, float]]:
    """Draw and watch all cases; return the figures by half, and by kind for the reported half.

    ``progress`` is told of values that are done, now and then, and of how many there are.
    """
    halves = {
        half: [
            draw(kind, seed, healthy)
            for kind in KINDS
            for seed in range(parity, 2 * PER_KIND, 2)
            for healthy in (False, True)
        ]
        for parity, half in enumerate(("development", "reported"))
    }
    everything = [case for half in halves.values() for case in half]
    values = sum(case.values.size for case in everything)
    for rhythm in sorted({(case.kind.tick, case.kind.length) for case in everything}):
        cases = [case for case in everything if (case.kind.tick, case.kind.length) == rhythm]
        watch(cases, lambda rows: progress(rows, values))
    figures = {half: report(cases) for half, cases in halves.items()}
    reported = halves["reported"]
    figures["steps"] = report([case for case in reported if case.kind.name in STEPS])
    for kind in KINDS:
        figures[kind.name] = report([case for case in reported if case.kind is kind])
    return figures


def table(figures: Mapping[str, Mapping[str, float]]) -> str:
    """Format the figures of `run` for people, by half and by kind."""
    lines = ["cases                recall  precision  delay in ticks, false alarms"]
    lines += [
        f"{name:20s} {found['recall']:6.2f} {found['precision']:10.2f} "
        f"{found['delay_ticks']:6.0f}  {found['false_alarms_per_series_week']:.2f} per "
        f"series-week ({found['cases']:.0f} cases, {found['series_weeks']:.1f} weeks)"
        for name, found in figures.items()
    ]
    return "\n".join(lines)
