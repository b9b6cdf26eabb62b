"""Market-data events as compact binary blocks: fixed records, read as arrays without a loop.

A block is what was seen since the one before. It holds one section per layout (see `layouts`),
each a packed array of records that numpy views in place; a byte per row that says from which
section it is, so that the order survives; and as JSON what is rare: control messages, marks, and
events that no record can hold (a number beyond 64 bits, say). Exchange, topic, symbol and label of
an event are one number in a register that grows from block to block: an `Encoder` and a `Decoder`
go through the same blocks in the same order, and begin anew together.

Prices and sizes come back bit for bit as the floats they were. Their *text* is lost, and with it
what a venue's book checksum is made of: the checksum is kept, but cannot be verified any more.

payload: version u16, sections u8, 0, rows u32, register size before u32, bytes of new register
entries u32, bytes of rare rows u32, base time f64; for each section code u16, records u32, levels
u32; one byte per row (0: rare, else the section counted from 1); entries, rare rows; each section's
records, prices and sizes of levels. All little-endian. Its container (`segments`) has a checksum.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from exporter.capture import layouts as at
from exporter.capture import sections as read
from exporter.capture.packing import Key, PackedGroup
from exporter.capture.rows import UNKNOWN, Entry, Mark, Row
from exporter.capture.sections import Levels, RecordSection
from exporter.model import Ack, Control, Depth, Kline, Message, Quote, Trade

__all__ = [
    "VERSION",
    "Block",
    "CodecError",
    "Decoder",
    "Encoder",
    "Entry",
    "Levels",
    "Mark",
    "RecordSection",
    "Row",
    "sides",
]

VERSION = 1
_HEAD = struct.Struct("<HBxIIIId")
_SECTION = struct.Struct("<HII")
_MOST_SECTIONS = 255
_MOST_ENTRIES = 1 << 16
_RARE: Mapping[str, type[Any]] = {
    each.__name__: each for each in (Trade, Quote, Depth, Kline, Message, Ack, Control, Mark)
}


class CodecError(ValueError):
    """Bytes that are no block, a block of another version, or not the next one."""


def sides(event: Depth) -> Levels:
    """Return the (bids, asks) of a Depth that a `Decoder` made, in place of a venue's `levels`."""
    match event.levels:
        case (list() as bids, list() as asks):
            return bids, asks
    raise TypeError(f"levels that are not decoded: {type(event.levels).__name__}")


# --- writing ------------------------------------------------------------------------------------


class Encoder:
    """Makes blocks of rows. A new one begins a new register."""

    def __init__(self) -> None:
        self._register: dict[Key, int] = {}

    def encode(self, rows: Sequence[Row]) -> bytes:
        """Return the block of some rows, in their order. Raises TypeError for undecoded levels."""
        before = len(self._register)
        base = rows[0].received if rows else 0.0
        order = np.zeros(len(rows), np.uint8)
        groups: dict[int, list[int]] = {}
        for at_row, row in enumerate(rows):
            code = self._code(row)
            if code is not None:
                groups.setdefault(code, []).append(at_row)
        sections: list[tuple[int, int, int, bytes]] = []
        for widest, members in groups.items():
            group = PackedGroup(widest, [rows[i] for i in members], self._register, base)
            for code, chosen in group.parts():
                if len(sections) == _MOST_SECTIONS:
                    break  # nobody's traffic has so many layouts; the rest is written as JSON
                order[np.array(members)[chosen]] = len(sections) + 1
                sections.append((code, int(chosen.sum()), *group.pack(code, chosen)))
        rare = [
            _plain(row) for row, section in zip(rows, order.tolist(), strict=True) if not section
        ]
        entries = list(self._register)[before:]
        texts = [
            json.dumps(each, separators=(",", ":"), default=msgspec.to_builtins).encode()
            for each in (entries, rare)
        ]
        lengths = map(len, texts)
        head = _HEAD.pack(VERSION, len(sections), len(rows), before, *lengths, base)
        table = b"".join(_SECTION.pack(*section[:3]) for section in sections)
        bodies = (section[3] for section in sections)
        return b"".join((head, table, order.tobytes(), *texts, *bodies))

    def _code(self, row: Row) -> int | None:
        """Return the layout that a row needs at its widest; None for JSON."""
        event: Any = row.event
        kind = at.KIND_OF.get(type(event))
        if kind is None:
            return None
        code = kind.number
        for name in kind.optional:
            if getattr(event, name) is not None:
                code |= at.bit(kind, name)
        for name in kind.wholes:
            number = getattr(event, name)
            if number is not None and not -(1 << 63) <= number < 1 << 63:
                return None
        key = (row.exchange, event.topic, event.symbol, event.label)
        if key not in self._register:
            if len(self._register) == _MOST_ENTRIES:
                return None
            self._register[key] = len(self._register)
        return code


