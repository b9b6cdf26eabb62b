"""Bounded files of checksummed blocks that survive a kill at any byte.

A directory holds numbered segments; a segment is a head and then blocks, each written whole and
never touched again. Whoever reads gets the blocks up to the first one that does not verify, or all
that do, and is told where it ended or failed first: a torn tail is what a kill leaves, anything
else is damage.

head:  magic 8 bytes, format version u16, content version u16, content 8 bytes, number u64, CRC-32
block: length u32, CRC-32 of (number, offset, length, payload), payload; all little-endian

What was appended survives a kill of the process at once; it survives a power cut once `sync` has
returned. A directory has one writer (a lock says so) and any number of readers.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import BinaryIO
from zlib import crc32

MAGIC = b"\x89EXSEG\r\n"  # a transfer as text would change it
FORMAT = 1
SUFFIX = ".seg"
BLOCK_LIMIT = 64 << 20  # bytes of one payload
SMALLEST = 4096  # bytes of a segment

_HEAD = Struct("<8sHH8sQ")
_CRC = Struct("<I")
_BLOCK = Struct("<II")
_SALT = Struct("<QQI")  # a block that was moved or is left from an older file does not verify
HEAD_SIZE = _HEAD.size + _CRC.size


class ForeignError(ValueError):
    """A file that is no segment, or holds other content or another version of it."""


class DamagedSegmentError(ValueError):
    """Part of a segment cannot be read. ``offset``: where the first damaged block begins.

    ``torn``: it was being written there, as a kill leaves it; nothing that was complete is lost.
    """

    def __init__(self, path: Path, offset: int, why: str, *, torn: bool) -> None:
        super().__init__(f"{path}: {why} at byte {offset}")
        self.offset = offset
        self.torn = torn


class BusyError(OSError):
    """Another process writes to the directory."""


@dataclass(frozen=True, slots=True)
class Content:
    """What the payloads are: a ``name`` of at most 8 ASCII letters, and their format's version."""

    name: str
    version: int

    @property
    def tag(self) -> bytes:
        """The name as it stands in a head."""
        return self.name.encode("ascii").ljust(8, b"\0")


def segments(directory: Path) -> list[Path]:
    """Return the segments of a directory, oldest first. Raises OSError."""
    found = (path for path in directory.iterdir() if path.suffix == SUFFIX)
    return sorted((path for path in found if path.stem.isdecimal()), key=lambda p: int(p.stem))


