"""The config keys of the liquidity of order books."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from exporter.config.instruments import INSTRUMENT
from exporter.config.kinds import number
from exporter.config.section import ListKind, key


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidityConfig:
    """What to measure of the order books, once a tick; nothing while both lists are empty."""

    bps: tuple[float, ...] = key(
        ListKind(number(0.1, 5000), most=10, unique="", rising=True),
        [],
        "Distances from the mid price, in basis points, within which the depth of each side is "
        "measured.",
    )
    sizes: tuple[float, ...] = key(
        ListKind(number(1e-9, 1e15), most=10, unique="", rising=True),
        [],
        "Sizes of market orders, in the quote currency, whose slippage is measured on each side.",
    )
    symbols: tuple[str, ...] = key(
        ListKind(INSTRUMENT, most=1000, unique=""),
        [],
        "Symbols to measure. Default: all symbols with an order book.",
    )

    @property
    def wanted(self) -> bool:
        """Return whether anything is measured."""
        return bool(self.bps or self.sizes)

    def covers(self, instrument: str) -> bool:
        """Return whether an instrument's book is measured."""
        symbols: Collection[str] = self.symbols
        return self.wanted and (not symbols or instrument in symbols)
