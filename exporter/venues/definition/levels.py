"""The levels of a book, in whatever form a venue writes them, and their checksum."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any, TypeAlias
from zlib import crc32

import msgspec

from exporter.decoding import (
    DOUBTFUL,
    ParseError,
    Price,
    Serial,
    Size,
    json_path,
    json_value,
    level_pairs,
    reading,
    unreadable,
)
from exporter.model import Depth, Side
from exporter.venues.definition.field_shape import ChecksumShape, SideField
from exporter.venues.definition.paths import Fields
from exporter.venues.definition.rest_shape import SnapshotShape
from exporter.venues.definition.shape import FrameShape

Levels: TypeAlias = Sequence[tuple[Any, ...]]
Spread: TypeAlias = Callable[..., tuple[Levels, Levels]]


class _TextLevel(msgspec.Struct, array_like=True, gc=False):
    price: str
    size: str


_TEXTS = msgspec.json.Decoder(list[tuple[str, str]])
_LONGER_TEXTS = msgspec.json.Decoder(list[_TextLevel])


def spread_levels(
    shape: FrameShape, sides: Callable[[SideField | None], Mapping[Any, Side | None]]
) -> tuple[Spread, bool]:
    """Return what makes bids and asks of a frame's raw levels, and whether the row is a level."""
    level, text = shape.level, shape.checksum is not None
    if level is None:
        decode = _text_pairs if text else level_pairs
        return lambda bids, asks: (_all(decode, bids), _all(decode, asks)), False
    if shape.pairs is not None:
        return _pairs(shape), False
    fields = Fields()
    fields.want(level.price, str if text else Price)
    fields.want(level.size, str if text else Size)
    if shape.bids is not None:
        read, get = fields.decoder(many=True).decode, fields.getter()
        return lambda bids, asks: ([*map(get, read(bids))], [*map(get, read(asks))]), False
    assert level.side is not None  # noqa: S101 - nothing else tells the sides
    fields.want(level.side.path, str | int | float | bool | None)
    side_of, in_row = sides(level.side), shape.changes is None
    read, get = fields.decoder(many=not in_row).decode, fields.getter()

    def spread(raw: Any) -> tuple[Levels, Levels]:
        found = read(raw)
        bids: list[tuple[Any, ...]] = []
        asks: list[tuple[Any, ...]] = []
        for price, size, side in map(get, (found,) if in_row else found):
            (bids if side_of[side] is Side.BUY else asks).append((price, size))
        return bids, asks

    return spread, in_row


def _text_pairs(rows: bytes | msgspec.Raw) -> list[tuple[str, str]]:
    """Decode levels of texts (price, size), whatever else follows in each."""
    try:
        return _TEXTS.decode(rows)
    except msgspec.ValidationError:
        return [(each.price, each.size) for each in _LONGER_TEXTS.decode(rows)]


def _all(decode: Callable[[Any], Levels], rows: msgspec.Raw) -> Levels:
    return () if len(bytes(rows)) <= len(b"null") else decode(rows)


def _pairs(shape: FrameShape) -> Spread:
    level, fields = shape.level, Fields()
    assert level is not None  # noqa: S101 - what has pairs says how they are written
    for price, size in ((level.bid, level.bid_size), (level.ask, level.ask_size)):
        fields.want(price, Size)  # 0 where that side has fewer levels
        fields.want(size, Size)
    read, get = fields.decoder(many=True).decode, fields.getter()

    def spread(raw: Any) -> tuple[Levels, Levels]:
        rows = [*map(get, read(raw))]
        return [row[:2] for row in rows if row[0]], [row[2:] for row in rows if row[2]]

    return spread


def levels(event: Depth) -> tuple[Levels, Levels]:
    """Decode bids and asks. Raises ParseError."""
    try:
        match event.levels:
            case (spread, *raw) if callable(spread):
                found: tuple[Levels, Levels] = spread(*raw)
                return found
            case (list() as bids, list() as asks):  # a snapshot over REST
                return bids, asks
    except DOUBTFUL as error:
        raise unreadable("levels", error) from error
    raise ParseError("levels of another venue")


def read_snapshot(
    venue: str, shape: SnapshotShape, text: bool
) -> Callable[[bytes, str, str], Depth]:
    """Return what reads a book over REST; ``text``: its levels as the wire's own texts."""
    price, size = ("0", "1") if shape.level is None else (shape.level.price, shape.level.size)

    def level(row: Any) -> tuple[Any, Any]:
        found = json_path(row, price or ""), json_path(row, size or "")
        if text:
            return str(found[0]), str(found[1])
        return _number(found[0], Price), _number(found[1], Size)

    def read(body: bytes, topic: str, symbol: str) -> Depth:
        with reading(f"{venue} book"):
            document = json_value(body)
            last = _number(json_path(document, shape.last), Serial)
            sides = [[*map(level, json_path(document, path))] for path in (shape.bids, shape.asks)]
            return Depth("snapshot", topic, symbol, None, tuple(sides), True, None, last)

    return read


def _number(value: Any, kind: Any) -> Any:
    return msgspec.convert(value, kind, strict=False)


def checksum(shape: ChecksumShape) -> Callable[[Levels, Levels], int]:
    """Return what sums up the best levels."""
    depth, between = shape.levels, shape.separator

    def in_order(bids: Levels, asks: Levels) -> Iterable[Any]:
        bids, asks = bids[:depth], asks[:depth]
        match shape.order:
            case "turns":
                return filter(None, (level for pair in zip_longest(bids, asks) for level in pair))
            case "bids_asks":
                return (*bids, *asks)
        return (*asks, *bids)

    def summed(bids: Levels, asks: Levels) -> int:
        numbers = (number for level in in_order(bids, asks) for number in level)
        if shape.bare:
            numbers = (number.replace(".", "").lstrip("0") for number in numbers)
        found = crc32(between.join(numbers).encode())
        return found - (1 << 32) if shape.signed and found >= 1 << 31 else found

    return summed
