"""Report a month from Prometheus: availability, minutes lost, outages, incidents, lead times."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from exporter import __version__
from exporter.cli import _api
from exporter.words import why

HELP = """\
Summarizes a month of each exchange from Prometheus: the availability of its probes, feed, books
and gates, the minutes lost by fault domain, maintenance, the longest outage, the incidents that it
declared, how long before that the exporter detected them, and the time without data.

  report --month=2026-10 --prometheus.url=http://127.0.0.1:9090 --format=html --out=october.html
  report --month=2026-10 --prometheus.url=https://me@prometheus.example --format=csv
  report --month=2026-10 --prometheus.url=http://127.0.0.1:9090 --match='site="tokyo"'

The step must not be shorter than the scrape interval. The HTML report fits A4 landscape.

exit status: 0 the report is written, 1 Prometheus does not answer or has no data, 2 the
flags are wrong
"""
NO_ANSWER, UNUSABLE = 1, 2
_PATIENCE = 300.0  # seconds for one query: a week of minutes of many endpoints
_STEPS = (15, 30, 60, 120, 300, 600, 900)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add = parser.add_argument
    add("--month", required=True, metavar="YYYY-MM", help="month to report, such as 2026-10")
    add("--prometheus.url", dest="prometheus", required=True, metavar="URL",
        help="base URL of a server with Prometheus's API; may contain a user name")  # fmt: skip
    add("--format", choices=("html", "csv", "json"), default="html", help="default: %(default)s")
    add("--out", type=Path, metavar="FILE", help="file to write (default: standard output)")
    add("--zone", default="UTC", help="time zone of the month, such as Asia/Tokyo (default: UTC)")
    add("--step", type=int, choices=_STEPS, default=60, metavar="SECONDS",
        help=f"length of a step: {', '.join(map(str, _STEPS))} (default: %(default)s)")  # fmt: skip
    add("--match", default="", metavar="MATCHERS",
        help="further label matchers of every query, such as 'site=\"tokyo\"'")  # fmt: skip
    add("--exchange", action="append", default=[], metavar="NAME",
        help="only this exchange (repeatable; default: all)")  # fmt: skip
    _api.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Query, summarize and write; return the exit status."""
    from exporter.clock import SystemClock
    from exporter.report import month, rendering
    from exporter.report.samples import AnswerError

    now = SystemClock().wall()
    try:
        period = month.period_of(args.month, args.zone, now)
        prometheus = _api.source(args.prometheus, args)
    except (ValueError, _api.ApiError, OSError) as error:
        return _fail(why(error), UNUSABLE)

    def ask(query: str, first: float, last: float, step: float) -> Any:
        form = {"query": query, "start": f"{first:.3f}", "end": f"{last:.3f}", "step": f"{step:g}"}
        return prometheus.read("/api/v1/query_range", form, patience=_PATIENCE)

    try:
        found = month.report(
            period, ask, step=float(args.step), now=now, match=args.match, only=args.exchange
        )
    except (_api.ApiError, AnswerError) as error:
        return _fail(str(error), NO_ANSWER)
    match args.format:
        case "json":
            text = rendering.as_json(found)
        case "csv":
            text = rendering.as_csv(found)
        case _:
            text = rendering.as_html(found, __version__)
    if args.out is None:
        sys.stdout.write(text)
        return 0
    try:
        args.out.write_text(text, encoding="utf-8")
    except OSError as error:
        return _fail(why(error), UNUSABLE)
    return 0


def _fail(line: str, status: int) -> int:
    print(f"exchange-exporter report: {line}", file=sys.stderr)
    return status
