"""The metrics of the states of one exchange's markets."""

from __future__ import annotations

from exporter.listing import ListedMarket
from exporter.maintenance import TradingMode
from exporter.metrics import families as f
from exporter.metrics.registry import Registry


class MarketMeter:
    """Shows each market that is watched: its mode, tick, lot, and times that are announced."""

    def __init__(self, registry: Registry, exchange: str) -> None:
        self._registry, self._exchange = registry, exchange
        self._modes: dict[str, TradingMode] = {}  # those that are shown
        self._changes = registry.counters(f.MARKET_RULE_CHANGES, exchange, values=f.MarketRule)

    def show(self, symbol: str, listed: ListedMarket, now: float) -> None:
        """Show one market as it is at ``now`` (epoch seconds)."""
        shown = self._modes.get(symbol)
        if shown is not listed.mode:
            if shown is not None:
                self._registry.remove(f.MARKET_MODE, self._exchange, symbol, shown)
            self._modes[symbol] = listed.mode
            self._registry.gauge(f.MARKET_MODE, self._exchange, symbol, listed.mode).set(1)
        opening = listed.opening if listed.opening and listed.opening > now else None
        for family, value in (
            (f.MARKET_TICK_SIZE, listed.tick),
            (f.MARKET_LOT_SIZE, listed.lot),
            (f.MARKET_OPENING, opening),
            (f.MARKET_DELISTING, listed.delisting),
        ):
            self._registry.gauge(family, self._exchange, symbol).set(value)

    def changed(self, rule: f.MarketRule) -> None:
        """Count a changed rule of a market."""
        self._changes[rule].inc()

    def forget(self, symbol: str) -> None:
        """Remove the series of a market."""
        if symbol in self._modes:
            mode = self._modes.pop(symbol)
            self._registry.remove(f.MARKET_MODE, self._exchange, symbol, mode)
            for family in (
                f.MARKET_TICK_SIZE, f.MARKET_LOT_SIZE, f.MARKET_OPENING, f.MARKET_DELISTING
            ):  # fmt: skip
                self._registry.remove(family, self._exchange, symbol)