def read(path: Path, content: Content, *, further: bool = False) -> Iterator[bytes]:
    """Yield the payloads of one segment, in order; ``further``: those after damaged blocks, too.

    Raises ForeignError at once, DamagedSegmentError after the last good payload, OSError. With
    ``further`` a damaged head costs no block: the name of the file has the number, too.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:  # killed before the head was written: nothing was lost
            return
        head, offset = file.read(HEAD_SIZE), HEAD_SIZE
        damage: DamagedSegmentError | ForeignError | None = None
        try:
            number = _check_head(path, head, content)
        except (DamagedSegmentError, ForeignError) as error:
            if not further or _is_whole(head) or not path.stem.isdecimal():
                raise
            number, damage = int(path.stem), error  # its blocks know whether they are of it
        while offset < size:
            file.seek(offset)
            payload, torn, why = _read_block(file, number, offset, size)
            if payload is not None:
                yield payload
                offset += _BLOCK.size + len(payload)
                continue
            file.seek(offset)
            after = _next_block(file.read(), number, offset) if further else None
            damage = damage or DamagedSegmentError(path, offset, why, torn=torn and after is None)
            if after is None:
                break
            offset = after
        if damage is not None:
            raise damage


def _read_block(
    file: BinaryIO, number: int, offset: int, size: int
) -> tuple[bytes | None, bool, str]:
    """Return a payload, or None, whether it looks torn, and what is wrong."""
    head = file.read(_BLOCK.size)
    if len(head) < _BLOCK.size:
        return None, True, "a torn block"
    length, checksum = _BLOCK.unpack(head)
    end = offset + _BLOCK.size + length
    if end > size:
        return None, True, "a torn block"
    if not 0 < length <= BLOCK_LIMIT:
        return None, False, f"a block of {length} bytes"
    payload = file.read(length)
    if _checksum(number, offset, payload) != checksum:
        return None, end == size, "a wrong checksum"
    return payload, False, ""


def _next_block(rest: bytes, number: int, start: int) -> int | None:
    """Find the next block that verifies after a damaged one, whose length may be damaged, too.

    Each place is tried, and the sum costs little: four bytes of a text are a length far beyond
    what is left. ``rest`` begins at ``start``.
    """
    view = memoryview(rest)
    for at in range(1, len(rest) - _BLOCK.size):
        length, checksum = _BLOCK.unpack_from(rest, at)
        begin = at + _BLOCK.size
        if 0 < length <= min(len(rest) - begin, BLOCK_LIMIT):
            salt = crc32(_SALT.pack(number, start + at, length))
            if crc32(view[begin : begin + length], salt) == checksum:
                return start + at
    return None


def _checksum(number: int, offset: int, payload: bytes) -> int:
    return crc32(payload, crc32(_SALT.pack(number, offset, len(payload))))


def _is_whole(head: bytes) -> bool:
    """Return whether a head, whosoever it is, is as it was written, or torn."""
    return len(head) < HEAD_SIZE or _CRC.unpack_from(head, _HEAD.size)[0] == crc32(
        head[: _HEAD.size]
    )


def _check_head(path: Path, head: bytes, content: Content) -> int:
    """Return the segment's number. Raises ForeignError and DamagedSegmentError."""
    if not MAGIC.startswith(head[: len(MAGIC)]):
        raise ForeignError(f"{path}: no segment")
    if len(head) < HEAD_SIZE:
        raise DamagedSegmentError(path, 0, "a torn head", torn=True)
    _, form, version, tag, number = _HEAD.unpack_from(head)
    if form != FORMAT:
        raise ForeignError(f"{path}: segment format {form}, expected {FORMAT}")
    if not _is_whole(head):
        raise DamagedSegmentError(path, 0, "a damaged head", torn=False)
    if tag != content.tag:
        name = tag.rstrip(b"\0").decode("ascii", "replace")
        raise ForeignError(f"{path}: holds {name!r}, expected {content.name!r}")
    if version != content.version:
        raise ForeignError(f"{path}: {content.name} version {version}, expected {content.version}")
    return int(number)


def mend(path: Path, content: Content) -> int:
    """Cut off a torn tail, remove a file whose head is torn or missing; return the bytes that went.

    Raises ForeignError, DamagedSegmentError for what is no torn tail, OSError.
    """
    try:
        for _ in read(path, content, further=True):  # a tail that blocks follow is not torn
            pass
    except DamagedSegmentError as damage:
        if not damage.torn:
            raise
        size = path.stat().st_size
        if damage.offset < HEAD_SIZE:
            path.unlink()
        else:
            os.truncate(path, damage.offset)
        return size - damage.offset
    if path.stat().st_size == 0:
        path.unlink()
    return 0


