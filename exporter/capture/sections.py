"""Packed sections of a block, viewed as arrays; from there to events, a column at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any, TypeAlias

import numpy as np

from exporter.capture import columns as c
from exporter.capture import layouts as at
from exporter.capture.layouts import RecordKind, layout
from exporter.capture.rows import BUY, CLOSED, OPEN, SELL, SNAPSHOT, Entry
from exporter.model import Depth, Side
from exporter.signals import Floats

Levels: TypeAlias = tuple[list[tuple[float, float]], list[tuple[float, float]]]
_SIDES = (None, Side.BUY, Side.SELL)
_ENDS = {0: None, CLOSED: True, OPEN: False}


@dataclass(frozen=True, slots=True)
class RecordSection:
    """Records of one layout; ``prices`` and ``sizes`` are a Depth's levels as they were stored."""

    code: int
    records: Any
    prices: Any
    sizes: Any
    base: float

    @property
    def kind(self) -> RecordKind:
        """What its records are."""
        return layout(self.code).kind

    def only(self, chosen: Any) -> RecordSection:
        """Return the records that a mask of shape (n,) names, with their levels."""
        records, prices, sizes = self.records[chosen], self.prices, self.sizes
        if self.kind.event is Depth:
            counts = self.records["bids"].astype(np.int64) + self.records["asks"]
            levels = np.repeat(chosen, counts)
            prices, sizes = prices[levels], sizes[levels]
        return replace(self, records=records, prices=prices, sizes=sizes)

    def columns(self) -> dict[str, Any]:
        """Return all present fields as arrays of shape (n,), times in epoch seconds.

        Of a Depth also ``levels``, shape (m, 2): price and size of all records, bids first.
        """
        kind, records = self.kind, self.records
        found = {name: records[name] for name in records.dtype.names}
        for names, narrow in ((kind.prices, at.NARROW_PRICE), (kind.sizes, at.NARROW_SIZE)):
            if self.code & narrow:
                scale = self._scale(narrow)
                found |= {name: found[name] / scale for name in names if name in found}
        if self.code & at.NARROW_RECEIVED:
            bits = c.bits(np.array([self.base])) + found["received"]
            found["received"] = bits.view(np.float64)
        if "time" in found and self.code & at.NARROW_TIME:
            bits = c.bits(np.ascontiguousarray(found["received"])) + found["time"]
            found["time"] = bits.view(np.float64)
        if self.code & at.NARROW_WHOLE:
            anchor = found[kind.anchor]
            found |= {name: anchor + found[name] for name in kind.near if name in found}
        if kind.event is Depth:
            found["levels"] = self._levels(found["bids"].astype(np.int64) + found["asks"])
        return found

    def fields(self, register: Sequence[Entry]) -> dict[str, Any]:
        """Return `columns`, and the names and words that they stand for, as arrays of objects."""
        found = self.columns()
        entries = [register[number] for number in found["entry"].tolist()]
        for name in ("exchange", "label", "topic", "symbol"):
            found[name] = np.array([getattr(each, name) for each in entries], object)
        flags = found["flags"].tolist()
        found["snapshot"] = np.array([bool(each & SNAPSHOT) for each in flags], object)
        if "side" in self.kind.event.__struct_fields__:
            sides = [_SIDES[each & 3] for each in flags]
            found["side"] = np.array(
                ["" if each is None else each.name.lower() for each in sides], object
            )
        if "closed" in self.kind.event.__struct_fields__:
            ends = [_ENDS[each & (CLOSED | OPEN)] for each in flags]
            found["closed"] = np.array(["" if each is None else each for each in ends], object)
        return found

    def _scale(self, narrow: int) -> Floats:
        places = self.records["places"]
        scale: Floats = c.SCALES[places >> 4 if narrow == at.NARROW_PRICE else places & 15]
        return scale

    def _levels(self, counts: c.Ints) -> Floats:
        flat = np.empty((len(self.prices), 2))
        for side, stored, narrow in (
            (0, self.prices, at.NARROW_PRICE),
            (1, self.sizes, at.NARROW_SIZE),
        ):
            if self.code & narrow:
                np.divide(stored, np.repeat(self._scale(narrow), counts), out=flat[:, side])
            else:
                flat[:, side] = stored
        return flat

    def events(self, register: Sequence[Entry]) -> Iterator[tuple[float, str, Any]]:
        """Return received time, exchange and event of each record."""
        found = {
            name: values.tolist() for name, values in self.columns().items() if name != "levels"
        }
        entries = [register[number] for number in found["entry"]]
        shared = (
            [entry.label for entry in entries],
            [entry.topic for entry in entries],
            [entry.symbol for entry in entries],
        )
        absent = repeat(None)
        events = map(self.kind.event, *shared, *self._fields(found, absent))
        return zip(found["received"], (entry.exchange for entry in entries), events, strict=True)

    def _fields(self, found: Mapping[str, Any], absent: Iterable[None]) -> list[Iterable[Any]]:
        """Return the columns of an event's further fields, in the order of its declaration."""
        flags = found["flags"]
        made: dict[str, Iterable[Any]] = {
            "snapshot": [bool(each & SNAPSHOT) for each in flags],
            "side": map(_SIDES.__getitem__, (each & 3 for each in flags)),
            "closed": map(_ENDS.__getitem__, (each & (CLOSED | OPEN) for each in flags)),
        }
        if self.kind.event is Depth:
            made["levels"] = self._pairs(found["bids"], found["asks"])
        names = self.kind.event.__struct_fields__[3:]
        return [made.get(name) or found.get(name, absent) for name in names]

    def _pairs(self, bids: Sequence[int], asks: Sequence[int]) -> Iterator[Levels]:
        flat = self._levels(self.records["bids"].astype(np.int64) + self.records["asks"])
        pairs = list(zip(flat[:, 0].tolist(), flat[:, 1].tolist(), strict=True))
        start = 0
        for buys, sells in zip(bids, asks, strict=True):
            middle, end = start + buys, start + buys + sells
            yield pairs[start:middle], pairs[middle:end]
            start = end


def cut(
    payload: bytes, offset: int, code: int, count: int, levels: int, base: float
) -> tuple[RecordSection, int]:
    """Cut one section out of a payload; give where it ends. Raises ValueError."""
    form = layout(code)
    records = np.frombuffer(payload, form.record, count, offset)
    offset += records.nbytes
    flags = int(np.bitwise_or.reduce(records["flags"])) if count else 0
    if flags & ~(BUY | SELL | SNAPSHOT | CLOSED | OPEN):
        raise ValueError("a record with unknown flags")
    prices = np.frombuffer(payload, form.price, levels, offset)
    offset += prices.nbytes
    sizes = np.frombuffer(payload, form.size, levels, offset)
    offset += sizes.nbytes
    names = form.record.names or ()
    counted = sum(int(records[n].sum(dtype=np.int64)) for n in ("bids", "asks") if n in names)
    if counted != levels:
        raise ValueError("a book whose levels do not fit")
    return RecordSection(code, records, prices, sizes, base), offset
