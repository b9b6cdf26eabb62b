"""Named parts as one blob under a checksum, so that torn or foreign bytes are told from ours."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

_MAGIC = b"exchange-exporter state 2"  # raise the number when the parts change their meaning

Parts: TypeAlias = Mapping[str, Sequence[bytes]]
"""By name what is kept, each in the pieces that it was made in."""


def pack(parts: Parts) -> list[bytes]:
    """Return what to write: a line with version and checksum, one of the lengths, the pieces.

    Pieces are never joined: to copy many megabytes at one stroke would hold up every thread.
    """
    lengths = {name: [len(piece) for piece in pieces] for name, pieces in parts.items()}
    rest = [msgspec.json.encode(lengths) + b"\n"]
    rest += (piece for pieces in parts.values() for piece in pieces)
    checksum = 0
    for piece in rest:
        checksum = zlib.crc32(piece, checksum)
    return [b"%s %08x\n" % (_MAGIC, checksum), *rest]


def unpack(blob: bytes) -> dict[str, list[bytes]]:
    """Return the parts back. Raises ValueError for what is torn, foreign or of another version."""
    first, _, rest = blob.partition(b"\n")
    magic, _, checksum = first.rpartition(b" ")
    if magic != _MAGIC:
        raise ValueError(f"of another version or program: {first[:60]!r}")
    if checksum != b"%08x" % zlib.crc32(rest):
        raise ValueError("damaged: its checksum does not match")
    start = rest.index(b"\n") + 1
    parts: dict[str, list[bytes]] = {}
    for name, lengths in msgspec.json.decode(rest[:start], type=dict[str, list[int]]).items():
        pieces = parts[name] = []
        for length in lengths:
            pieces.append(rest[start : start + length])
            start += length
    return parts
