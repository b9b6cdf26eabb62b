"""The prices of all exchanges, compared once a tick."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isfinite

from exporter import config as settings
from exporter.exchange.consensus import Mid, compare, frozen
from exporter.exchange.exchange import Exchange
from exporter.exchange.pegs import Pegs
from exporter.exchange.price_meter import PriceMeter
from exporter.flow.cooperative import MOST
from exporter.metrics.registry import Registry
from exporter.streams.feed import Feed


class Prices:
    """Compares what the exchanges show. `close` takes the figures away."""

    def __init__(
        self,
        configured: settings.PricesConfig,
        registry: Registry,
        pegs: Sequence[settings.PegConfig] = (),
    ) -> None:
        self._configured = configured
        self._registry = registry.scope()
        self._pegs = Pegs(pegs, self._registry)
        self._meter = PriceMeter(self._registry)
        self.deviation: Mapping[tuple[str, str], float] = {}  # by exchange and symbol, of late

    def update(self, exchanges: Iterable[Exchange], now: float) -> None:
        """Compare all prices as they are at ``now`` (epoch seconds), and show it."""
        for _ in self.steps(exchanges, now):
            pass

    def steps(self, exchanges: Iterable[Exchange], now: float) -> Iterator[None]:
        """Do the same in bites of a few milliseconds for a thousand prices."""
        wanted = self._configured
        feeds: dict[tuple[str, str], Feed] = {}
        exchanges = tuple(exchanges)
        for number, exchange in enumerate(exchanges, start=1):
            _take_newest(feeds, exchange.priced)
            if number % MOST == 0:
                yield
        markets = {pair: feed.market for pair, feed in feeds.items()}
        yield
        mids = [
            Mid(*pair, feed.mid, feed.last, feed.market, feed.changed)
            for pair, feed in feeds.items()
            if isfinite(feed.mid)
        ]
        yield
        found = compare(
            mids,
            now,
            freshness=wanted.freshness,
            peers=wanted.peers,
            reference=wanted.reference,
        )
        self.deviation = found.deviation
        self._pegs.update(found.consensus)
        yield
        still = frozen(
            mids, now, freshness=wanted.freshness, still=wanted.still, peers=wanted.peers
        )
        fresh = [mid for mid in mids if now - mid.received <= wanted.freshness]
        yield
        if waiting := [each.perpetuals for each in exchanges if each.perpetuals.waiting]:
            spot: dict[str, dict[str, float]] = {}
            for mid in fresh:
                spot.setdefault(mid.like, {})[mid.exchange] = mid.price
            for each in waiting:
                each.compare(spot, wanted.peers)
            yield
        yield from self._meter.steps(
            feeds.keys(),
            markets={pair: like for pair, like in markets.items() if like != pair[1]},
            consensus={one: (each.price, each.exchanges) for one, each in found.consensus.items()},
            deviation=found.deviation,
            frozen={
                pair: pair in still for pair in ((mid.exchange, mid.instrument) for mid in fresh)
            },
            basis=found.basis,
        )

    def close(self) -> None:
        """Remove all series of the comparison."""
        self._registry.close()


def _take_newest(found: dict[tuple[str, str], Feed], feeds: Iterable[Feed]) -> None:
    """Take one feed for each exchange and symbol: of several the one that was heard last."""
    for feed in feeds:
        pair = (feed.subscription.exchange, feed.subscription.instrument)
        if pair not in found or feed.last > found[pair].last:
            found[pair] = feed
