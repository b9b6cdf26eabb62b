"""Watch a running exporter in the terminal: exchanges, endpoints, streams, books, anomalies."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from typing import Any

from exporter.cli import _api
from exporter.cli._api import ApiError, ApiSource
from exporter.words import why

HELP = """\
Shows the content of the status page in the terminal, through the exporter's API:

  watch http://127.0.0.1:9717
  watch https://scraper@exporter.example:9717 --password.file=FILE --ca.file=ca.pem
  watch http://127.0.0.1:9717 --once              print once, for scripts

Keys: arrows or j and k select, Enter opens an exchange, Escape goes back, s sorts (health, name,
latency, rate), / filters by name or health, a shows anomalies, q quits.

exit status: 0 ended by q, or with --once all exchanges are up; 1 with --once not all are up; 2 the
exporter does not answer, or denies access
"""
NOT_UP, UNREACHABLE = 1, 2


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add = parser.add_argument
    add("url", metavar="URL", help="base URL of the exporter; may name a user")
    add("--once", action="store_true", help="print the state once, and exit")
    add("--every", type=float, default=2.0, metavar="SECONDS",
        help="time between two updates (default: %(default)s)")  # fmt: skip
    _api.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Show until told to stop; return the exit status."""
    try:
        found = _api.source(args.url, args)
        if args.once:
            return _once(found)
        _state(found)  # what is wrong now is said before the screen changes
    except (ApiError, OSError) as error:
        print(f"exchange-exporter watch: {why(error)}", file=sys.stderr)
        return UNREACHABLE
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        print("exchange-exporter watch: no terminal; --once prints one picture", file=sys.stderr)
        return UNREACHABLE
    from exporter.cli._watch_screen import show

    show(partial(_state, found), max(0.2, args.every))
    return 0


def _state(found: ApiSource) -> Any:
    """Return the state as plain data. Raises ApiError."""
    try:
        return found.read("/api/v1/state")
    except ApiError as error:
        if error.status == 404:
            raise ApiError(f"{found.url}: 404: server.api is off") from error
        raise


def _once(found: ApiSource) -> int:
    from exporter.cli._watch_state import snapshot_of
    from exporter.cli._watch_view import View, frame
    from exporter.web.state import Health

    snapshot = snapshot_of(_state(found))
    lines = frame(snapshot, View(chosen=-1), "", 200, 10_000)
    print("\n".join(line.text.rstrip() for line in lines[:-1]))
    return 0 if snapshot.health is Health.UP else NOT_UP
