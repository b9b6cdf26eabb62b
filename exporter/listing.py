"""What lists of a venue say of its markets: what may be done there, by which rules.

No I/O, no clock, no state. Times in epoch seconds, ticks in the market's quote currency.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from exporter.instrument import Product
from exporter.maintenance import TradingMode


class ListedMarket(msgspec.Struct, frozen=True, gc=False):
    """One market as a venue lists it. What the venue does not say is None.

    ``status`` is in the venue's own words, for the log. ``lot`` is in what orders are counted in
    there: the base currency, or contracts. ``delisting`` is an end that was announced, not the
    end that a dated contract has by its name; ``opening`` is when trading begins.
    """

    symbol: str
    mode: TradingMode
    status: str = ""
    tick: float | None = None
    lot: float | None = None
    opening: float | None = None
    delisting: float | None = None


ReadListed: TypeAlias = Callable[[bytes], Iterable[ListedMarket]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketStates:
    """Where a venue tells the states of its markets: in its lists of markets, all of them.

    ``query`` is appended to the path of such a list, for an answer that is shorter or names more.
    """

    read: ReadListed
    query: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeLists:
    """Where a venue tells what each market of a class traded in a day, one list a class.

    ``read`` gives it by symbol, or by `Market.alias`, in the quote currency.
    """

    paths: Mapping[Product, str]
    read: Callable[[bytes], Mapping[str, float]]
    weight: int = 1
