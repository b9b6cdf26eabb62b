# ruff: noqa: RUF009 - `key` gives a dataclass field, it is not evaluated later
"""The keys of a definition about single fields of a frame: times, symbols, sides, levels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from exporter.config.kinds import Mistake, Reading, boolean, choice, integer, text
from exporter.config.section import REQUIRED, Section, key
from exporter.venues.definition.kinds import FIELD, UNIT, ZONE, ValuesKind


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeField:
    """Where a time stands in a frame, and in which unit."""

    path: str = key(FIELD, REQUIRED, "Where it stands.")
    unit: str = key(UNIT, "ms", "Epoch in s, ms, us or ns, or iso (ISO 8601).")
    zone: str | None = key(ZONE, None, "The zone of an ISO time that names none; else UTC.")
    optional: bool = key(boolean(), False, "It may be missing.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolField:
    """Where a symbol stands in a frame."""

    path: str = key(FIELD, REQUIRED, "Where it stands, alone or within another text.")
    within: str | None = key(
        text("a text with {symbol} in it", r"[!-~]*\{symbol\}[!-~]*"),
        None,
        "The text in which it stands: trades.{symbol}.raw.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SideField:
    """Which side the taker of a trade was on, or a level of a book stands on."""

    path: str = key(FIELD, REQUIRED, "Where it stands.")
    buy: Any = key(ValuesKind(), None, "Its values (one or a list) for a buyer, or a bid.")
    sell: Any = key(ValuesKind(), None, "Its values (one or a list) for a seller, or an ask.")
    sign: bool = key(boolean(), False, "It is a number: below zero for a seller.")

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Complain unless both sides can be told."""
        if self.sign != (self.buy is None) or self.sign != (self.sell is None):
            yield Mistake((), "expected buy and sell, or sign: true alone")


@dataclass(frozen=True, slots=True, kw_only=True)
class GoneField:
    """What tells a level that is taken away, where that is no size of 0."""

    path: str = key(FIELD, REQUIRED, "Where in the level it stands.")
    values: Any = key(ValuesKind(), REQUIRED, "Its values, one or a list, that take a level away.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelShape:
    """How one level of a book is written."""

    price: str | None = key(FIELD, None, "Where in the level the price stands.")
    size: str | None = key(FIELD, None, "Where the size stands; 0 takes the level away.")
    side: SideField | None = key(
        Section(SideField), None, "Which side it is on, where both stand in one list (changes)."
    )
    gone: GoneField | None = key(
        Section(GoneField), None, "What takes it away beside a size of 0: {path: op, values: del}."
    )
    bid: str | None = key(FIELD, None, "The bid's price, where a level is a pair (pairs).")
    bid_size: str | None = key(FIELD, None, "The bid's size.")
    ask: str | None = key(FIELD, None, "The ask's price.")
    ask_size: str | None = key(FIELD, None, "The ask's size.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecksumShape:
    """A CRC-32 of the best levels, in the digits of the wire."""

    path: str = key(FIELD, REQUIRED, "Where it stands; 0 stands for none.")
    levels: int = key(integer(1, 25), 25, "How many levels of each side it covers.")
    order: str = key(
        choice("turns", "bids_asks", "asks_bids"), "turns", "A bid and an ask in turn, or by side."
    )
    bare: bool = key(boolean(), False, "Of each number only the digits, without leading zeros.")
    separator: str = key(text("a text of at most 3 characters", r".{0,3}"), ":", "Between numbers.")
    signed: bool = key(boolean(), True, "It is sent as a signed number.")
