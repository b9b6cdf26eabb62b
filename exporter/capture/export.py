"""Captures as CSV: one file a kind of event, a column at a time from the blocks' arrays.

Only CSV, which every tool reads: for Parquet we would need pyarrow, for what pandas does in one
line with these files (`read_csv(...).to_parquet(...)`).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from exporter.capture.codec import Block
from exporter.capture.layouts import KINDS, RecordKind
from exporter.model import Depth, Kline, Quote, Side, Trade

Columns: TypeAlias = Mapping[str, Any]

_FILES: Final[Mapping[type[Any], str]] = {
    Trade: "trades",
    Quote: "quotes",
    Depth: "book",
    Kline: "klines",
}
_SHARED: Final = ("received", "exchange", "label", "topic", "symbol")


def header(kind: RecordKind) -> tuple[str, ...]:
    """Return the columns of one kind of event: those that all have, then its own fields."""
    own = [name for name in kind.event.__struct_fields__[3:] if name != "levels"]
    return (*_SHARED, *own, *(("side", "price", "size") if kind.event is Depth else ()))


def write(blocks: Iterable[Block], folder: Path) -> dict[str, int]:
    """Write a file for each kind of event that there is; return the lines of each.

    Lines are in the order in which events were received; times are epoch seconds. A book has one
    line for each level, with size 0 where one was removed. Raises OSError and CodecError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    counts: dict[str, int] = {}
    with ExitStack() as stack:
        writers: dict[str, Any] = {}
        for block in blocks:
            for kind in KINDS:
                lines = _lines(block, kind)
                name = f"{_FILES[kind.event]}.csv"
                if lines and name not in writers:
                    file = stack.enter_context(
                        (folder / name).open(
                            "w", newline="", encoding="utf-8", errors="backslashreplace"
                        )
                    )
                    writers[name] = csv.writer(file, lineterminator="\n")
                    writers[name].writerow(header(kind))
                    counts[name] = 0
                if lines:
                    writers[name].writerows(lines)
                    counts[name] += len(lines)
    return counts


def _lines(block: Block, kind: RecordKind) -> list[tuple[Any, ...]]:
    """Return the lines of one kind of event in a block."""
    names = header(kind)
    found: list[tuple[int, tuple[Any, ...]]] = []
    for number, section in enumerate(block.sections, start=1):
        if section.kind is not kind or not len(section.records):
            continue
        places = np.flatnonzero(block.order == number)
        columns = section.fields(block.register)
        if kind.event is Depth:
            each = columns["bids"].astype(np.int64) + columns["asks"]
            places = np.repeat(places, each)
            columns = {**_repeated(columns, each), **_levels(columns)}
        listed = (_listed(columns.get(name), len(places)) for name in names)
        found += zip(places.tolist(), zip(*listed, strict=True), strict=True)
    for place, row in zip(np.flatnonzero(block.order == 0).tolist(), block.rare, strict=True):
        if type(row.event) is kind.event:
            found += ((place, line) for line in _rare(row.received, row.exchange, row.event, names))
    found.sort(key=lambda item: item[0])
    return [line for _, line in found]


def _listed(column: Any, length: int) -> list[Any]:
    return [""] * length if column is None else column.tolist()


def _repeated(columns: Columns, counts: Any) -> Columns:
    """Repeat each record's fields for each of its levels."""
    return {name: np.repeat(values, counts) for name, values in columns.items() if name != "levels"}


def _levels(columns: Columns) -> Columns:
    """Return side, price and size of all levels of a section's books, bids first in each book."""
    pairs = np.stack([columns["bids"], columns["asks"]], axis=1).reshape(-1)
    side = np.repeat(np.resize(np.array(["bid", "ask"]), len(pairs)), pairs)
    return {"side": side, "price": columns["levels"][:, 0], "size": columns["levels"][:, 1]}


def _rare(received: float, exchange: str, event: Any, names: tuple[str, ...]) -> Iterator[Any]:
    """Yield the lines of an event that no section could hold."""
    shown = {name: getattr(event, name) for name in event.__struct_fields__}
    plain = {
        name: "" if value is None else value.name.lower() if isinstance(value, Side) else value
        for name, value in shown.items()
    }
    plain |= {"received": received, "exchange": exchange}
    if type(event) is not Depth:
        yield tuple(plain[name] for name in names)
        return
    bids, asks = shown["levels"]
    for side, levels in (("bid", bids), ("ask", asks)):
        for price, size in levels:
            more = {"side": side, "price": price, "size": size}
            yield tuple((plain | more)[name] for name in names)
