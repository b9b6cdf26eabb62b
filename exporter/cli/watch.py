"""Watch a running exporter in the terminal: exchanges, streams, queues, anomalies, the relay."""

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
  watch http://127.0.0.1:9717 --relay.url=http://127.0.0.1:9719
  watch https://scraper@exporter.example:9717 --password.file=FILE --ca.file=ca.pem
  watch http://127.0.0.1:9717 --once              print once, for scripts

Tabs: exchanges, endpoints, streams, books, queues, anomalies, and with --relay.url incidents and
messages; 1 to 8 and the mouse choose one. Arrows select a row, Enter shows that exchange alone,
Escape all again; s sorts by the next column (so does a click on its head), r the other way round;
/ filters by a word; q quits. It needs Textual: pip install 'exchange-exporter[watch]'; --once does
not.

exit status: 0 ended by q, or with --once all exchanges are up; 1 with --once not all are up; 2 the
exporter does not answer, or denies access
"""
NOT_UP, UNREACHABLE = 1, 2


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add = parser.add_argument
    add("url", metavar="URL", help="base URL of the exporter; may name a user")
    add(
        "--relay.url",
        dest="relay",
        metavar="URL",
        help="base URL of the relay, to show its incidents and messages; TLS and password as above",
    )
    add("--once", action="store_true", help="print the state once, and exit")
    add("--every", type=float, default=2.0, metavar="SECONDS",
        help="time between two updates (default: %(default)s)")  # fmt: skip
    _api.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Show until told to stop; return the exit status."""
    try:
        found = _api.source(args.url, args)
        relay = None if args.relay is None else _api.source(args.relay, args)
        if args.once:
            return _once(found, relay)
        _state(found)  # what is wrong now is said before the screen changes
        if relay is not None:
            _state(relay)
    except (ApiError, OSError) as error:
        print(f"exchange-exporter watch: {why(error)}", file=sys.stderr)
        return UNREACHABLE
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        print("exchange-exporter watch: no terminal; --once prints one picture", file=sys.stderr)
        return UNREACHABLE
    try:
        from exporter.cli._watch_app import StateReader, WatchApp
    except ModuleNotFoundError as error:
        need = f"needs {error.name}: pip install 'exchange-exporter[watch]', or try --once"
        print(f"exchange-exporter watch: {need}", file=sys.stderr)
        return UNREACHABLE
    ask = None if relay is None else partial(_state, relay)
    WatchApp(StateReader(partial(_state, found), ask, max(0.2, args.every))).run()
    return 0


def _state(found: ApiSource) -> Any:
    """Return the state as plain data. Raises ApiError."""
    try:
        return found.read("/api/v1/state")
    except ApiError as error:
        if error.status == 404:
            raise ApiError(f"{found.url}: 404: server.api is off, or it is too old") from error
        raise


def _once(found: ApiSource, relay: ApiSource | None) -> int:
    from exporter.cli._watch_state import snapshot_of
    from exporter.cli._watch_tables import View, arranged, as_text, summary, tables, wrong
    from exporter.web.state import Health

    told = None if relay is None else _state(relay)
    snapshot = snapshot_of(_state(found))
    print(summary(snapshot, told))
    shown = tables(snapshot, told)
    for name in ("exchanges",) if told is None else ("exchanges", "incidents", "messages"):
        print(*as_text(shown[name], arranged(shown[name], View())), "", sep="\n")
    for _, line in wrong(snapshot, (each.name for each in snapshot.exchanges)):
        print(line)
    return 0 if snapshot.health is Health.UP else NOT_UP
