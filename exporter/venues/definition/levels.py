"""The levels of a book, in whatever form a venue writes them, and their checksum."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import Any, TypeAlias
from zlib import crc32

import msgspec

from exporter.decoding import DOUBTFUL, ParseError, Price, Size, unreadable
from exporter.model import Depth, Side
from exporter.venues.definition.paths import Fields
from exporter.venues.definition.shape import ChecksumShape, FrameShape, SideField

Levels: TypeAlias = Sequence[tuple[Any, ...]]
Spread: TypeAlias = Callable[..., tuple[Levels, Levels]]
_PAIRS = msgspec.json.Decoder(list[tuple[Price, Size]] | None, strict=False)
_TEXTS = msgspec.json.Decoder(list[tuple[str, str]] | None)


def spread_levels(
    shape: FrameShape, sides: Callable[[SideField | None], Mapping[Any, Side | None]]
) -> tuple[Spread, bool]:
    """Return what makes bids and asks of a frame's raw levels, and whether the row is a level."""
    level, text = shape.level, shape.checksum is not None
    if level is None:
        decode = (_TEXTS if text else _PAIRS).decode
        return lambda bids, asks: (decode(bids) or (), decode(asks) or ()), False
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


def checksum(shape: ChecksumShape) -> Callable[[Levels, Levels], int]:
    """Return what sums up the best levels."""
    depth, between = shape.levels, shape.separator

    def summed(bids: Levels, asks: Levels) -> int:
        pairs = zip_longest(bids[:depth], asks[:depth])
        numbers = (number for pair in pairs for level in filter(None, pair) for number in level)
        found = crc32(between.join(numbers).encode())
        return found - (1 << 32) if shape.signed and found >= 1 << 31 else found

    return summed
