"""What a report says of one exchange, from what is known of each step. Pure.

A step of maintenance is counted apart, and one of which nothing is known is neither up nor down.
Of all others the exchange's loss is what the worst of its parts lacked: with one of four endpoints
down, a quarter. What gates say is told beside it: they ask for more than the exchange to work.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from exporter.report.samples import Steps
from exporter.signals import Floats

PARTS = ("probe", "feed", "book")
DOMAINS = ("exchange", "path", "self")
UNKNOWN = "unknown"  # whose fault nobody could tell
OUTAGE = 0.5  # a step that lost so much belongs to an outage
ADMITTED_WITHIN = 3600.0  # seconds after its end in which a venue may still declare an outage
_APART = 0.5  # a step of so much maintenance is one of maintenance

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of one exchange: an array of all steps each, NaN where nothing is."""

    parts: Mapping[str, Floats]  # shares of one, of `PARTS` and gate
    maintenance: Floats
    domains: Mapping[str, Floats]
    declared: Floats
    lead: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageSpan:
    """Steps in a row that were lost for the greater part. ``declared``: the venue admitted it."""

    start: float
    minutes: float
    domain: str
    declared: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentSpan:
    """What the venue declared, and by how many seconds we were first; None: no comparison."""

    start: float
    minutes: float
    lead: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One day in minutes; ``usable`` is None where none was counted."""

    start: float
    usable: float | None
    lost: float
    unseen: float
    maintenance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeReport:
    """One exchange. Shares are of the minutes that are counted: seen, and outside maintenance."""

    name: str
    available: Mapping[str, float | None]  # by part, gate among them
    usable: float | None  # the worst part of every step
    minutes: float  # of the report
    counted: float
    unseen: float
    maintenance: float
    lost: Mapping[str, float] = field(default_factory=dict)  # minutes by fault domain
    first_seen: float | None = None
    outages: Sequence[OutageSpan] = ()
    incidents: Sequence[IncidentSpan] = ()
    days: Sequence[Day] = ()

    @property
    def lost_minutes(self) -> float:
        """Minutes lost, whoever's fault it was."""
        return sum(self.lost.values())

    @property
    def longest(self) -> OutageSpan | None:
        """The longest outage, the first of equals."""
        return max(self.outages, key=lambda each: each.minutes, default=None)

    @property
    def lead(self) -> float | None:
        """Median of the leads, seconds."""
        leads = [each.lead for each in self.incidents if each.lead is not None]
        return float(np.median(leads)) if leads else None


def judge(
    name: str, known: Known, steps: Steps, days: Sequence[tuple[float, float]]
) -> ExchangeReport:
    """Sum up one exchange; ``days`` are begin and end of each, epoch seconds."""
    minutes = steps.length / 60.0
    quality = _worst([known.parts[part] for part in PARTS if part in known.parts], steps)
    maintenance = np.nan_to_num(known.maintenance) >= _APART
    seen = ~np.isnan(quality)
    counted = seen & ~maintenance
    loss = np.where(counted, 1.0 - np.clip(np.nan_to_num(quality, nan=1.0), 0.0, 1.0), 0.0)
    by_domain = _by_domain(loss, known.domains)
    return ExchangeReport(
        name=name,
        available={part: _mean(values, counted) for part, values in known.parts.items()},
        usable=_mean(1.0 - loss, counted),
        minutes=steps.count * minutes,
        counted=float(counted.sum()) * minutes,
        unseen=float((~seen & ~maintenance).sum()) * minutes,
        maintenance=float(maintenance.sum()) * minutes,
        lost={domain: float(lost.sum()) * minutes for domain, lost in by_domain.items()},
        first_seen=steps.at(int(np.argmax(seen))) if seen.any() else None,
        outages=tuple(_outages(loss, counted, by_domain, known.declared, steps)),
        incidents=tuple(_incidents(known.declared, known.lead, seen, steps)),
        days=tuple(_days(days, loss, counted, seen, maintenance, steps)),
    )


def _worst(parts: Sequence[Floats], steps: Steps) -> Floats:
    """Return the least of what is known of each step, NaN where nothing is."""
    worst = np.full(steps.count, np.nan)
    for each in parts:
        worst = np.fmin(worst, each)
    return worst


def _mean(values: Floats, counted: Flags) -> float | None:
    chosen = values[counted & ~np.isnan(values)]
    return float(chosen.mean()) if chosen.size else None


def _by_domain(loss: Floats, domains: Mapping[str, Floats]) -> dict[str, Floats]:
    """Divide the loss of each step among those whose fault it was."""
    shares = {name: np.nan_to_num(domains.get(name, np.zeros_like(loss))) for name in DOMAINS}
    total = sum(shares.values(), np.zeros_like(loss))
    blamed = total > 0.0
    divisor = np.where(blamed, total, 1.0)
    found = {name: loss * share / divisor for name, share in shares.items()}
    return {**found, UNKNOWN: np.where(blamed, 0.0, loss)}


def _spans(flags: Flags) -> Iterator[tuple[int, int]]:
    """Yield first and end of each run of what is set; the end is no part of it."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    yield from ((int(a), int(b)) for a, b in edges.reshape(-1, 2))


def _outages(
    loss: Floats,
    counted: Flags,
    by_domain: Mapping[str, Floats],
    declared: Floats,
    steps: Steps,
) -> Iterator[OutageSpan]:
    late = int(ADMITTED_WITHIN / steps.length)
    for first, end in _spans(counted & (loss >= OUTAGE)):
        blame = {domain: float(lost[first:end].sum()) for domain, lost in by_domain.items()}
        yield OutageSpan(
            start=steps.at(first),
            minutes=(end - first) * steps.length / 60.0,
            domain=max(blame, key=lambda domain: blame[domain]),
            declared=bool((np.nan_to_num(declared[first : end + late]) > 0.0).any()),
        )


def _incidents(declared: Floats, lead: Floats, seen: Flags, steps: Steps) -> Iterator[IncidentSpan]:
    """Yield what was declared; a gap in what we know ends none that stands after it."""
    standing = _held(declared) > 0.0
    known = _held(lead)
    for first, end in _spans(standing):
        # What stood before the report began has its lead in the report of before.
        before = known[first - 1] if first else np.nan
        after = known[min(end, steps.count - 1)]
        fresh = first > 0 and not np.isnan(after) and after != before
        yield IncidentSpan(
            start=steps.at(first),
            minutes=(end - first) * steps.length / 60.0,
            lead=float(after) if fresh else None,
        )


def _held(values: Floats) -> Floats:
    """Return the last value that was known by each step."""
    places = np.where(np.isnan(values), 0, np.arange(values.size))
    return values[np.maximum.accumulate(places)] if values.size else values


def _days(
    days: Sequence[tuple[float, float]],
    loss: Floats,
    counted: Flags,
    seen: Flags,
    maintenance: Flags,
    steps: Steps,
) -> Iterator[Day]:
    minutes = steps.length / 60.0
    for begin, end in days:
        first, last = (round((at - steps.start) / steps.length) for at in (begin, end))
        part = slice(first, last)
        number = int(counted[part].sum())
        lost = float(loss[part].sum())
        yield Day(
            start=begin,
            usable=1.0 - lost / number if number else None,
            lost=lost * minutes,
            unseen=float((~seen[part] & ~maintenance[part]).sum()) * minutes,
            maintenance=float(maintenance[part].sum()) * minutes,
        )
