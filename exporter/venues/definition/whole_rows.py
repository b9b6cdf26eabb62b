"""Rows that are one object, read as parts of their frame: for definitions that do both.

Where one kind of frame has its fields in ``data`` and another takes a part of ``data``, the place
would be read as one value and by its parts. The fields are then named from the frame's beginning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from exporter.venues.definition.field_shape import ChecksumShape, SideField, SymbolField, TimeField
from exporter.venues.definition.shape import ChannelShape, FrameShape, VenueShape

_TEXTS = {
    "price", "size", "id", "sequence", "bid", "ask", "bid_size", "ask_size", "bids", "asks",
    "changes", "pairs", "first", "last", "previous", "close", "closed",
}  # fmt: skip


def unrolled(shape: VenueShape) -> VenueShape:
    """Return the definition with every single row's fields named from the frame's beginning."""
    made = {name: _channel(each) for name, each in shape.channels.given.items()}
    return replace(shape, channels=replace(shape.channels, **made))


def _channel(channel: ChannelShape) -> ChannelShape:
    return replace(channel, frames=tuple(map(_frame, channel.frames)))


def _frame(frame: FrameShape) -> FrameShape:
    # Where the row itself is a level, its fields are the level's.
    level_alone = frame.level is not None and not (frame.bids or frame.changes or frame.pairs)
    if frame.row is None or level_alone:
        return frame
    changed: dict[str, Any] = {"row": None}
    for each in fields(frame):
        value = getattr(frame, each.name)
        match value:
            case str() if each.name in _TEXTS:
                changed[each.name] = _from_frame(frame.row, value)
            case SymbolField() | TimeField() | SideField() | ChecksumShape():
                changed[each.name] = replace(value, path=_from_frame(frame.row, value.path))
            case Mapping() if each.name in ("snapshot_when", "apart"):
                changed[each.name] = {_from_frame(frame.row, at): v for at, v in value.items()}
    return replace(frame, **changed)


def _from_frame(row: str, path: str) -> str:
    return path[2:] if path.startswith("$.") else f"{row.removeprefix('$.')}.{path}"
