"""The write-ahead log of a spool after a crash: finds damage and keeps what follows it.

SQLite reads its write-ahead log up to the first frame whose checksum does not fit, and takes that
for the end: behind one wrong bit each acknowledged post would be gone, without a word. Here all
checksums are computed before the file is opened. Where one is wrong and the log goes on, they are
written anew, so that every page counts; a page that is wrong itself is found by the check of the
whole file.

Source: SQLite's "Database File Format", section 4 (head, frames, checksums, salts); the tests hold
it against logs that SQLite has written.
"""

from __future__ import annotations

import shutil
import sys
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Final, TypeAlias

_HEAD: Final = Struct(">8I")  # magic, format, page size, number, two salts, two checksums
_FRAME: Final = Struct(">6I")  # page, pages of the file after a commit or 0, salts, checksums
_MAGIC: Final = 0x377F0682  # checksums of little-endian words; one more: of big-endian ones
_FORMAT: Final = 3007000
_MASK: Final = 0xFFFFFFFF
_Sum: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogDamage:
    """How many frames of a log are wrong, its head among them; the old one, where it was mended."""

    wrong: int
    frames: int
    kept: Path | None


def mend(log: Path, page_size: int, aside: Callable[[], Path]) -> LogDamage | None:
    """Mend the checksums of a damaged log; None where nothing of it is damaged.

    ``page_size`` in bytes, of the file; ``aside`` names where the old log is kept. The last
    transaction may have been cut off by a kill: it is told of where it looks whole, and left as it
    is. Raises OSError.
    """
    raw = log.read_bytes()
    step = _FRAME.size + page_size
    count = (len(raw) - _HEAD.size) // step
    if count < 1:
        return None
    magic, form, size, number, *rest = _HEAD.unpack_from(raw)
    swapped = (magic == _MAGIC + 1) is (sys.byteorder == "little")
    state = _sum(raw[:24], swapped, (0, 0))
    sound = (form, size) == (_FORMAT, page_size) and state == tuple(rest[2:])
    salts = tuple(rest[:2]) if sound else _FRAME.unpack_from(raw, _HEAD.size)[2:4]
    frames = [raw[at : at + step] for at in range(_HEAD.size, _HEAD.size + count * step, step)]
    own = [_near(_FRAME.unpack_from(frame)[2:4], salts) for frame in frames]
    good = _good(frames, salts, swapped, state if sound else None)
    commits = [n for n in range(count) if own[n] and _FRAME.unpack_from(frames[n])[1]]
    last = max((n for n in commits if good[n]), default=-1)
    wrong = good[: last + 1].count(False) + (not sound)
    if not wrong:
        torn = max(commits, default=-1) > last
        return LogDamage(wrong=1, frames=count, kept=None) if torn else None
    kept = aside()
    shutil.copyfile(log, kept)
    if sys.byteorder == "big" or magic not in (_MAGIC, _MAGIC + 1):
        magic = _MAGIC
    log.write_bytes(_sealed(frames[: last + 1], good, (magic, _FORMAT, page_size, number), salts))
    return LogDamage(wrong=wrong, frames=count, kept=kept)


def _near(one: Sequence[int], other: Sequence[int]) -> bool:
    """Return whether salts are the same but for one bit; those of an older log differ in many."""
    return sum((a ^ b).bit_count() for a, b in zip(one, other, strict=True)) <= 1


def _good(
    frames: Sequence[bytes], salts: Sequence[int], swapped: bool, state: _Sum | None
) -> list[bool]:
    """Return of each frame whether it is as it was written, by the checksum of the one before."""
    found = []
    for frame in frames:
        *_, one, two = _FRAME.unpack_from(frame)
        fits = state is None or _frame_sum(frame, swapped, state) == (one, two)
        found.append(fits and _FRAME.unpack_from(frame)[2:4] == tuple(salts))
        state = one, two
    return found


def _sealed(
    frames: Sequence[bytes],
    good: Sequence[bool],
    head: tuple[int, int, int, int],
    salts: Sequence[int],
) -> bytes:
    """Return a log of these frames with checksums that fit."""
    swapped = (head[0] == _MAGIC + 1) is (sys.byteorder == "little")
    state = _sum(_HEAD.pack(*head, *salts, 0, 0)[:24], swapped, (0, 0))
    parts = [_HEAD.pack(*head, *salts, *state)]
    for frame, sound in zip(frames, good, strict=False):
        page, pages, *_ = _FRAME.unpack_from(frame)
        # The size after a wrong one may be wrong itself; a commit that is not comes later.
        begun = _FRAME.pack(page, pages if sound else 0, *salts, 0, 0) + frame[_FRAME.size :]
        state = _frame_sum(begun, swapped, state)
        parts += [begun[:16], Struct(">2I").pack(*state), begun[_FRAME.size :]]
    return b"".join(parts)


def _frame_sum(frame: bytes, swapped: bool, state: _Sum) -> _Sum:
    return _sum(frame[_FRAME.size :], swapped, _sum(frame[:8], swapped, state))


def _sum(content: bytes, swapped: bool, state: _Sum) -> _Sum:
    """Add whole pairs of words to a checksum."""
    words = array("I", content)
    if swapped:
        words.byteswap()
    one, two = state
    for at in range(0, len(words), 2):
        one = (one + words[at] + two) & _MASK
        two = (two + words[at + 1] + one) & _MASK
    return one, two
