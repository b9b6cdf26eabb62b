"""Documents of the spool: JSON that ends with its own checksum.

SQLite has none: a wrong bit in a text leaves a file that it calls sound, and a message with another
letter in it. The checksum is a member of the object, so that SQL reads the document as before.
"""

from __future__ import annotations

import zlib
from typing import Any, Final, TypeVar

import msgspec

_MEMBER: Final = b'"sum":"'

T = TypeVar("T")


class DamagedDocumentError(ValueError):
    """The document is not the one that was written."""


def encode(value: Any) -> bytes:
    """Return an object as JSON, with its checksum as the last member."""
    body = msgspec.json.encode(value)
    comma = b"" if body == b"{}" else b","
    return b'%s%s%s%08x"}' % (body[:-1], comma, _MEMBER, zlib.crc32(body))


def decode(raw: bytes, type: type[T]) -> T:  # noqa: A002
    """Read a document; an older one has no checksum.

    Raises:
        DamagedDocumentError: the checksum does not match the text.
        msgspec.MsgspecError: it is no JSON, or of another shape.
    """
    start, member, digits = raw[:-17], raw[-17:-10], raw[-10:-2]
    if member == _MEMBER:
        body = start.removesuffix(b",") + b"}"
        if digits != b"%08x" % zlib.crc32(body):
            raise DamagedDocumentError("the checksum does not match the text")
        raw = body
    return msgspec.json.decode(raw, type=type)