def _plain(row: Row) -> list[Any]:
    fields = msgspec.structs.asdict(row.event)
    if isinstance(row.event, Control):  # mostly what is not said
        fields = {name: value for name, value in fields.items() if value not in (None, False, 0)}
    if isinstance(row.event, Trade) and row.event.side is not None:
        fields["side"] = row.event.side.value
    return [row.received, row.exchange, type(row.event).__name__, fields]


# --- reading ------------------------------------------------------------------------------------


class Decoder:
    """Reads blocks in the order in which one `Encoder` made them.

    ``holed``: some of them may be missing. Of those that follow, records whose register entry was
    in one of them are left out, and counted in ``unknown``.
    """

    def __init__(self, *, holed: bool = False) -> None:
        self.register: list[Entry] = []
        self.unknown = 0
        self._holed, self._gaps = holed, False

    def decode(self, payload: bytes) -> Block:
        """Return a block as arrays. Raises CodecError, and then has learnt nothing."""
        try:
            return self._decode(payload)
        except CodecError:
            raise
        except (
            struct.error,
            ValueError,
            KeyError,
            IndexError,
            TypeError,
            OverflowError,
            RecursionError,
        ) as error:
            raise CodecError(f"no block: {error}"[:200]) from error

    def _decode(self, payload: bytes) -> Block:
        version, count, rows, before, entries_size, rare_size, base = _HEAD.unpack_from(payload)
        if version != VERSION:
            raise CodecError(f"a block of version {version}, expected {VERSION}")
        missing = before - len(self.register)
        if missing < 0 or (missing and not self._holed) or before > _MOST_ENTRIES:
            raise CodecError("a block that does not follow the one before")
        offset = _HEAD.size
        table = [_SECTION.unpack_from(payload, offset + i * _SECTION.size) for i in range(count)]
        offset += count * _SECTION.size
        order = np.frombuffer(payload, np.uint8, rows, offset)
        offset += rows
        names = json.loads(payload[offset : offset + entries_size])
        entries = msgspec.convert(names, list[Entry])
        offset += entries_size
        rare = [_row(each) for each in json.loads(payload[offset : offset + rare_size])]
        offset += rare_size
        known = before + len(entries)
        sections = []
        for code, records, levels in table:
            section, offset = read.cut(payload, offset, code, records, levels, base)
            if records and int(section.records["entry"].max()) >= known:
                raise CodecError("a record that is not in the register")
            sections.append(section)
        wanted = [len(rare), *(len(section.records) for section in sections)]
        found = np.bincount(order, minlength=len(wanted)).tolist()
        if offset != len(payload) or found != wanted:
            raise CodecError("a block whose parts do not match")
        self.register += [UNKNOWN] * missing
        self.register += entries
        block = Block(tuple(sections), order, rare, self.register)
        self._gaps = self._gaps or missing > 0
        return self._known(block) if self._gaps else block

    def _known(self, block: Block) -> Block:
        """Leave out the records of which only the missing blocks said what they are."""
        unknown = np.array([entry is UNKNOWN for entry in self.register])
        keep = np.ones(len(block.order), bool)
        sections = []
        for number, section in enumerate(block.sections, start=1):
            known = ~unknown[section.records["entry"]]
            keep[block.order == number] = known
            sections.append(section.only(known))
        self.unknown += int((~keep).sum())
        return Block(tuple(sections), block.order[keep], block.rare, self.register)


@dataclass(frozen=True, slots=True)
class Block:
    """A decoded block: arrays by section, and ``order``: which section each row is from."""

    sections: tuple[RecordSection, ...]
    order: Any
    rare: list[Row]
    register: Sequence[Entry]

    def rows(self) -> Iterator[Row]:
        """Yield the rows as they were encoded, in their order. Raises CodecError."""
        rare = ((row.received, row.exchange, row.event) for row in self.rare)
        try:
            parts = [rare, *(section.events(self.register) for section in self.sections)]
            for number in self.order.tolist():
                yield Row(*next(parts[number]))
        except (LookupError, TypeError, ValueError, OverflowError) as error:
            raise CodecError(f"a record that is no event: {error}"[:200]) from error


def _row(plain: Any) -> Row:
    received, exchange, name, fields = plain
    if name == "Depth":
        bids, asks = fields["levels"]
        fields["levels"] = ([(p, s) for p, s in bids], [(p, s) for p, s in asks])
    if isinstance(fields.get("maintenance"), bool):  # as captures had it until November 2026
        fields["maintenance"] = {"active": fields["maintenance"]}
    event = msgspec.convert(fields, _RARE[name])
    return Row(float(received), str(exchange), event)
