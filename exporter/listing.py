"""What lists of a venue say of its markets: what may be done there, by which rules, at what price.

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


class ListedPerpetual(msgspec.Struct, frozen=True, gc=False):
    """What a venue says of one perpetual. What it does not say is None.

    ``index`` is what it takes the underlying to be worth and ``mark`` what it values positions by,
    in the quote currency. ``rate`` is what longs pay to shorts at ``next_funding`` (epoch seconds)
    as a ratio of the position, and again every ``interval`` seconds; ``cap`` is the largest size
    that it may have, on the side on which it is.
    """

    symbol: str
    mark: float | None = None
    index: float | None = None
    rate: float | None = None
    interval: float | None = None
    next_funding: float | None = None
    cap: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PerpetualList:
    """One list of perpetuals: ``path`` with its query, and ``body`` where it is asked by POST."""

    path: str
    read: Callable[[bytes], Iterable[ListedPerpetual]]
    body: bytes | None = None
    weight: int = 1


def merged(lists: Iterable[Iterable[ListedPerpetual]]) -> dict[str, ListedPerpetual]:
    """Return what several lists say by symbol; what a later one says stands."""
    found: dict[str, ListedPerpetual] = {}
    for rows in lists:
        for row in rows:
            before = found.get(row.symbol)
            if before is not None:
                said = {n: v for n in row.__struct_fields__ if (v := getattr(row, n)) is not None}
                row = msgspec.structs.replace(before, **said)
            found[row.symbol] = row
    return found
