"""The levels of a book, in whatever form a venue writes them, and their checksum."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import zip_longest
from typing import Any, TypeAlias
from zlib import crc32

import msgspec
from msgspec import NODEFAULT

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
from exporter.venues.definition.conditions import listed
from exporter.venues.definition.field_shape import ChecksumShape, LevelShape, SideField
from exporter.venues.definition.paths import Fields
from exporter.venues.definition.rest_shape import SnapshotShape
from exporter.venues.definition.shape import FrameShape

Levels: TypeAlias = Sequence[tuple[Any, ...]]
SCALAR = str | int | float | bool | None
Spread: TypeAlias = Callable[..., tuple[Levels, Levels]]


class _TextLevel(msgspec.Struct, array_like=True, gc=False):
    price: str
    size: str


_EMPTY = b"[]", b"null"
_TEXTS = msgspec.json.Decoder(list[tuple[str, str]])
_LONGER_TEXTS = msgspec.json.Decoder(list[_TextLevel])


def spread_levels(
    shape: FrameShape, sides: Callable[[SideField | None], Mapping[Any, Side | None]]
) -> tuple[Spread, bool]:
    """Return what makes bids and asks of a frame's raw levels, and whether the row is a level."""
    level, text = shape.level, shape.checksum is not None
    if level is None:
        decode = _text_pairs if text else level_pairs
        each = partial(_all, decode, text=text)
        return lambda bids, asks: (each(bids), each(asks)), False
    if shape.pairs is not None:
        return _pairs(shape), False
    fields = Fields()
    nothing: Any = "0" if text else 0.0
    fields.want(level.price, str if text else Price)
    fields.want(level.size, str if text else Size, NODEFAULT if level.gone is None else nothing)
    if shape.bids is not None:
        return _two_sides(level, fields, nothing), False
    assert level.side is not None  # noqa: S101 - nothing else tells the sides
    fields.want(level.side.path, SCALAR)
    gone = _gone(level, fields)
    side_of, in_row = sides(level.side), shape.changes is None
    read, get = fields.decoder(many=not in_row).decode, fields.getter()

    def spread(raw: Any) -> tuple[Levels, Levels]:
        found = read(raw)
        bids: list[tuple[Any, ...]] = []
        asks: list[tuple[Any, ...]] = []
        for price, size, side, state in map(get, (found,) if in_row else found):
            row = price, nothing if state in gone else size
            (bids if side_of[side] is Side.BUY else asks).append(row)
        return bids, asks

    return spread, in_row


def _gone(level: LevelShape, fields: Fields) -> frozenset[Any]:
    """Want what tells a level that is taken away; return its values."""
    fields.want(None if level.gone is None else level.gone.path, SCALAR, None)
    return frozenset(() if level.gone is None else listed(level.gone.values))


def _two_sides(level: LevelShape, fields: Fields, nothing: Any) -> Spread:
    """Return what reads bids and asks, each a list of levels, or an object of lists."""
    gone = _gone(level, fields)
    read, get = fields.decoder(many=True).decode, fields.getter()

    def side(raw: Any) -> Levels:
        body = bytes(raw)
        if body in _EMPTY:
            return ()
        if body.startswith(b"{"):
            return _columns(level, json_value(body), text=nothing == "0")
        if not gone:
            return [row[:2] for row in map(get, read(body))]
        return [(p, nothing if state in gone else s) for p, s, state in map(get, read(body))]

    return lambda bids, asks: (side(bids), side(asks))


def _columns(level: LevelShape | None, found: Any, *, text: bool) -> Levels:
    """Read levels of an object: price to size, or a list of prices and one of sizes."""
    if level is None:
        prices, sizes = [*found], [*found.values()]
    else:
        prices, sizes = (json_path(found, path or "") for path in (level.price, level.size))
    if text:
        return [*zip(map(str, prices), map(str, sizes), strict=True)]
    return [*zip(_numbers(prices, Price), _numbers(sizes, Size), strict=True)]


def _numbers(values: Any, kind: Any) -> list[float]:
    found: list[float] = msgspec.convert(values, list[kind], strict=False)
    return found


def _text_pairs(rows: bytes | msgspec.Raw) -> list[tuple[str, str]]:
    """Decode levels of texts (price, size), whatever else follows in each."""
    try:
        return _TEXTS.decode(rows)
    except msgspec.ValidationError:
        return [(each.price, each.size) for each in _LONGER_TEXTS.decode(rows)]


def _all(decode: Callable[[Any], Levels], rows: msgspec.Raw, *, text: bool) -> Levels:
    body = bytes(rows)
    if body.startswith(b"{"):
        return _columns(None, json_value(body), text=text)
    return () if body in _EMPTY else decode(rows)


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

    def side(found: Any) -> Levels:
        return (
            _columns(shape.level, found, text=text)
            if isinstance(found, dict)
            else [*map(level, found)]
        )

    def read(body: bytes, topic: str, symbol: str) -> Depth:
        with reading(f"{venue} book"):
            document = json_value(body)
            last = _number(json_path(document, shape.last), Serial)
            sides = [side(json_path(document, path)) for path in (shape.bids, shape.asks)]
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
