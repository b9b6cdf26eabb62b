"""Replay captures and recordings: counts, gaps, silences and anomalies of that time.

Reads captures, and raw text recordings whose venue is found from the URL of the connection.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from exporter import venues
from exporter.capture.codec import Mark, Row
from exporter.capture.summary import Summary
from exporter.capture.text_recording import (
    Answered,
    Blank,
    Connected,
    Garbled,
    Item,
    Received,
    Sent,
    read,
)
from exporter.cli import _flags as flags
from exporter.cli import _venues
from exporter.cli._replay_text import text
from exporter.config import ConfigError
from exporter.continuity import Sequence, bind
from exporter.contracts import Venue
from exporter.decoding import ParseError
from exporter.flow.segments import SUFFIX, ForeignError
from exporter.model import Ack, Control
from exporter.words import why

if TYPE_CHECKING:
    from exporter.capture.playback import Playback

HELP = """\
Runs captures (a segment or a directory of segments) and raw text recordings through the same feeds,
signals and detectors as the running program. Time is taken from the recording, so the same file
always gives the same results; --speed only sets how long the replay takes.

--summary=text     figures of each subscription, and the highest score of each signal
--summary=json     the same as JSON; for a raw text recording its message counts, event times,
                   latencies, trades, sequence continuity and book checksums, by file name if there
                   are several FILEs
--summary=metrics  /metrics as it would be scraped at the end

exit status: 0 replayed (damaged ends are reported on stderr), 1 a file cannot be read
"""

_NOBODY: Mapping[str, Venue] = {}
TRIED = 200  # frames that a recording without a URL is recognised by


class UnknownVenueError(ValueError):
    """A recording whose venue nobody can tell."""


class EmptyError(ValueError):
    """A file in which nothing is recorded."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "file", nargs="+", type=Path, metavar="FILE", help="capture or raw text recording"
    )
    parser.add_argument(
        "--summary",
        default="text",
        choices=("text", "json", "metrics"),
        help="output at the end (default text)",
    )
    parser.add_argument(
        "--speed",
        type=_speed,
        default=None,
        metavar="max|N",
        help="replay N times as fast as recorded (default max: as fast as possible)",
    )
    parser.add_argument(
        "--venue",
        type=_venue,
        metavar="NAME",
        help="venue whose protocol the file uses, if it names no URL: a name, or the file of a "
        "definition (default: detected from its frames)",
    )
    parser.add_argument(
        "--drop-every",
        type=_step,
        default=0,
        metavar="N",
        help="omit every N-th received frame (every N-th event, unless the summary counts "
        "messages), to see whether the gaps are found",
    )
    _venues.arguments(parser)


def _step(text: str) -> int:
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"found {text[:40]!r}, expected a number of 2 or more")
    return int(text)


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    return flags.number(text, least=0.001, most=1e6, wanted="max, or 0.001 to 1000000")


def _venue(text: str) -> Venue:
    try:
        return venues.named(text)
    except KeyError:
        known = ", ".join(venues.names())
        wrong = f"found {text[:40]!r}, expected one of {known}, or a definition's file"
        raise argparse.ArgumentTypeError(wrong) from None
    except ConfigError as error:
        raise argparse.ArgumentTypeError("\n".join(error.complaints)) from None


