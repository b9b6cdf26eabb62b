"""What does not fit in memory, on disk: in order, bounded, and still there after a kill."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

from exporter.flow import segments
from exporter.flow.segments import Content, DamagedSegmentError, ForeignError, Writer

CONTENT = Content("spill", 1)
_SEGMENT = 4 << 20  # bytes


class Spill:
    """First in, first out, at most ``max_bytes`` on disk; has one process at a time.

    What `put` took survives a kill of the process. What `take` gave is removed a segment at a
    time: after a kill the part of a segment that was taken already comes once more, so that
    nothing is lost. ``cut`` counts the bytes of torn tails, ``damaged`` the segments of which the
    rest could not be read. ``synced`` is that of `Writer`. Raises BusyError, OSError, ValueError
    for absurd bounds.
    """

    def __init__(
        self, folder: Path, *, max_bytes: int, segment_size: int = _SEGMENT, synced: bool = True
    ) -> None:
        if max_bytes < segment_size:
            raise ValueError(f"at most {max_bytes} bytes, expected {segment_size} or more")
        self._max = max_bytes
        self.refused = 0  # items for which there was no room
        self.damaged = 0
        left = segments.segments(folder) if folder.exists() else []
        self._writer = Writer(folder, CONTENT, segment_size=segment_size, synced=synced)
        self.cut = self._writer.mended
        self._full = deque(path for path in left if path.exists())  # what the one before left
        self._here = 0  # items in the segment that is being written
        self.pending = sum(self._count(path) for path in self._full)
        self._reading: Iterator[bytes] = iter(())
        self._path: Path | None = None  # what is being read

    def put(self, item: bytes) -> bool:
        """Append an item; False when there is no room. Raises OSError, and it was not taken."""
        if self._writer.size + len(item) > self._max:
            self.refused += 1
            return False
        full = self._writer.append(item)
        self.pending += 1
        self._here += 1
        if full:
            self._end()
        return True

    def take(self, most: int) -> list[bytes]:
        """Return the oldest items, ``most`` at most; fewer only when there are no more."""
        taken: list[bytes] = []
        while len(taken) < most and self.pending:
            try:
                item = next(self._reading, None)
            except (DamagedSegmentError, ForeignError):
                self.damaged += 1
                item = None
            if item is not None:
                taken.append(item)
                self.pending -= 1
            elif not self._next():
                self.pending = 0  # what was counted is lost with a damaged segment
        return taken

    def close(self) -> None:
        """Release the lock of the directory. Raises OSError."""
        self._writer.close()

    def _next(self) -> bool:
        """Remove what was read, and open the next segment; False when there is none."""
        if self._path is not None:
            self._writer.forget(self._path)
            self._path = None
        if not self._full:
            if not self._here:
                return False
            self._writer.roll()
            self._end()
        self._path = self._full.popleft()
        self._reading = segments.read(self._path, CONTENT)
        return True

    def _end(self) -> None:
        self._full.append(self._writer.path)
        self._here = 0

    def _count(self, path: Path) -> int:
        count = 0
        try:
            for _ in segments.read(path, CONTENT):
                count += 1
        except (DamagedSegmentError, ForeignError):
            return count  # `take` will come upon it, and count it as damaged
        return count
