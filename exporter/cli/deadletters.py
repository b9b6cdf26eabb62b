"""List, show, replay or purge the frames that could not be parsed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.cli import _venues

if TYPE_CHECKING:
    from exporter.flow.dead_letters import DeadLetter

HELP = """\
`run --storage.path=DIR` stores each frame that the venue's parser rejects, that was dropped because
of an internal error, or that a killed process had spilled to disk, with the reason.

  list     print one line per frame, oldest first
  show     print one frame in full, by its name in the list
  replay   parse all frames again with the current parsers, and print the result
  purge    remove all frames; not while `run` writes there

exit status: 0 done, 1 replay found frames that still cannot be parsed, 2 the command failed
"""
UNREADABLE, UNUSABLE = 1, 2


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("action", choices=("list", "show", "replay", "purge"))
    parser.add_argument("name", nargs="?", help="name of a dead letter, from `list` (show, replay)")
    parser.add_argument(
        "--storage.path",
        dest="storage",
        metavar="DIR",
        type=Path,
        required=True,
        help="storage directory, as of `run`",
    )
    parser.add_argument("--exchange", help="only dead letters of this exchange")
    _venues.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand; return the exit status."""
    from exporter.flow import dead_letters
    from exporter.flow.segments import BusyError

    folder = args.storage / "deadletters"
    if args.action == "show" and not args.name:
        return _fail("show: name one; `deadletters list` lists the names")
    if args.action in ("list", "purge") and args.name:
        return _fail(f"{args.action}: takes no name, found {args.name[:40]!r}")
    if args.action == "purge" and args.exchange:
        return _fail("purge: removes all frames; --exchange does not apply")
    if not args.storage.is_dir():
        return _fail(f"{args.storage}: no such directory")
    try:
        match args.action:
            case "list":
                found = False
                for name, letter in _letters(folder, args):
                    print(f"{name:>8}  {_line(letter)}")
                    found = True
                if not found:
                    of = f" of {args.exchange}" if args.exchange else ""
                    print(f"no dead letters{of} in {folder}", file=sys.stderr)
            case "show":
                return _show(folder, args)
            case "replay":
                return _replay(folder, args)
            case _:
                print(f"removed {dead_letters.purge(folder)} segments")
    except BusyError:
        return _fail(f"{folder}: the exporter writes there; stop it first")
    except OSError as error:
        return _fail(str(error))
    return 0


def _letters(folder: Path, args: argparse.Namespace) -> Iterator[tuple[str, DeadLetter]]:
    from exporter.flow import dead_letters
    from exporter.flow.segments import DamagedSegmentError

    for name, letter in dead_letters.read(folder):
        if isinstance(letter, DamagedSegmentError):
            # A torn tail is what a kill leaves, or what is being written this very moment.
            print(f"{name}: {letter}", file=sys.stderr)
        elif args.exchange in (None, letter.exchange) and args.name in (None, name):
            yield name, letter


def _line(letter: DeadLetter) -> str:
    when = datetime.fromtimestamp(letter.time, UTC).isoformat(timespec="milliseconds")
    return f"{when}  {letter.exchange}/{letter.stream}  {letter.size} bytes  {letter.reason!r}"


def _show(folder: Path, args: argparse.Namespace) -> int:
    for _, letter in _letters(folder, args):
        print(_line(letter))
        try:
            text = letter.frame.decode()
        except UnicodeDecodeError:
            text = letter.frame.hex(" ", 4)
        # What a venue sent must not move the cursor of whoever reads it.
        print("".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1]
                      for char in text))  # fmt: skip
        return 0
    return _fail(f"no letter {args.name}")


def _replay(folder: Path, args: argparse.Namespace) -> int:
    from exporter import venues
    from exporter.decoding import ParseError

    own, read, refused = _venues.defined(args.venues_dir), 0, 0
    for name, letter in _letters(folder, args):
        try:
            venue = own.get(letter.venue) or venues.find(letter.venue)
            if venue is None:
                raise ParseError(f"no venue {letter.venue}; --venues.dir names more of them")
            if letter.size > len(letter.frame):
                raise ParseError("only its beginning was stored")
            events = venue.reader()(letter.frame)
        except Exception as error:  # noqa: BLE001 - what is no ParseError is a bug, to be named
            refused += 1
            kind = "" if isinstance(error, ParseError) else f"a bug, {type(error).__name__}: "
            print(f"{name:>8}  still unreadable: {kind}{str(error)[:200]!r}")
        else:
            read += 1
            kinds = ", ".join(type(event).__name__ for event in events) or "nothing"
            print(f"{name:>8}  read: {kinds}")
    if args.name and not read + refused:
        return _fail(f"no letter {args.name}")
    print(f"{read} read, {refused} still unreadable")
    return UNREADABLE if refused else 0


def _fail(message: str) -> int:
    print(f"exchange-exporter: {message}", file=sys.stderr)
    return UNUSABLE
