"""Write a capture as CSV files, for analysis elsewhere."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from exporter.words import why

HELP = """\
Writes the events of a capture to DIR: trades.csv, quotes.csv, klines.csv, and book.csv with one
line for each level. Lines are in the order in which events were received; times are epoch seconds,
prices and sizes exact.

exit status: 0 written (damaged ends are reported on stderr), 1 a file cannot be read or written
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "file", type=Path, metavar="CAPTURE", help="capture: a segment, or a directory of segments"
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="directory to write to; created if missing",
    )
    parser.add_argument(
        "--format", choices=("csv",), default="csv", help="format of the files (default csv)"
    )


def run(args: argparse.Namespace) -> int:
    """Write the files; return the exit status."""
    from exporter.capture import export, replay
    from exporter.capture.codec import CodecError
    from exporter.flow.segments import ForeignError

    try:
        counts = export.write(replay.blocks(args.file, _damaged), args.out)
    except (OSError, ForeignError, CodecError) as error:
        print(f"exchange-exporter export: {why(error, args.file)}", file=sys.stderr)
        return 1
    for name, count in sorted(counts.items()):
        print(f"{args.out / name}: {count} lines")
    if not counts:
        print("no events in the capture", file=sys.stderr)
    return 0


def _damaged(damage: str) -> None:
    print(f"exchange-exporter export: {damage}", file=sys.stderr)