class Writer:
    """Appends blocks to the newest segment of a directory; not for several threads at once.

    A segment takes no more blocks once it is ``segment_size`` bytes long, so it is longer by one
    block at most. ``max_bytes`` bounds the whole directory: the oldest segments are removed, and
    counted in ``removed``; None: it grows for ever. A new writer mends what a killed one left and
    begins a new segment; ``resumed``: only where the newest is full or damaged, so that many
    starts make no pile of files. ``synced`` False never waits for the disk: for what need not
    survive a power cut. Raises BusyError, OSError, ValueError for absurd bounds.
    """

    def __init__(
        self,
        directory: Path,
        content: Content,
        *,
        segment_size: int = 64 << 20,
        max_bytes: int | None = None,
        synced: bool = True,
        resumed: bool = False,
    ) -> None:
        if segment_size < SMALLEST:
            raise ValueError(f"a segment of {segment_size} bytes, expected {SMALLEST} or more")
        if max_bytes is not None and max_bytes < 2 * segment_size:
            raise ValueError(
                f"at most {max_bytes} bytes in all, expected at least two segments of"
                f" {segment_size}"
            )
        self._content, self._segment_size, self._max = content, segment_size, max_bytes
        self.directory, self._synced = directory, synced
        self.removed = 0  # segments that made room
        self.mended = 0  # bytes of a torn tail that were cut off
        directory.mkdir(parents=True, exist_ok=True)
        self._folder = os.open(directory, os.O_RDONLY)
        self._file: int | None = None
        try:
            self._lock()
            found = segments(directory)
            self._number = int(found[-1].stem) if found else 0
            whole = bool(found) and self._mend(found[-1])
            self._sizes = {path: path.stat().st_size for path in segments(directory)}
            if not (whole and resumed and self._resume(found[-1])):
                self._begin()
        except BaseException:
            os.close(self._folder)
            raise

    def _lock(self) -> None:
        try:
            fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(f"{self.directory}: another process writes here") from error

    def _mend(self, newest: Path) -> bool:
        """Return whether all of it can be read now."""
        try:
            self.mended = mend(newest, self._content)
        except (DamagedSegmentError, ForeignError):
            return False  # not what a kill leaves: kept as it is, its reader will say so
        return True

    def _resume(self, newest: Path) -> bool:
        """Go on writing to a segment that can be read; False where it is full, or gone."""
        size = self._sizes.get(newest, self._segment_size)
        if size >= self._segment_size:
            return False
        with newest.open("rb") as file:
            if _check_head(newest, file.read(HEAD_SIZE), self._content) != self._number:
                return False  # it was renamed: its blocks know another number
        self._path = newest
        self._file = os.open(newest, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        return True

    @property
    def path(self) -> Path:
        """The segment that the last block went to, or the next one will."""
        return self._path

    @property
    def size(self) -> int:
        """How many bytes the directory holds."""
        return sum(self._sizes.values())

    def append(self, payload: bytes) -> bool:
        """Write one block; return whether it was the segment's last. Raises OSError, ValueError.

        After an OSError (a full disk) the block is not there, and nothing before it is harmed.
        """
        if not 0 < len(payload) <= BLOCK_LIMIT:
            raise ValueError(f"a block of {len(payload)} bytes, expected 1 to {BLOCK_LIMIT}")
        if self._file is None:
            self._begin()
        offset = self._sizes[self._path]
        checksum = _checksum(self._number, offset, payload)
        self._write(_BLOCK.pack(len(payload), checksum) + payload)
        if self._sizes[self._path] < self._segment_size:
            return False
        self._end()
        return True

    def roll(self) -> None:
        """End the segment, so that its reader finds all of it; the next block begins another."""
        self._end()

    def forget(self, path: Path) -> None:
        """Remove a segment that was read to its end, and is not being written. Raises OSError."""
        path.unlink(missing_ok=True)
        self._sizes.pop(path, None)

    def sync(self) -> None:
        """Wait until all that was appended is on the disk. Raises OSError."""
        if self._file is not None:
            os.fdatasync(self._file)

    def close(self) -> None:
        """Sync, and return the directory free. Raises OSError."""
        try:
            self._end()
        finally:
            os.close(self._folder)

    def _begin(self) -> None:
        self._number += 1
        self._path = self.directory / f"{self._number:08d}{SUFFIX}"
        self._make_room()
        head = _HEAD.pack(MAGIC, FORMAT, self._content.version, self._content.tag, self._number)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(self._path, flags, 0o600)
        self._sizes[self._path] = 0
        try:
            self._write(head + _CRC.pack(crc32(head)))
            if self._synced:
                os.fsync(self._folder)
        except OSError:
            os.close(self._file)
            self._file = None
            self._path.unlink()
            del self._sizes[self._path]
            raise

    def _make_room(self) -> None:
        while self._max is not None and self.size + self._segment_size > self._max:
            oldest = next(iter(self._sizes), None)
            if oldest is None:
                return
            oldest.unlink(missing_ok=True)
            del self._sizes[oldest]
            self.removed += 1

    def _end(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            try:
                if self._synced:
                    os.fdatasync(file)
            finally:
                os.close(file)

    def _write(self, chunk: bytes) -> None:
        assert self._file is not None  # noqa: S101 - `append` and `_begin` have opened it
        rest = memoryview(chunk)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            os.ftruncate(self._file, self._sizes[self._path])
            raise
        self._sizes[self._path] += len(chunk)
