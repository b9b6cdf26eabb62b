"""List the venues that a config may name, including those of other packages."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exporter.contracts import Venue, VenueFact

HELP = """\
Prints every venue: its name in a config, its market data, whether its books have a checksum, what
it was verified against, and its origin: this program, an installed package (entry points
exchange_exporter.venues) or a directory of definitions. Notifiers and detectors of other packages
(exchange_exporter.notifiers, exchange_exporter.detectors) follow.

Facts of venues are recorded with source and date; --stale lists only those older than a year.

exit status: 0 all can be used, 1 some cannot (one line each), 2 a directory cannot be read
"""
REFUSED, UNUSABLE = 1, 2


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "--venues.dir", dest="venues_dir", metavar="DIR", type=Path,
        help="directory of venue definitions in YAML",
    )  # fmt: skip
    parser.add_argument(
        "--stale", action="store_true",
        help="list the facts that were read more than a year ago, with source and date",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Print the lists; return the exit status."""
    if args.stale:
        return _stale(datetime.now(UTC).date() - timedelta(days=365))
    from exporter import venues
    from exporter.anomaly import detectors
    from exporter.cli._columns import aligned
    from exporter.relay import notifiers

    packages = venues.installed()
    rows: list[tuple[str, ...]] = [
        ("venue", "title", "channels", "checksum", "checked against", "from")
    ]
    for name in venues.choices():
        rows.append(_row(venues.load(name), packages.packages.get(name, "exchange-exporter")))
    refused = [*packages.refused]
    try:
        for each in () if args.venues_dir is None else venues.folder(args.venues_dir):
            if isinstance(each, tuple):
                refused += each
            else:
                rows.append(_row(each.venue, each.file))
    except OSError as error:
        print(f"exchange-exporter venues: {args.venues_dir}: {error.strerror}", file=sys.stderr)
        return UNUSABLE
    print("\n".join(aligned(rows, numbers=0)))
    for kind, found in (("notifier", notifiers.installed()), ("detector", detectors.installed())):
        for name in found.good:
            print(f"{kind} {name}, from {found.packages[name]}")
        refused += found.refused
    for line in refused:
        print(f"refused: {line}", file=sys.stderr)
    return REFUSED if refused else 0


def _stale(limit: date) -> int:
    from exporter import venues
    from exporter.cli._columns import aligned

    rows: list[tuple[str, ...]] = [("venue", "what", "source", "read")]
    for name in venues.choices():
        found = stale(venues.load(name), limit)
        rows += [(name, each.what, each.source, each.read) for each in found]
    print("\n".join(aligned(rows, numbers=0)))
    return 0


def stale(venue: Venue, limit: date) -> list[VenueFact]:
    """Return the facts of a venue that were read before ``limit``; of a month the end counts."""
    return [each for each in venue.facts if each.read < limit.isoformat()[: len(each.read)]]


def _row(venue: Venue, source: str) -> tuple[str, ...]:
    summed = venue.book is not None and venue.book.checksum is not None
    channels = ", ".join(venue.topics) or "-"
    return venue.name, venue.title, channels, "yes" if summed else "-", venue.checked, source
