"""Named parts as one blob under a checksum, so that torn or foreign bytes are told from ours."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import msgspec

_MAGIC = b"exchange-exporter state 1"  # raise the number when the parts change their meaning


def pack(parts: Mapping[str, bytes]) -> bytes:
    """Give the parts as bytes: a line with version and checksum, then the rest."""
    rest = msgspec.msgpack.encode(dict(parts))
    return b"%s %08x\n" % (_MAGIC, zlib.crc32(rest)) + rest


def unpack(blob: bytes) -> dict[str, bytes]:
    """Give the parts back. Raises ValueError for what is torn, foreign or of another version."""
    first, _, rest = blob.partition(b"\n")
    magic, _, checksum = first.rpartition(b" ")
    if magic != _MAGIC:
        raise ValueError(f"of another version, or no state of ours: {first[:60]!r}")
    if checksum != b"%08x" % zlib.crc32(rest):
        raise ValueError("torn: its checksum does not fit")
    return msgspec.msgpack.decode(rest, type=dict[str, bytes])
