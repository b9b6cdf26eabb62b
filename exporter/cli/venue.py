"""Check, try or create a venue of your own: a definition in YAML, or an installed package."""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.cli import _flags as flags

if TYPE_CHECKING:
    from exporter.config import ExchangeConfig
    from exporter.contracts import Venue

HELP = """\
  check    test what every venue must satisfy: its tables, its requests, its reaction to invalid
           frames, and with --recording to the frames of a recording, intact and damaged
  try      connect, subscribe and print each frame as it is parsed, or the error; with --out, also
           write a recording and a first test; with --recording, read that instead of connecting
  new      write a commented definition to start from, based on a few answers and a sample frame

VENUE is the path of a definition, or the name of a known venue.

exit status: 0 no errors, 1 the venue has errors, 2 the command failed
"""
WRONG, UNUSABLE = 1, 2
_QUESTIONS: Mapping[str, str] = {
    "title": "Display name",
    "source": "Source of the facts (URL), and the date on which you read it",
    "rest": "Base URL of its REST API (https://...)",
    "ping": "A path of it that answers quickly (/v1/ping)",
    "stream": "URL of its WebSocket (wss://...)",
    "subscribe": "A subscribe frame, with $topics for the list of topics and $id for a number",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("action", choices=("check", "try", "new"))
    parser.add_argument("venue", metavar="VENUE", help="path of a definition, or name of a venue")
    parser.add_argument(
        "--symbol", default="BTC-USDT", help="instrument to subscribe to (default BTC-USDT)"
    )
    parser.add_argument(
        "--url", type=partial(_address, "ws"), metavar="URL",
        help="WebSocket URL, instead of the venue's",
    )  # fmt: skip
    parser.add_argument(
        "--rest.url", dest="rest", type=partial(_address, "http"), metavar="URL",
        help="base URL of the REST API, instead of the venue's",
    )  # fmt: skip
    parser.add_argument(
        "--recording", type=Path, metavar="FILE", help="text recording to read (check, try)"
    )
    parser.add_argument(
        "--for", dest="seconds", default=10.0, metavar="SECONDS",
        type=partial(flags.number, most=86_400.0, wanted="seconds, up to 86400"),
        help="how long to listen (try; default 10)",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="directory for a recording and a test (try)"
    )
    parser.add_argument(
        "--sample", metavar="FRAME", help="frame with a trade or a book, as JSON (new)"
    )


def _address(scheme: str, text: str) -> str:
    if re.fullmatch(rf"{scheme}s?://[^\s/?#]+[^\s#]*", text) is None:
        wrong = f"found {text!r}, expected an address such as {scheme}s://host/path"
        raise argparse.ArgumentTypeError(wrong)
    return text


def run(args: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    if args.action == "new":
        return _new(args)
    from exporter import venues
    from exporter.config import ConfigError

    try:
        venue = venues.named(args.venue)
    except ConfigError as error:
        print("\n".join(error.complaints), file=sys.stderr)
        return UNUSABLE if error.unreadable else WRONG
    except KeyError:
        known = ", ".join(venues.names())
        return _fail(f"{args.venue}: no such file, and no venue of that name ({known})")
    try:
        return _check(args, venue) if args.action == "check" else _try(args, venue)
    except OSError as error:
        return _fail(f"{error.filename or args.out}: {error.strerror or error}")


def _fail(why: str) -> int:
    print(f"exchange-exporter venue: {why}", file=sys.stderr)
    return UNUSABLE


def _check(args: argparse.Namespace, venue: Venue) -> int:
    from exporter.capture import text_recording
    from exporter.cli import _conformance as conformance

    frames: list[bytes] = []
    if args.recording is not None:
        with args.recording.open("rb") as lines:
            items = text_recording.read(lines)
            frames = [item.frame for item in items if isinstance(item, text_recording.Received)]
    found = list(conformance.complaints(venue, frames))
    for line in found:
        print(f"{args.venue}: {line}", file=sys.stderr)
    if found:
        return WRONG
    channels = ", ".join(venue.topics) or "no market data"
    print(
        f"{args.venue} passes the checks of all venues: {len(venue.endpoints)} endpoints, "
        f"{channels}; {len(frames)} frames read"
    )
    return 0


# --- try ----------------------------------------------------------------------------------------


def _try(args: argparse.Namespace, venue: Venue) -> int:
    from exporter.cli._try import Conversation, recorded
    from exporter.instrument import UnlistedError

    if args.recording is not None:
        tally = recorded(venue, args.recording, print)
        print(tally.summary())
        return WRONG if tally.unread or not tally.frames else 0
    try:
        venue.symbol(args.symbol)
    except UnlistedError as error:
        return _fail(f"--symbol: {error}")
    exchange = _exchange(args, venue)
    record, file = None, None
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        file = args.out / f"{venue.name}.txt"
        record = file.open("w", encoding="utf-8")
    session = Conversation(venue, exchange, lambda line: print(line, flush=True), record)
    try:
        asyncio.run(session.run(args.seconds))
    except KeyboardInterrupt:
        pass
    finally:
        if record is not None:
            record.close()
    print(session.tally.summary())
    if file is not None:
        test = args.out / f"test_{venue.name}.py"
        test.write_text(_test_of(args.venue, venue, session.tally.events), encoding="utf-8")
        print(f"written: {file}, {test}")
    heard = session.tally.frames or not venue.topics
    return WRONG if session.tally.unread or not heard else 0


def _exchange(args: argparse.Namespace, venue: Venue) -> ExchangeConfig:
    from exporter.config import ExchangeConfig, StreamConfig

    return ExchangeConfig(
        name=venue.name,
        venue=venue.name,
        symbols=(args.symbol,),
        rest_url=args.rest,
        stream_url=() if args.url is None else (args.url,),
        streams=(StreamConfig(channels=tuple(venue.topics)),),
    )


def _test_of(given: str, venue: Venue, events: Mapping[str, int]) -> str:
    counts = ", ".join(f'"{kind}": {count}' for kind, count in sorted(events.items()))
    return f'''\
"""What {venue.title} sent, read once more: begin with this, and add what must stay true."""

from collections import Counter
from pathlib import Path

from exporter import venues
from exporter.capture import text_recording
from exporter.model import Ack

VENUE = {str(Path(given).resolve())!r}
RECORDING = Path(__file__).with_name("{venue.name}.txt")


def test_every_recorded_frame_is_understood() -> None:
    """Each frame gives the events that it gave when it was recorded."""
    venue, found = venues.named(VENUE), Counter[str]()
    parse = venue.reader()
    with RECORDING.open("rb") as lines:
        for item in text_recording.read(lines):
            if isinstance(item, text_recording.Received):
                for event in parse(item.frame):
                    refused = isinstance(event, Ack) and not event.ok
                    found["Refusal" if refused else type(event).__name__] += 1
    assert found == {{{counts}}}
'''


# --- new ----------------------------------------------------------------------------------------


def _new(args: argparse.Namespace) -> int:
    from exporter.cli import _new as new
    from exporter.config import ConfigError
    from exporter.venues import definition

    file = Path(args.venue)
    if file.suffix not in (".yml", ".yaml"):
        return _fail(f"{file}: expected the path of a new file that ends in .yml")
    if file.exists():
        return _fail(f"{file}: already exists")
    answers: dict[str, str] = {}
    sample = args.sample
    if sys.stdin.isatty():
        for name, question in _QUESTIONS.items():
            answers[name] = input(f"{question}: ").strip()
        sample = sample or input("A frame that tells of a trade, as JSON, or nothing: ").strip()
    try:
        text = new.definition(file.stem.lower(), answers, sample)
        file.write_text(text, encoding="utf-8")
    except ValueError as error:
        return _fail(f"--sample: {error}")
    except OSError as error:
        return _fail(f"{file}: {error.strerror}")
    print(f"written: {file}")
    try:
        definition.compiled(text, str(file))
    except ConfigError as error:
        print("\n".join(error.complaints), file=sys.stderr)
        return WRONG
    return 0
