"""Write the record of an incident: first sample, detection, page, delivery, failures, ends."""

from __future__ import annotations

import argparse
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.cli import _api
from exporter.words import why

if TYPE_CHECKING:
    from exporter.relay.record import IncidentRecord

HELP = """\
Puts together what is known of one incident, as a record to hand on: what a relay's spool knows of
its alerts, its messages and their ends, from Prometheus the first bad sample, what failed how often
and what the exchange declared, from a running exporter its last failures one by one. Receivers are
named, recipients are not.

  incident --spool=relay.db                       the newest incidents with their ids
  incident 0123456789ab-17 --spool=relay.db --prometheus.url=http://127.0.0.1:9090
  incident 0123456789ab-17 --spool=relay.db --exporter.url=http://127.0.0.1:9717 --format=json

The spool may be that of a relay that runs. The id stands on the relay's page, too.

exit status: 0 the record is written, 1 there is no such incident, 2 the spool or a URL cannot be
used; what Prometheus or the exporter did not answer is said in the record
"""
NONE, UNUSABLE = 1, 2
_LISTED = 20


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add = parser.add_argument
    add("id", nargs="?", metavar="ID", help="of the incident (default: list the newest)")
    add("--spool", type=Path, required=True, metavar="FILE", help="the relay's spool.path")
    add("--prometheus.url", dest="prometheus", metavar="URL", help="base URL of a Prometheus")
    add("--exporter.url", dest="exporter", metavar="URL", help="base URL of the exporter")
    add("--format", choices=("md", "json"), default="md", help="default: %(default)s")
    add("--out", type=Path, metavar="FILE", help="file to write (default: standard output)")
    _api.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Write the record, or the list; return the exit status."""
    from exporter.clock import SystemClock
    from exporter.relay import outbox, record, store

    if not args.spool.is_file():
        return _fail(f"{args.spool}: no such spool", UNUSABLE)
    try:
        db = store.connect(args.spool)
        try:
            outbox.begin(db)
            if args.id is None:
                return _list(db)
            found = record.read(db, args.id)
        finally:
            db.close()
    except (sqlite3.Error, OSError) as error:
        return _fail(why(error, args.spool), UNUSABLE)
    if found is None:
        return _fail(f"{args.spool}: no incident {args.id}", NONE)
    try:
        whole = _asked(found, args, SystemClock().wall())
        _write(whole, args.format, args.out)
    except (_api.ApiError, OSError) as error:
        return _fail(why(error), UNUSABLE)
    return 0


def _asked(found: IncidentRecord, args: argparse.Namespace, now: float) -> IncidentRecord:
    """Add what others know, and name who does not answer. Raises ApiError for a wrong URL."""
    from exporter.cli import _record_sources as sources

    ways: tuple[tuple[str, str | None, Callable[..., IncidentRecord]], ...] = (
        ("Prometheus", args.prometheus, sources.from_prometheus),
        ("the exporter", args.exporter, sources.from_exporter),
    )
    for who, url, add in ways:
        if url is None:
            found = replace(found, unknown=(*found.unknown, f"{who} was not asked"))
            continue
        place = _api.source(url, args)
        try:
            found = add(found, place, now)
        except (_api.ApiError, KeyError, TypeError, ValueError, AttributeError) as error:
            found = replace(found, unknown=(*found.unknown, f"{who} did not answer: {why(error)}"))
    return found


def _write(found: IncidentRecord, form: str, out: Path | None) -> None:
    import msgspec

    from exporter.cli import _record_text

    if form == "json":
        text = msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n"
    else:
        text = _record_text.as_markdown(found)
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text, encoding="utf-8")


def _list(db: sqlite3.Connection) -> int:
    from datetime import UTC, datetime

    from exporter.relay import incident_store

    rows = incident_store.recent(db, _LISTED)
    for each in rows:
        alerts = (*each.firing, *each.ended)
        names = ", ".join(dict.fromkeys(alert.name for alert in alerts))
        where = ", ".join(sorted({alert.exchange for alert in alerts if alert.exchange}))
        opened = datetime.fromtimestamp(each.opened, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        state = "firing" if each.firing else "ended"
        print(f"{each.id}  {opened}  {state:6}  {each.level.value:8}  {where}  {names}")
    if not rows:
        return _fail("no incidents yet", NONE)
    return 0


def _fail(line: str, status: int) -> int:
    print(f"exchange-exporter incident: {line}", file=sys.stderr)
    return status
