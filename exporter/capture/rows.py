"""The rows of a block, and the values that all records of one subscription share."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from exporter.model import Event

# Flags of a record.
BUY, SELL, SNAPSHOT, CLOSED, OPEN = 1, 2, 4, 8, 16


class Mark(msgspec.Struct, frozen=True):
    """Something that happened beside the events and that a replay needs to know."""

    name: str
    topic: str = ""
    facts: Mapping[str, str] = {}


class Row(msgspec.Struct, frozen=True, gc=False):
    """One event, of which exchange, and when it was received (epoch seconds).

    ``levels`` of a Depth is a pair (bids, asks) of (price, size) as floats.
    """

    received: float
    exchange: str
    event: Event | Mark


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """What all records of one number in the register share."""

    exchange: str
    topic: str
    symbol: str
    label: str


UNKNOWN = Entry("", "", "", "")
"""An entry that stood in a block which cannot be read; no exchange has no name."""
