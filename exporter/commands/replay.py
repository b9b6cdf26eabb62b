"""Replay a recording and print what it holds.

Reads raw text recordings; the venue is found from the URL of the connection in the file.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from exporter import venues
from exporter.contracts import Venue
from exporter.signals.summary import Summary
from exporter.sources.recording import (
    Answered,
    Blank,
    Connected,
    Garbled,
    Item,
    Received,
    Sent,
    read,
)
from exporter.wire import ParseError

HELP = """Replay recordings of exchange traffic.

--summary=json prints, for each FILE, message counts, event times, latencies, trades, sequence
continuity and book checksums; for one FILE the object itself, for more one object by file name.
"""

TRIED = 50  # frames that a recording without a URL is recognised by


class UnknownVenueError(ValueError):
    """A recording whose venue nobody can tell."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("file", nargs="+", type=Path, metavar="FILE", help="a raw text recording")
    parser.add_argument(
        "--summary", required=True, choices=("json",), help="print what the file holds"
    )
    parser.add_argument(
        "--venue",
        choices=venues.names(),
        metavar="NAME",
        help="the protocol, where the file names no URL (default: recognised by its frames)",
    )
    parser.add_argument(
        "--drop-every",
        type=_step,
        default=0,
        metavar="N",
        help="leave out every N-th received frame, to see the gaps found",
    )


def _step(text: str) -> int:
    number = int(text)
    if number < 2:
        raise argparse.ArgumentTypeError("expected 2 or more")
    return number


def run(args: argparse.Namespace) -> int:
    """Print the summaries; status 1 when a file is unreadable or its venue unknown."""
    venue = None if args.venue is None else venues.load(args.venue)
    found: dict[str, dict[str, Any]] = {}
    for path in args.file:
        try:
            found[str(path)] = summarise(path, venue, args.drop_every)
        except (OSError, UnknownVenueError) as error:
            print(f"exchange-exporter replay: {path}: {error}", file=sys.stderr)
            return 1
    shown = found if len(found) > 1 else next(iter(found.values()))
    print(json.dumps(shown, indent=1, allow_nan=False))
    return 0


def summarise(path: Path, venue: Venue | None = None, drop_every: int = 0) -> dict[str, Any]:
    """Give the figures of one recording. Raises OSError and UnknownVenueError."""
    if venue is None:
        with path.open("rb") as lines:
            venue = recognise(read(lines))
    with path.open("rb") as lines:
        return figures(read(lines), venue, drop_every)


def recognise(items: Iterable[Item]) -> Venue | None:
    """Find whose frames these are: by a stream's URL, a REST URL, or who alone understands them.

    None for a recording without frames. Raises UnknownVenueError.
    """
    frames: list[bytes] = []
    asked: Venue | None = None
    for item in items:
        match item:
            case Connected(url=url) | Sent(url=url):
                venue = venues.by_url(url)
                if venue is None:
                    raise UnknownVenueError(f"no venue's streams are at {url[:200]}")
                return venue
            case Answered(url=url):
                asked = asked or venues.by_url(url)
            case Received(frame=frame):
                frames.append(frame)
                if len(frames) == TRIED:
                    break
    if not frames or asked is not None:
        return asked if frames else None
    able = [name for name in venues.names() if _understands(venues.load(name), frames)]
    if len(able) != 1:
        several = f"{', '.join(able)} all understand it" if able else "no venue understands it"
        raise UnknownVenueError(f"the file names no URL and {several}; say --venue=NAME")
    return venues.load(able[0])


def _understands(venue: Venue, frames: Iterable[bytes]) -> bool:
    try:
        for frame in frames:
            venue.parse(frame if venue.decode is None else venue.decode(frame))
    except ParseError:
        return False
    return True


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
            case Connected():
                connects += 1
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