def run(args: argparse.Namespace) -> int:
    """Print the summaries; status 1 when a file is unreadable or its venue unknown."""
    venue = args.venue
    try:
        own = _venues.defined(args.venues_dir)
    except OSError as error:
        print(f"exchange-exporter replay: {args.venues_dir}: {error.strerror}", file=sys.stderr)
        return 1
    json_wanted = args.summary == "json"
    found: dict[str, dict[str, Any]] = {}
    for path in args.file:
        try:
            if not is_capture(path):
                _check_recorded(path)
            if json_wanted and not is_capture(path):
                found[str(path)] = summarise(path, venue, args.drop_every, own)
                continue
            seen = play(path, venue, args.drop_every, args.speed, own)
        except (OSError, EmptyError, UnknownVenueError, ForeignError) as error:
            print(f"exchange-exporter replay: {why(error, path)}", file=sys.stderr)
            return 1
        if json_wanted:
            found[str(path)] = seen.figures()
            continue
        if len(args.file) > 1:
            print(f"# {path}")
        print(_page(seen) if args.summary == "metrics" else text(seen.figures()), end="")
    if json_wanted:
        shown = found if len(found) > 1 else next(iter(found.values()))
        print(json.dumps(shown, indent=1, allow_nan=False))
    return 0


def is_capture(path: Path) -> bool:
    """Return whether a path is a segment or a directory of them, and no raw text recording."""
    return path.is_dir() or path.suffix == SUFFIX


# --- through the pipeline -----------------------------------------------------------------------


def play(
    path: Path,
    venue: Venue | None = None,
    drop_every: int = 0,
    speed: float | None = None,
    own: Mapping[str, Venue] = _NOBODY,
) -> Playback:
    """Put one capture or recording through the pipeline, at ``speed`` times its own; None: at once.

    ``own`` are venues beside the program's, by name. Raises OSError, ForeignError and
    UnknownVenueError.
    """
    # Loaded when used: summaries of messages need none of the running program.
    from exporter.capture.playback import Playback

    seen = Playback(venue=lambda name: own.get(name) or venues.find(name))
    rows: Iterable[Row] = _rows(path, venue, own)
    if drop_every:
        rows = _thinned(rows, drop_every)
    if speed is not None:
        rows = paced(rows, speed, monotonic, sleep)
    for row in rows:
        seen.take(row)
    seen.finish()
    return seen


def _rows(path: Path, venue: Venue | None, own: Mapping[str, Venue]) -> Iterator[Row]:
    from exporter.capture import replay

    if is_capture(path):
        yield from replay.captured(path, _complain)
        return
    if venue is None:
        with path.open("rb") as lines:
            venue = recognise(read(lines), own)
    if venue is not None:
        with path.open("rb") as lines:
            yield from replay.recorded(read(lines), venue)


def _check_recorded(path: Path) -> None:
    with path.open("rb") as lines:
        kinds = Counter(type(item) for item in read(lines))
    if set(kinds) <= {Blank}:
        raise EmptyError("the recording is empty")
    if set(kinds) <= {Blank, Garbled}:
        raise EmptyError("no line has a frame: expected a capture, or lines of TIME: FRAME")


def _complain(damage: str) -> None:
    print(f"exchange-exporter replay: {damage}", file=sys.stderr)


def _thinned(rows: Iterable[Row], step: int) -> Iterator[Row]:
    number = 0
    for row in rows:
        if not isinstance(row.event, Ack | Control | Mark):
            number += 1
            if number % step == 0:
                continue
        yield row


def paced(
    rows: Iterable[Row], speed: float, now: Callable[[], float], wait: Callable[[float], None]
) -> Iterator[Row]:
    """Yield each row when it is due. A row that is late is given at once, one from before too."""
    begun = now()
    first: float | None = None
    for row in rows:
        first = row.received if first is None else first
        ahead = (row.received - first) / speed - (now() - begun)
        if ahead > 0.0:
            wait(ahead)
        yield row


def _page(seen: Playback) -> str:
    from exporter.metrics.exposition import Exposition

    pieces = asyncio.run(Exposition(seen.registry, process=False).render(False))
    return b"".join(pieces).decode()


# --- raw text recordings, message by message ----------------------------------------------------


def summarise(
    path: Path,
    venue: Venue | None = None,
    drop_every: int = 0,
    own: Mapping[str, Venue] = _NOBODY,
) -> dict[str, Any]:
    """Return the figures of one recording. Raises OSError and UnknownVenueError."""
    if venue is None:
        with path.open("rb") as lines:
            venue = recognise(read(lines), own)
    with path.open("rb") as lines:
        return figures(read(lines), venue, drop_every)


