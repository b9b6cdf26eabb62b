"""From rows to the packed sections of a block, one array operation a column."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from exporter.capture import columns as c
from exporter.capture import layouts as at
from exporter.capture.layouts import layout
from exporter.capture.rows import BUY, CLOSED, OPEN, SELL, SNAPSHOT, Mark, Row
from exporter.model import Ack, Control, Depth, Event, Kline, Side, Trade
from exporter.signals import Floats

Key: TypeAlias = tuple[str, str, str, str]  # exchange, topic, symbol, label


class PackedGroup:
    """Rows that carry the same fields, as columns; told apart by what can be narrow."""

    def __init__(
        self, code: int, rows: Sequence[Row], register: Mapping[Key, int], base: float
    ) -> None:
        self._code, self._kind, self._base = code, layout(code).kind, base
        self._events: list[Any] = [row.event for row in rows]
        self._register, self._rows = register, rows
        self._received = np.array([row.received for row in rows], np.float64)
        self._columns: dict[str, Any] = {}
        self._levels: tuple[Floats, Floats] = np.empty(0), np.empty(0)
        self._counts = np.zeros(len(rows), np.int64)
        self._codes = np.full(len(rows), code, np.int64)
        self._places = np.zeros(len(rows), np.uint8)
        if self._kind.event is Depth:
            self._read_levels()
        self._read_decimals(self._kind.prices, 0, at.NARROW_PRICE, shift=4)
        self._read_decimals(self._kind.sizes, 1, at.NARROW_SIZE, shift=0)
        self._read_times()
        self._read_wholes()

    def parts(self) -> Iterator[tuple[int, c.Bools]]:
        """Yield the codes that occur, and which rows are of each."""
        for code in np.unique(self._codes).tolist():
            yield code, self._codes == code

    def pack(self, code: int, chosen: c.Bools) -> tuple[int, bytes]:
        """Return how many levels some rows have, then their records and levels."""
        form = layout(code)
        records = np.zeros(int(chosen.sum()), form.record)
        names = form.record.names or ()
        narrow = code & at.NARROW_RECEIVED
        records["received"] = (self._ahead if narrow else self._received)[chosen]
        rows = [row for row, wanted in zip(self._rows, chosen.tolist(), strict=True) if wanted]
        records["entry"] = [
            self._register[row.exchange, event.topic, event.symbol, event.label]
            for row in rows
            for event in (row.event,)
            if not isinstance(event, Ack | Control | Mark)
        ]
        records["flags"] = [_flags(row.event) for row in rows]
        scales = {"price": self._places[chosen] >> 4, "size": self._places[chosen] & 15}
        if "places" in names:
            records["places"] = self._places[chosen]
        for name, values in self._columns.items():
            kept, part = values[chosen], records.dtype[name]
            if name in self._kind.prices + self._kind.sizes and part.kind == "u":
                sort = "price" if name in self._kind.prices else "size"
                kept = c.whole(kept, c.SCALES[scales[sort]])[0]
            elif name == "time" and code & at.NARROW_TIME:
                kept = c.near(c.bits(kept), c.bits(self._received[chosen]))[0]
            elif name in self._kind.near and code & at.NARROW_WHOLE:
                kept = c.near(kept, self._columns[self._kind.anchor][chosen])[0]
            records[name] = kept
        if self._kind.event is not Depth:
            return 0, records.tobytes()
        counts, mine = self._counts[chosen], np.repeat(chosen, self._counts)
        packed = [records.tobytes()]
        for values, sort in zip(self._levels, ("price", "size"), strict=True):
            kept = values[mine]
            if getattr(form, sort).kind == "u":
                kept = c.whole(kept, np.repeat(c.SCALES[scales[sort]], counts))[0]
            packed.append(kept.astype(getattr(form, sort)).tobytes())
        return int(counts.sum()), b"".join(packed)

    def _read_levels(self) -> None:
        pairs: list[tuple[float, float]] = []
        bids, asks = [], []
        for event in self._events:
            buys, sells = event.levels
            pairs += buys
            pairs += sells
            bids.append(len(buys))
            asks.append(len(sells))
        flat = np.array(pairs, np.float64).reshape(-1, 2)
        self._levels = np.ascontiguousarray(flat[:, 0]), np.ascontiguousarray(flat[:, 1])
        self._columns["bids"], self._columns["asks"] = np.array(bids), np.array(asks)
        self._counts = self._columns["bids"] + self._columns["asks"]

    def _read_decimals(self, names: Iterable[str], level: int, narrow: int, *, shift: int) -> None:
        names = [name for name in names if at.has(self._kind, self._code, name)]
        for name in names:
            self._columns[name] = self._column(name, np.float64)
        if names:
            places, fits = c.most_places([self._columns[name] for name in names])
        elif self._kind.event is Depth:
            places, fits = c.group_places(self._levels[level], self._counts)
            fits &= np.maximum(self._columns["bids"], self._columns["asks"]) <= at.COUNT_LIMIT
        else:
            return
        self._codes[fits] |= narrow
        self._places |= np.where(fits, places, 0).astype(np.uint8) << shift

    def _read_times(self) -> None:
        received = c.bits(self._received)
        self._ahead, fits = c.near(received, c.bits(np.array([self._base])))
        self._codes[fits] |= at.NARROW_RECEIVED
        if self._kind.event is Kline:
            self._columns["start"] = self._column("start", np.float64)
        if at.has(self._kind, self._code, "time"):
            self._columns["time"] = self._column("time", np.float64)
            fits = c.near(c.bits(self._columns["time"]), received)[1]
            self._codes[fits] |= at.NARROW_TIME

    def _read_wholes(self) -> None:
        kind = self._kind
        present = [name for name in kind.wholes if at.has(kind, self._code, name)]
        for name in present:
            self._columns[name] = self._column(name, np.int64)
        near = [name for name in kind.near if name in present]
        if near and kind.anchor in present:
            anchor = self._columns[kind.anchor]
            fits = np.logical_and.reduce([c.near(self._columns[n], anchor)[1] for n in near])
            self._codes[fits] |= at.NARROW_WHOLE

    def _column(self, name: str, sort: type[Any]) -> Any:
        return np.array([getattr(event, name) for event in self._events], sort)


def _flags(event: Event | Mark) -> int:
    match event:
        case Trade(side=side, snapshot=snapshot):
            taker = 0 if side is None else BUY if side is Side.BUY else SELL
            return taker | (SNAPSHOT if snapshot else 0)
        case Depth(snapshot=snapshot):
            return SNAPSHOT if snapshot else 0
        case Kline(closed=closed):
            return 0 if closed is None else CLOSED if closed else OPEN
    return 0
