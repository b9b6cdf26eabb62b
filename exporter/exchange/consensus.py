"""The consensus price of an instrument, and which exchange deviates from its peers."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from statistics import median

from exporter.instrument import Product, parse

_AGREEMENT = 0.005  # of their median, within which prices of several exchanges agree


def agreed(prices: Collection[float], peers: int) -> float | None:
    """Return the median of prices that agree: ``peers`` of them at least, and more than half.

    None where they do not: while markets break apart nobody can tell which of them is wrong.
    """
    if len(prices) < peers:
        return None
    middle = median(prices)
    close = sum(abs(price / middle - 1.0) <= _AGREEMENT for price in prices)
    return middle if close >= peers and 2 * close > len(prices) else None


@dataclass(frozen=True, slots=True)
class Mid:
    """One exchange's view of one instrument.

    ``received`` and ``changed``: when the newest quote came and when the price last changed, epoch
    seconds. Only what has the same ``like`` is compared: spot with spot, a perpetual with
    perpetuals.
    """

    exchange: str
    instrument: str
    price: float
    received: float
    like: str
    changed: float = nan


@dataclass(frozen=True, slots=True)
class Consensus:
    """The median price of an instrument over its fresh exchanges, and how many they were."""

    price: float
    exchanges: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """The results of comparing the prices of one moment.

    ``deviation`` is keyed (exchange, instrument): price over the median of its peers, minus 1.
    ``basis`` is keyed (reference quote, quote): what one unit of the quote currency is worth in
    the reference, minus 1, by the median over the bases traded in both.
    """

    consensus: Mapping[str, Consensus]
    deviation: Mapping[tuple[str, str], float]
    basis: Mapping[tuple[str, str], float]


def compare(
    mids: Sequence[Mid], now: float, *, freshness: float, peers: int = 2, reference: str = "USD"
) -> Comparison:
    """Compare prices that are at most ``freshness`` seconds old at ``now`` (epoch seconds).

    A deviation needs ``peers`` other fresh exchanges: against one alone nobody can tell which of
    the two is wrong. The exchange under test is left out of its own yardstick.
    """
    groups: dict[str, list[Mid]] = {}
    for mid in mids:
        if now - mid.received <= freshness:
            groups.setdefault(mid.like, []).append(mid)
    consensus, deviation = {}, {}
    for like, group in groups.items():
        consensus[like] = Consensus(median(mid.price for mid in group), len(group))
        if len(group) <= peers:
            continue
        ordered = sorted(mid.price for mid in group)
        for mid in group:
            others = _median_without(ordered, mid.price)
            deviation[mid.exchange, mid.instrument] = mid.price / others - 1.0
    return Comparison(consensus, deviation, _basis(consensus, reference))


def _median_without(ordered: Sequence[float], price: float) -> float:
    """Return the median of sorted prices without one of this price: they are sorted only once."""
    out, middle = bisect_left(ordered, price), (len(ordered) - 1) // 2

    def other(place: int) -> float:
        return ordered[place] if place < out else ordered[place + 1]

    return other(middle) if len(ordered) % 2 == 0 else (other(middle - 1) + other(middle)) / 2


def _basis(consensus: Mapping[str, Consensus], reference: str) -> dict[tuple[str, str], float]:
    ratios: dict[str, list[float]] = {}
    for like, agreed in consensus.items():
        found = parse(like)
        if found is None or found.product is not Product.SPOT or found.quote == reference:
            continue
        against = consensus.get(f"{found.base}-{reference}")
        if against is not None:
            ratios.setdefault(found.quote, []).append(against.price / agreed.price)
    return {(reference, quote): median(values) - 1.0 for quote, values in ratios.items()}


def frozen(
    mids: Sequence[Mid], now: float, *, freshness: float, still: float, peers: int = 2
) -> frozenset[tuple[str, str]]:
    """Return the (exchange, instrument) whose value stands still although frames arrive.

    Frozen: fresh, unchanged for ``still`` seconds, while at least ``peers`` fresh exchanges have
    moved on the same instrument within that time. A calm market freezes nobody.
    """
    fresh = [mid for mid in mids if now - mid.received <= freshness]
    moved: dict[str, int] = {}
    for mid in fresh:
        moved[mid.like] = moved.get(mid.like, 0) + (now - mid.changed <= still)
    return frozenset(
        (mid.exchange, mid.instrument)
        for mid in fresh
        if now - mid.changed > still and moved[mid.like] >= peers
    )
