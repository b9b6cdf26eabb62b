"""Write the Grafana dashboards to a directory."""

from __future__ import annotations

import argparse

from exporter.cli import _shipped as shipped

HELP = """\
Writes the Grafana dashboards as JSON, to import by hand or to provision from the directory.

exit status: 0 written, 2 the directory cannot be written
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    shipped.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Write them; return the exit status."""
    return shipped.write("dashboards/json", args.out)