def recognise(items: Iterable[Item], own: Mapping[str, Venue] = _NOBODY) -> Venue | None:
    """Find whose frames these are: by a stream's URL, a REST URL, or who understands them best.

    None for a recording without frames. Raises UnknownVenueError.
    """
    frames: list[bytes] = []
    asked: Venue | None = None
    for item in items:
        match item:
            case Connected(url=url) | Sent(url=url):
                venue = venues.by_url(url, own.values())
                if venue is None:
                    raise UnknownVenueError(f"no venue's streams are at {url[:200]}")
                return venue
            case Answered(url=url):
                asked = asked or venues.by_url(url, own.values())
            case Received(frame=frame):
                frames.append(frame)
                if len(frames) == TRIED:
                    break
    if not frames or asked is not None:
        return asked if frames else None
    faults = {name: _faults(venues.load(name), frames) for name in venues.names()}
    # A reader passes over kinds that it does not know: whoever finds market data understands more.
    best = min((unread, -data) for unread, data, _ in faults.values())
    able = [name for name, (unread, data, _) in faults.items() if (unread, -data) == best]
    if best[0] > len(frames) // 2:
        raise UnknownVenueError(
            "the file names no URL and no venue's parser accepts it; give --venue=NAME"
        )
    if len({venues.load(name).parse for name in able}) > 1:
        several = f"{', '.join(able)} all accept it"
        raise UnknownVenueError(f"the file names no URL and {several}; give --venue=NAME")
    # One house's sites share a wire; how they number their messages tells them apart, and those
    # that number alike give the same figures.
    return venues.load(min(able, key=lambda name: faults[name][2]))


def _faults(venue: Venue, frames: Iterable[bytes]) -> tuple[int, int, int]:
    """Return how many frames a venue cannot read, its market data, and breaks of its numbers."""
    unread, data, topics = 0, 0, dict[str, dict[str, tuple[Sequence, ...]]]()
    parse = venue.reader()
    for frame in frames:
        try:
            events = parse(frame)
        except ParseError:
            unread += 1
            continue
        for event in events:
            if isinstance(event, Control) and event.unknown:
                unread += 1  # it is let pass, and not understood
            if not isinstance(event, Ack | Control):
                data += 1
                if event.topic not in topics:
                    topics[event.topic] = bind(venue.sequences)
                for sequence in topics[event.topic].get(event.label, ()):
                    sequence.feed(event)
    numbered = {one for labels in topics.values() for some in labels.values() for one in some}
    return unread, data, sum(one.gaps + one.backward for one in numbered)


def figures(items: Iterable[Item], venue: Venue | None, drop_every: int = 0) -> dict[str, Any]:
    """Count the items, and sum up the frames; ``venue`` is None where there are none."""
    summary = None if venue is None else Summary(venue)
    lines = connects = sent = empty = garbled = frames = 0
    answers = Counter[str]()
    for item in items:
        lines += 1
        match item:
            case Received(time=time, frame=frame) if summary is not None:
                frames += 1
                if not (drop_every and frames % drop_every == 0):
                    summary.frame(time, frame)
            case Connected(url=url):
                connects += 1
                if summary is not None:
                    summary.connected(url)
            case Sent():
                sent += 1
            case Answered(url=url):
                answers[url.partition("?")[0]] += 1
            case Blank():
                empty += 1
            case Garbled():
                garbled += 1
    rest = {"rest_responses": answers.total(), "by_url": dict(sorted(answers.items()))}
    if summary is None:
        return rest
    counted = {
        "lines": lines,
        "connect": connects,
        "sent": sent,
        "empty": empty,
        "undecodable": garbled + summary.undecodable,
    }
    return {"lines": counted, **summary.figures(), **(rest if answers else {})}
