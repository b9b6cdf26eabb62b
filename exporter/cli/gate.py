"""Ask a running exporter why a gate is open or closed."""

from __future__ import annotations

import argparse
import json
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import Any

from exporter.words import why

HELP = """\
Asks a running exporter for the state of its gates, and prints the reasons in words.

exit status: 0 all requested gates are open, 1 a gate is closed, 2 no answer"""

_PATIENCE = 10.0  # seconds
_LONGEST = 1 << 22  # bytes of an answer


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    ways = parser.add_subparsers(dest="way", required=True, metavar="explain")
    explain = ways.add_parser("explain", help="print what closes a gate, or that it is open")
    explain.add_argument(
        "name", nargs="?", metavar="NAME", help="name of the gate (default: all gates)"
    )
    explain.add_argument(
        "--url",
        default="http://127.0.0.1:9717",
        help="base URL of the exporter (default: %(default)s); with a login: "
        "http://USER:PASSWORD@HOST:PORT",
    )
    explain.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="output format (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Print the answer; return the exit status."""
    try:
        found = _ask(args.url, args.name)
    except (OSError, ValueError, KeyError, TypeError) as error:
        *_, place = args.url.rpartition("@")  # not its login
        print(f"exchange-exporter gate: {why(error, place)}", file=sys.stderr)
        return 2
    if args.format == "json":
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print("\n".join(line for gate in found for line in _words(gate)) or "no gates configured")
    return 0 if all(gate["quote"] for gate in found) else 1


def _ask(base: str, name: str | None) -> list[dict[str, Any]]:
    """Fetch one gate, or all. Raises OSError, ValueError with one line that says why."""
    path = "/api/v1/gates" if name is None else f"/api/v1/gates/{name}"
    opener = urllib.request.build_opener()
    head, at, host = base.partition("://")
    login, _, place = host.rpartition("@")
    request = urllib.request.Request(f"{head}{at}{place}{path}")  # noqa: S310 - as was asked
    if login:
        from base64 import b64encode

        request.add_header("Authorization", f"Basic {b64encode(login.encode()).decode()}")
    try:
        with opener.open(request, timeout=_PATIENCE) as answer:
            said = json.loads(answer.read(_LONGEST))
    except urllib.error.HTTPError as error:
        said = json.loads(error.read(_LONGEST))
        if "quote" not in said:
            raise ValueError(said.get("error", f"status {error.code}")) from error
    return list(said["gates"]) if name is None else [said]


def _words(gate: dict[str, Any]) -> list[str]:
    since = datetime.fromtimestamp(gate["since"], UTC).isoformat(timespec="seconds")
    state = "open" if gate["quote"] else "closed"
    cancel = "" if gate["quote"] or gate["cancel"] else ", and orders cannot be cancelled either"
    lines = [f"{gate['name']}: {state} since {since}{cancel}"]
    for each in gate["reasons"]:
        need = f" ({each['need']})" if each["need"] else ""
        lines.append(f"  {each['where']}{need}: {each['why']}")
    return lines
