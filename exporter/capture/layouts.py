"""Which bytes a record has: one fixed, packed, little-endian layout for each code.

A code says what kind of event its records are, which of the fields that may be None they carry,
and which columns are narrow. Fields that a venue does not send take no bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from exporter.model import Depth, Kline, Quote, Trade


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordKind:
    """One kind of event. ``optional`` are the fields that may be None, in the order of bits.

    Of the whole numbers ``near`` ones may stand as differences from the ``anchor``.
    """

    number: int
    event: type[Any]
    prices: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()
    optional: tuple[str, ...]
    wholes: tuple[str, ...] = ()
    anchor: str = ""
    near: tuple[str, ...] = ()


KINDS = (
    RecordKind(
        number=0,
        event=Trade,
        prices=("price",),
        sizes=("size",),
        optional=("time", "sequence", "order"),
        wholes=("sequence", "order"),
    ),
    RecordKind(
        number=1,
        event=Quote,
        prices=("bid", "ask"),
        sizes=("bid_size", "ask_size"),
        optional=("time", "bid_size", "ask_size", "sequence"),
        wholes=("sequence",),
    ),
    RecordKind(
        number=2,
        event=Depth,
        optional=("time", "first", "last", "previous", "order", "checksum"),
        wholes=("last", "order", "checksum", "first", "previous"),
        anchor="last",
        near=("first", "previous"),
    ),
    RecordKind(
        number=3,
        event=Kline,
        prices=("close",),
        optional=("time",),
    ),
)
KIND_OF: Mapping[type[Any], RecordKind] = {kind.event: kind for kind in KINDS}

# A code's bits: kind, narrow columns, then which optional fields there are.
NARROW_RECEIVED, NARROW_TIME, NARROW_PRICE, NARROW_SIZE, NARROW_WHOLE = 4, 8, 16, 32, 64
_OPTIONAL_SHIFT = 7
COUNT_LIMIT = 0xFFFF  # levels a side whose number a narrow Depth can hold


def bit(kind: RecordKind, name: str) -> int:
    """Return the bit that says whether an optional field is there."""
    return 1 << (_OPTIONAL_SHIFT + kind.optional.index(name))


def has(kind: RecordKind, code: int, name: str) -> bool:
    """Return whether records of this code carry the field."""
    return name not in kind.optional or bool(code & bit(kind, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A code's ``kind``, the ``record``'s dtype, and that of one number of a Depth's levels."""

    kind: RecordKind
    record: np.dtype[Any]
    price: np.dtype[Any]
    size: np.dtype[Any]


@cache
def layout(code: int) -> Layout:
    """Return the layout of a code. Raises ValueError for one that nothing would be written with."""
    kind = KINDS[code & 3]
    present = [name for name in kind.optional if code & bit(kind, name)]
    if code >> (_OPTIONAL_SHIFT + len(kind.optional)):
        raise ValueError(f"layout {code:#x} has fields that nobody knows")
    price, size = (np.dtype("<u4" if code & b else "<f8") for b in (NARROW_PRICE, NARROW_SIZE))
    received = "<i4" if code & NARROW_RECEIVED else "<f8"
    fields: list[tuple[str, Any]] = [("received", received), ("entry", "<u2"), ("flags", "u1")]
    if code & (NARROW_PRICE | NARROW_SIZE):
        fields.append(("places", "u1"))  # of prices in the high half, of sizes in the low one
    if "time" in present:
        fields.append(("time", "<i4" if code & NARROW_TIME else "<f8"))
    fields += [(name, price) for name in kind.prices]
    fields += [(name, size) for name in kind.sizes if has(kind, code, name)]
    for name in kind.wholes:
        if name in present:
            narrow = code & NARROW_WHOLE and name in kind.near
            fields.append((name, "<i4" if narrow else "<i8"))
    if kind.event is Kline:
        fields.append(("start", "<f8"))
    if kind.event is Depth:
        count = "<u2" if code & NARROW_PRICE else "<u4"
        fields += [("bids", count), ("asks", count)]
    return Layout(kind=kind, record=np.dtype(fields), price=price, size=size)
