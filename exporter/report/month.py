"""A month of all exchanges and gates, from the answers to the queries of a report."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import numpy as np

from exporter.report import samples
from exporter.report.availability import DOMAINS, PARTS, ExchangeReport, Known, judge
from exporter.report.samples import AnswerError, Steps
from exporter.signals import Floats

Ask: TypeAlias = Callable[[str, float, float, float], Any]
"""Query, first and last time of evaluation, step; the answer's JSON as plain data."""

_LABELS: Mapping[str, tuple[str, ...]] = {
    "domain": ("exchange", "domain"),
    "gate": ("gate",),
    "gate_of": ("gate", "exchange"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """The time of a report: ``days`` are begin and end of each, epoch seconds.

    ``whole``: the month is over.
    """

    month: str
    zone: str
    days: Sequence[tuple[float, float]]
    whole: bool

    @property
    def start(self) -> float:
        """When it begins."""
        return self.days[0][0]

    @property
    def end(self) -> float:
        """When it ends, which is no part of it."""
        return self.days[-1][1]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateReport:
    """One gate. Shares are of the minutes in which it was seen, maintenance among them."""

    name: str
    exchanges: Sequence[str]
    open: float | None
    closed_minutes: float
    unseen: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthReport:
    """All of it. ``step`` in seconds, ``made`` epoch seconds."""

    period: Period
    step: float
    made: float
    exchanges: Sequence[ExchangeReport]
    gates: Sequence[GateReport]


def period_of(month: str, zone: str, now: float) -> Period:
    """Return the time of ``2026-10`` in a zone, until ``now`` at most. Raises ValueError."""
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", month):
        raise ValueError(f"month {month!r}, expected a month such as 2026-10")
    try:
        place = ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"zone {zone!r}, expected a time zone that this system knows") from error
    first = datetime.fromisoformat(f"{month}-01").replace(tzinfo=place)
    midnights = [first]
    while midnights[-1].month == first.month:
        midnights.append((midnights[-1] + timedelta(days=1)).replace(tzinfo=place))
    times = [each.timestamp() for each in midnights]
    until = now // 60.0 * 60.0
    if until <= times[0]:
        raise ValueError(f"month {month!r} has not begun")
    days = [(a, min(b, until)) for a, b in pairwise(times) if a < until]
    return Period(month=month, zone=zone, days=days, whole=times[-1] <= now)


def report(
    period: Period, ask: Ask, *, step: float, now: float, match: str = "", only: Sequence[str] = ()
) -> MonthReport:
    """Ask for all that is known of a period and sum it up, of the exchanges ``only``, if any.

    Raises AnswerError, and what ``ask`` raises.
    """
    steps = Steps(
        start=period.start, length=step, count=max(1, int((period.end - period.start) // step))
    )
    found = {name: _asked(name, ask, steps, match) for name in samples.QUERIES}
    names = sorted({key[0] for part in PARTS for key in found[part]})
    if unknown := [name for name in only if name not in names]:
        raise AnswerError(
            f"nothing of {', '.join(unknown)} in this time; there is {', '.join(names) or 'none'}"
        )
    if not names:
        raise AnswerError(f"no data in {period.month}: no series of this program")
    gates = {gate: sorted(_exchanges_of(gate, found["gate_of"])) for (gate,) in found["gate"]}
    return MonthReport(
        period=period,
        step=step,
        made=now,
        exchanges=tuple(
            judge(name, _known(name, found, gates, steps), steps, period.days)
            for name in only or names
        ),
        gates=tuple(_gates(found["gate"], gates, steps)),
    )


Series: TypeAlias = dict[tuple[str, ...], Floats]


def _asked(name: str, ask: Ask, steps: Steps, match: str) -> Series:
    series: Series = {}
    text = samples.query(name, steps, match)
    for first, last in steps.chunks():
        answer = ask(text, first, last, steps.length)
        samples.collect(series, answer, _LABELS.get(name, ("exchange",)), steps)
    return series


def _known(
    name: str, found: Mapping[str, Series], gates: Mapping[str, Sequence[str]], steps: Steps
) -> Known:
    nothing = np.full(steps.count, np.nan)
    key = (name,)
    parts = {part: found[part][key] for part in PARTS if key in found[part]}
    mine = [found["gate"][(gate,)] for gate, exchanges in gates.items() if name in exchanges]
    if mine:  # all of them must be open
        worst = mine[0]
        for each in mine[1:]:
            worst = np.fmin(worst, each)
        parts["gate"] = worst
    return Known(
        parts=parts,
        maintenance=found["maintenance"].get(key, nothing),
        domains={each: found["domain"].get((name, each), nothing) for each in DOMAINS},
        declared=found["declared"].get(key, nothing),
        lead=found["lead"].get(key, nothing),
    )


def _exchanges_of(gate: str, info: Series) -> Iterator[str]:
    return (exchange for name, exchange in info if name == gate)


def _gates(found: Series, gates: Mapping[str, Sequence[str]], steps: Steps) -> Iterator[GateReport]:
    minutes = steps.length / 60.0
    for (name,), values in sorted(found.items()):
        seen = values[~np.isnan(values)]
        yield GateReport(
            name=name,
            exchanges=gates[name],
            open=float(seen.mean()) if seen.size else None,
            closed_minutes=float((1.0 - seen).sum()) * minutes,
            unseen=(values.size - seen.size) * minutes,
        )
