"""The metrics of compared prices."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TypeAlias, TypeVar

from exporter.metrics import families as f
from exporter.metrics.children import GaugeChild
from exporter.metrics.registry import Registry
from exporter.model import Family

Pair: TypeAlias = tuple[str, str]
K = TypeVar("K", bound=tuple[str, ...])


class PriceMeter:
    """Shows the comparison of one moment; what cannot be said just now is absent."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._bases: dict[Pair, None] = {}  # every one that was ever known
        self._children: dict[Family, dict[tuple[str, ...], GaugeChild]] = {}

    def steps(
        self,
        known: Collection[Pair],
        *,
        markets: Mapping[Pair, str],
        consensus: Mapping[str, tuple[float, int]],
        deviation: Mapping[Pair, float],
        frozen: Mapping[Pair, bool],
        basis: Mapping[Pair, float],
    ) -> Iterator[None]:
        """Show one comparison, family by family.

        ``known`` are all (exchange, symbol) there are, fresh or not, and ``markets`` those of them
        that mean a market of another name. ``consensus``: price and exchanges by symbol;
        ``deviation`` and ``frozen`` by (exchange, symbol); ``basis`` by (reference currency, quote
        currency).
        """
        symbols = dict.fromkeys((symbol,) for _, symbol in known)
        prices = {(symbol,): price for symbol, (price, _) in consensus.items()}
        counts = {(symbol,): count for symbol, (_, count) in consensus.items()}
        named = {(*pair, market): 1.0 for pair, market in markets.items()}
        self._set(f.SYMBOL_INFO, named, named)
        self._set(f.CONSENSUS_PRICE, symbols, prices)
        self._set(f.CONSENSUS_VENUES, symbols, counts)
        yield
        self._set(f.PRICE_DEVIATION, known, deviation)
        yield
        self._set(f.PRICE_FROZEN, known, {pair: int(value) for pair, value in frozen.items()})
        yield
        self._bases.update(dict.fromkeys(basis))
        self._set(f.QUOTE_BASIS, self._bases, basis)

    def _set(
        self,
        family: Family,
        known: Collection[K],
        values: Mapping[K, float],
    ) -> None:
        children = self._children.setdefault(family, {})
        for labels in known:
            child = children.get(labels)
            if child is None:
                child = children[labels] = self._registry.gauge(family, *labels)
            child.set(values.get(labels))
        if len(children) > len(known):
            wanted = set(known)
            for gone in [each for each in children if each not in wanted]:
                del children[gone]
                self._registry.remove(family, *gone)
