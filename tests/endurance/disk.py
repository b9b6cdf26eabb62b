"""What lies in a storage directory, as its files say it and not the program."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from exporter.flow import dead_letters, segments, spill
from exporter.flow.dead_letters import DeadLetter
from exporter.flow.overflow import SpilledFrames
from exporter.flow.segments import Content, DamagedSegmentError, ForeignError
from tests.endurance.feed import numbers


def _blocks(folder: Path, content: Content) -> Iterator[bytes]:
    for path in segments.segments(folder) if folder.is_dir() else ():
        with suppress(DamagedSegmentError, ForeignError):
            yield from segments.read(path, content, further=True)


def letters(storage: Path) -> set[int]:
    """Return the numbers of the feed's frames among the dead letters."""
    blocks = _blocks(storage / "deadletters", dead_letters.CONTENT)
    return {numbers(msgspec.msgpack.decode(each, type=DeadLetter).frame) for each in blocks}


def spilled(storage: Path) -> set[int]:
    """Return the numbers of the frames that wait in spills."""
    found: set[int] = set()
    folder = storage / "spill"
    for own in folder.iterdir() if folder.is_dir() else ():
        for block in _blocks(own, spill.CONTENT):
            load = msgspec.msgpack.decode(block, type=SpilledFrames)
            found.update(numbers(frame) for _, frame in load.frames if frame)
    return found


def bans(storage: Path) -> dict[str, float]:
    """Return until when each exchange bans us, epoch seconds. Raises ValueError."""
    file = storage / "bans.json"
    if not file.exists():
        return {}
    return dict(json.loads(file.read_bytes())["banned_until"])


def files(storage: Path) -> list[Path]:
    """Return all files of a directory."""
    return sorted(path for path in storage.rglob("*") if path.is_file())


def size(folder: Path) -> int:
    """Return the bytes of all files below a directory."""
    return sum(path.stat().st_size for path in files(folder))
