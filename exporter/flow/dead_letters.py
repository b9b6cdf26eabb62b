"""Frames that could not be parsed, stored with the reason: bounded, on disk, crash-safe.

Each one is a block of a `segments` directory, in MessagePack. The oldest segments are removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import msgspec

from exporter.flow import segments
from exporter.flow.segments import Content, DamagedSegmentError, ForeignError, Writer

CONTENT = Content("dead", 1)
LONGEST = 1 << 20  # bytes of a frame that are kept
MOST = 64 << 20  # bytes of all
_SEGMENT = 4 << 20  # bytes


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One frame that could not be read. ``time`` in epoch seconds, ``size`` in bytes."""

    time: float
    exchange: str
    venue: str
    stream: str
    reason: str
    frame: bytes  # its beginning, if it was longer than is kept
    size: int


DeadLetterSink: TypeAlias = Callable[[DeadLetter], None]


def nowhere(letter: DeadLetter) -> None:
    """Discard the frame: there is no storage path."""


_DECODER = msgspec.msgpack.Decoder(DeadLetter)


def writer(folder: Path, *, segment_size: int = _SEGMENT, max_bytes: int = MOST) -> Writer:
    """Open the directory to write to it. Raises BusyError, OSError."""
    return Writer(folder, CONTENT, segment_size=segment_size, max_bytes=max_bytes, resumed=True)


def encode(letter: DeadLetter) -> bytes:
    """Return a letter as one block."""
    if len(letter.frame) > LONGEST:
        letter = msgspec.structs.replace(letter, frame=letter.frame[:LONGEST])
    return msgspec.msgpack.encode(letter)


def read(folder: Path) -> Iterator[tuple[str, DeadLetter | DamagedSegmentError]]:
    """Yield all letters, oldest first, each with its name; in place of what is lost, why.

    A name (``3-17``: the segment, the place in it) stays the same as long as its letter is kept.
    A file of something else is damage too: one flipped bit of a head makes a segment that.
    Raises OSError.
    """
    if not folder.exists():
        return
    for path in segments.segments(folder):
        number, place = int(path.stem), 0
        try:
            for payload in segments.read(path, CONTENT, further=True):
                place += 1
                yield f"{number}-{place}", _DECODER.decode(payload)
        except DamagedSegmentError as damage:
            yield f"{number}-{place + 1}", damage
        except ForeignError as error:
            yield (
                f"{number}-1",
                DamagedSegmentError(path, 0, f"no dead letters ({error})", torn=False),
            )
        except msgspec.DecodeError as error:
            wrong = DamagedSegmentError(path, 0, f"an unreadable letter ({error})", torn=False)
            yield f"{number}-{place}", wrong


def purge(folder: Path) -> int:
    """Remove all letters; return the number of segments. Raises OSError; BusyError if in use.

    The lock is held throughout, so that nobody begins to write in between.
    """
    if not folder.exists():
        return 0
    found = segments.segments(folder)
    holder = writer(folder)
    try:
        for path in segments.segments(folder):
            path.unlink(missing_ok=True)
    finally:
        holder.close()
    return len(found)
