"""Frames beyond the limit in memory, stored on disk until they are processed: in order, bounded.

They were accepted, so a kill does not lose them: what is found later of an `Overflow` whose
process was killed is given by `left`. A connection that ended properly leaves nothing.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TypeAlias

import msgspec

from exporter.contracts import HOLE, LateTime
from exporter.flow import segments
from exporter.flow.segments import DamagedSegmentError, ForeignError
from exporter.flow.spill import CONTENT, Spill
from exporter.logs import SPARING

log = logging.getLogger(__name__)

Frame: TypeAlias = tuple[float, bytes]
"""When it was read, epoch seconds, and what."""

_SEGMENT = 4 << 20  # bytes
SMALLEST = 2 * _SEGMENT


@dataclass(frozen=True, slots=True, kw_only=True)
class SpillOrigin:
    """The stream from which spilled frames came."""

    exchange: str
    venue: str
    stream: str


class SpilledFrames(msgspec.Struct, frozen=True, array_like=True):
    """The frames of one read of the network. ``since`` is monotonic seconds, of its process.

    The time of a frame that was read late (`LateTime`) is kept negative.
    """

    exchange: str
    venue: str
    stream: str
    since: float
    frames: list[Frame]
    holed: bool = False  # whether others, that there was no room for, came before them


_DECODER = msgspec.msgpack.Decoder(SpilledFrames)


class Overflow:
    """What one connection's inbox has no room for, at most ``max_bytes``; ``frames`` wait here.

    ``folder`` is its own. It touches the disk only once something is put. Not for threads: what
    it writes and reads goes through the system's page cache, and waits for no disk.
    """

    def __init__(self, folder: Path, origin: SpillOrigin, *, max_bytes: int) -> None:
        self.frames = 0
        self._folder, self._origin, self._max = folder, origin, max_bytes
        self._spill: Spill | None = None

    def put(self, frames: list[Frame], since: float, *, holed: bool = False) -> bool:
        """Take frames whose first came at ``since`` (monotonic); False: no room, or no disk.

        ``holed`` is whether others came before them that were not taken.
        """
        own = self._origin
        marked = [
            (-received if type(received) is LateTime else received, frame)
            for received, frame in frames
        ]
        load = SpilledFrames(own.exchange, own.venue, own.stream, since, marked, holed)
        try:
            if self._spill is None:
                self._spill = Spill(
                    self._folder, max_bytes=self._max, segment_size=_SEGMENT, synced=False
                )
            taken = self._spill.put(msgspec.msgpack.encode(load))
        except OSError as error:
            log.error("spill_unwritable stream=%s reason=%s", own.stream, error, extra=SPARING)
            return False
        self.frames += len(frames) if taken else 0
        return taken

    def take(self) -> tuple[list[Frame], float] | None:
        """Return the frames put first, and since when they waited; None when there are no more.

        Then ``frames`` are those that could not be read back. A `HOLE` stands where others are
        missing.
        """
        if self._spill is None:
            return None
        damaged = self._spill.damaged
        try:
            blocks = self._spill.take(1)
        except OSError:
            blocks = []  # the disk is gone, and what was there with it
        if not blocks:
            return None
        load = _DECODER.decode(blocks[0])
        self.frames -= len(load.frames)
        frames = [
            (LateTime(-received) if received < 0.0 else received, frame)
            for received, frame in load.frames
        ]
        if load.holed or self._spill.damaged > damaged:
            frames.insert(0, HOLE)
        return frames, load.since

    def close(self) -> None:
        """Remove the remaining files."""
        self.frames = 0
        if self._spill is not None:
            self._spill.close()
            self._spill = None
            shutil.rmtree(self._folder, ignore_errors=True)


class Overflows:
    """A directory of them, for one process at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count(1)

    def open(self, origin: SpillOrigin, max_bytes: int) -> Overflow:
        """Return one for a new connection."""
        folder = self._folder / f"{next(self._numbers):08d}"
        return Overflow(folder, origin, max_bytes=max_bytes)


def left(folder: Path, damaged: Callable[[Path, Exception], None]) -> Iterator[SpilledFrames]:
    """Yield what a killed process has left under ``folder``, and remove it as it is given.

    The frames of a segment that were taken in part are given again. ``damaged`` is told of each
    segment that could not be read to its end, and may move it elsewhere. Raises OSError.
    """
    if not folder.exists():
        return
    for own in sorted(each for each in folder.iterdir() if each.is_dir()):
        for path in segments.segments(own):
            try:
                for block in segments.read(path, CONTENT, further=True):
                    yield _DECODER.decode(block)
            except (DamagedSegmentError, ForeignError, msgspec.DecodeError) as error:
                # A flipped length looks like the torn tail of a kill, so that is told of as well.
                damaged(path, error)
        shutil.rmtree(own, ignore_errors=True)
