"""The sources of a replay: captures, and raw text recordings."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from exporter.capture import text_recording
from exporter.capture.codec import VERSION, Block, CodecError, Decoder, Mark, Row
from exporter.capture.playback import UNREADABLE, guess, subscribed
from exporter.contracts import Venue
from exporter.decoding import ParseError
from exporter.flow.segments import Content, DamagedSegmentError, ForeignError, read, segments
from exporter.model import Ack, Control, Event, Message
from exporter.salvage import salvage

CONTENT = Content("capture", VERSION)
T = TypeVar("T")


def captured(path: Path, damaged: Callable[[str], None]) -> Iterator[Row]:
    """Yield the rows of a capture: a directory of segments, or one segment.

    What follows a damaged block is read, too; ``damaged`` is told of each segment that has one, or
    whose head cannot be read, and how many rows of others are left out, because only that block
    said of what they are. Raises OSError, and ForeignError for a lone file that is none of ours or
    of another version.
    """
    return _read(path, damaged, Block.rows)


def blocks(path: Path, damaged: Callable[[str], None]) -> Iterator[Block]:
    """Yield the blocks of a capture, as arrays; otherwise as `captured`."""
    return _read(path, damaged, lambda block: (block,))


def _read(
    path: Path, damaged: Callable[[str], None], parts: Callable[[Block], Iterable[T]]
) -> Iterator[T]:
    found = segments(path) if path.is_dir() else [path]
    if not found:
        raise FileNotFoundError(errno.ENOENT, "No segment of a capture in the directory", str(path))
    for segment in found:
        decoder = Decoder(holed=True)
        try:
            for payload in read(segment, CONTENT, further=True):
                try:
                    yield from parts(decoder.decode(payload))
                except CodecError as error:
                    damaged(f"{segment}: {error}")
        except DamagedSegmentError as damage:
            left_out = f", {decoder.unknown} rows after it are left out" * bool(decoder.unknown)
            damaged(f"{damage}{left_out}")
        except ForeignError as error:
            if len(found) == 1:
                raise
            damaged(str(error))


def recorded(items: Iterable[text_recording.Item], venue: Venue) -> Iterator[Row]:
    """Yield the rows of a raw text recording; frames without a time come when their events say."""
    parse, latest = venue.reader(), 0.0
    known: set[str] = set()
    for item in items:
        if isinstance(item, text_recording.Connected) and venue.addressed is not None:
            parse = venue.reader(item.url)
        if not isinstance(item, text_recording.Received):
            continue
        events: tuple[Event, ...] | None
        try:
            events = parse(item.frame)
        except ParseError as error:
            events = salvage(parse, item.frame, error)
        if events is None:
            yield Row(item.time or latest, venue.name, Mark(UNREADABLE))
            continue
        for found in events:
            event = found
            if isinstance(event, Message) and event.topic not in known:
                event = Control(event.label, data=True)  # nobody can tell yet of which channel
            time = None if isinstance(event, Ack | Control) else event.time
            latest = item.time or time or latest
            if not isinstance(event, Ack | Control) and event.topic not in known:
                known.add(event.topic)
                yield subscribed(guess(venue.name, event), venue.name, latest)
            yield Row(latest, venue.name, event)
