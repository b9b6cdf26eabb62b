"""The values of pegged assets by the prices of all exchanges, compared with their pegs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from exporter.config import PegConfig
from exporter.exchange.consensus import Consensus
from exporter.instrument import Product, parse
from exporter.metrics import families as f
from exporter.metrics.registry import Registry

Pair = tuple[str, str]


def worth(prices: Mapping[Pair, float], pairs: Iterable[Pair]) -> dict[Pair, float]:
    """Return what one of each first asset is worth in the second, where anything tells.

    ``prices`` are those of spot markets by base and quote. The market of the two tells, in either
    direction; so do two markets in one quote currency, and one base in both. Of several the median.
    """
    return {pair: median(found) for pair in pairs if (found := _ways(prices, *pair))}


def _ways(prices: Mapping[Pair, float], asset: str, against: str) -> list[float]:
    found = []
    if (asset, against) in prices:
        found.append(prices[asset, against])
    if (against, asset) in prices:
        found.append(1.0 / prices[against, asset])
    for (base, quote), price in prices.items():
        if base == asset and (against, quote) in prices:
            found.append(price / prices[against, quote])
        elif quote == against and (base, asset) in prices:
            found.append(price / prices[base, asset])
    return found


class Pegs:
    """Shows the pegs of the config and what they are worth; what nothing tells is absent."""

    def __init__(self, configured: Sequence[PegConfig], registry: Registry) -> None:
        self._ratios = {
            (each.asset, each.against): registry.gauge(f.PEG, each.asset, each.against)
            for each in configured
        }
        for each in configured:
            for bound, value in ((f.Bound.LOWER, each.low), (f.Bound.UPPER, each.high)):
                registry.gauge(f.PEG_BOUND, each.asset, each.against, bound).set(value)

    def update(self, consensus: Mapping[str, Consensus]) -> None:
        """Show what all are worth by the prices of one moment."""
        if not self._ratios:
            return
        prices = {
            (found.base, found.quote): agreed.price
            for like, agreed in consensus.items()
            if (found := parse(like)) is not None and found.product is Product.SPOT
        }
        values = worth(prices, self._ratios)
        for pair, gauge in self._ratios.items():
            gauge.set(values.get(pair))
