"""Watch a running exporter in the terminal: exchanges, endpoints, streams, books, anomalies."""

from __future__ import annotations

import argparse
import base64
import getpass
import json
import ssl
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit, urlunsplit

from exporter.cli._watch_state import StateError
from exporter.words import why

HELP = """\
Shows what the status page shows, in the terminal, over the exporter's API:

  watch http://127.0.0.1:9717
  watch https://scraper@exporter.example:9717 --password.file=FILE --ca.file=ca.pem
  watch http://127.0.0.1:9717 --once              one picture on standard output, for scripts

Keys: arrows or j and k choose, Enter opens an exchange, Escape goes back, s sorts (health, name,
latency, rate), / filters by name or health, a shows anomalies, q ends.

exit status: 0 ended by q, or with --once every exchange is up; 1 with --once not all are up; 2 the
exporter does not answer, or refuses
"""
NOT_UP, UNREACHABLE = 1, 2
_PATIENCE = 10.0  # seconds
_LONGEST = 64 << 20  # bytes of an answer


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add = parser.add_argument
    add("url", metavar="URL", help="base URL of the exporter; may name a user")
    add("--once", action="store_true", help="print one picture, and end")
    add("--every", type=float, default=2.0, metavar="SECONDS",
        help="time between two looks (default: %(default)s)")  # fmt: skip
    add("--password.file", dest="password", type=Path, metavar="FILE",
        help="file with the user's password (default: asked for)")  # fmt: skip
    add("--ca.file", dest="ca", metavar="FILE", help="authorities to trust instead of the system's")
    add("--cert.file", dest="cert", metavar="FILE", help="our certificate, with --key.file")
    add("--key.file", dest="key", metavar="FILE", help="its key")


@dataclass(frozen=True, slots=True)
class StateSource:
    """Where the state is had: the URL without a login, its headers, and how TLS is spoken."""

    url: str
    headers: dict[str, str]
    context: ssl.SSLContext | None

    def read(self) -> Any:
        """Return the state as plain data. Raises StateError."""
        request = urllib.request.Request(  # noqa: S310 - the scheme was looked at
            f"{self.url}/api/v1/state", headers=self.headers
        )
        try:
            with urllib.request.urlopen(  # noqa: S310 - as above
                request, timeout=_PATIENCE, context=self.context
            ) as answer:
                return json.loads(answer.read(_LONGEST))
        except HTTPError as error:
            with error:
                hint = {401: ": name a user, https://USER@HOST", 404: ": server.api is off"}
                raise StateError(f"{self.url}: {error.code}{hint.get(error.code, '')}") from error
        except (OSError, ValueError) as error:
            raise StateError(f"{self.url}: {why(getattr(error, 'reason', error))}") from error


def source(args: argparse.Namespace) -> StateSource:
    """Return where the flags point to. Raises StateError."""
    parts = urlsplit(args.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise StateError("expected a URL such as http://127.0.0.1:9717")
    headers = {}
    if parts.username:
        password = parts.password
        if password is None and args.password is not None:
            password = args.password.read_text(encoding="utf-8").rstrip("\r\n")
        if password is None:
            password = getpass.getpass(f"password of {parts.username}: ")
        pair = base64.b64encode(f"{parts.username}:{password}".encode()).decode()
        headers["Authorization"] = f"Basic {pair}"
    context = None
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=args.ca)
        if args.cert:
            context.load_cert_chain(args.cert, args.key)
    host = parts.netloc.rpartition("@")[2]
    return StateSource(
        urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", "")), headers, context
    )


def run(args: argparse.Namespace) -> int:
    """Show until told to stop; return the exit status."""
    try:
        found = source(args)
        if args.once:
            return _once(found)
        found.read()  # what is wrong now is said before the screen changes
    except (StateError, OSError) as error:
        print(f"exchange-exporter watch: {why(error)}", file=sys.stderr)
        return UNREACHABLE
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        print("exchange-exporter watch: no terminal; --once prints one picture", file=sys.stderr)
        return UNREACHABLE
    from exporter.cli._watch_screen import show

    show(found.read, max(0.2, args.every))
    return 0


def _once(found: StateSource) -> int:
    from exporter.cli._watch_state import snapshot_of
    from exporter.cli._watch_view import View, frame
    from exporter.web.state import Health

    snapshot = snapshot_of(found.read())
    lines = frame(snapshot, View(chosen=-1), "", 200, 10_000)
    print("\n".join(line.text.rstrip() for line in lines[:-1]))
    return 0 if snapshot.health is Health.UP else NOT_UP
