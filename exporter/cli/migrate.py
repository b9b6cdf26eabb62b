"""Convert the config of blackbox_exporter, and list what has no equivalent."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from exporter.cli import _blackbox
from exporter.words import why

HELP = """\
Reads the modules of blackbox_exporter and its targets, and writes a config for `run`: each host
becomes an exchange of the venue `http`, each of its URLs an endpoint.

  migrate blackbox --modules=blackbox.yml --targets=prometheus.yml --out=exchanges.yml

The file of --targets is a Prometheus config, whose jobs with `metrics_path: /probe` are read, or a
file for its service discovery (a list of {targets: [...]}), together with --module. Settings
without an equivalent are listed on standard error. If a target is one of the exchanges that
`venues` lists, use that venue instead: it measures more.

exit status: 0 everything was converted, 1 written, but some settings have no equivalent, 2 a file
cannot be used
"""
PARTLY, UNUSABLE = 1, 2


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add = parser.add_argument
    add("what", choices=("blackbox",), help="program whose config to convert")
    add("--modules", type=Path, required=True, metavar="FILE", help="config of blackbox_exporter")
    add(
        "--targets",
        type=Path,
        required=True,
        metavar="FILE",
        help="Prometheus config, or file of targets",
    )
    add("--module", metavar="NAME", help="module of all targets (default: as each job says)")
    add("--out", type=Path, metavar="FILE", help="file to write (default: standard output)")


def run(args: argparse.Namespace) -> int:
    """Convert; return the exit status."""
    try:
        documents = [_document(path) for path in (args.modules, args.targets)]
        modules = documents[0].get("modules") if isinstance(documents[0], dict) else None
        if not isinstance(modules, dict):
            raise ValueError(f"{args.modules}: found no modules")
        found = _blackbox.targets(documents[1], args.module)
        result = _blackbox.migrate(modules, found)
        text = _text(result)
        if args.out is None:
            print(text, end="")
        else:
            args.out.write_text(text, encoding="utf-8")
    except (OSError, ValueError, AttributeError, TypeError) as error:
        print(f"exchange-exporter migrate: {' '.join(why(error).split())}", file=sys.stderr)
        return UNUSABLE
    endpoints = sum(len(each["endpoints"]) for each in result.exchanges)
    print(
        f"{len(found)} targets, {len(result.exchanges)} hosts, {endpoints} endpoints",
        file=sys.stderr,
    )
    for line in result.left_out:
        print(f"no equivalent: {line}", file=sys.stderr)
    mistakes = _mistakes(text, str(args.out or "-"))
    for line in mistakes:
        print(f"to correct by hand: {line}", file=sys.stderr)
    return PARTLY if result.left_out or mistakes else 0


def _document(path: Path) -> Any:
    """Return what a YAML file holds. Raises OSError, ValueError."""
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: found bytes that are not UTF-8, expected a text file") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: found text that is not YAML: {error}") from error


def _mistakes(text: str, name: str) -> tuple[str, ...]:
    """Return the mistakes that `check` would report, except for logins that are not set yet."""
    from exporter import config as settings
    from exporter import venues

    environ = dict.fromkeys(re.findall(r"env: ([A-Z0-9_]+)", text), "value")
    try:
        settings.read(text, name, venues.choices(), venues.load, environ)
    except settings.ConfigError as error:
        return error.complaints
    return ()


def _text(result: _blackbox.Migrated) -> str:
    import yaml

    head = "# From a config of blackbox_exporter. Check it: exchange-exporter check FILE\n"
    missing = [f"# no equivalent: {line}\n" for line in result.left_out]
    body = yaml.safe_dump({"exchanges": result.exchanges}, sort_keys=False, width=100)
    return head + "".join(missing) + body
