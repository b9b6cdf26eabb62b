"""Write the Prometheus rules, the Alertmanager config and the runbooks to a directory."""

from __future__ import annotations

import argparse

from exporter.cli import _shipped as shipped

HELP = """\
Writes the recording and alerting rules, their unit tests, the Alertmanager config and the runbooks,
for an existing Prometheus. In prometheus.yml:

  rule_files: [DIR/*.yml]

DIR/alertmanager/alertmanager.yml is for Alertmanager; DIR/tests is for `promtool test rules`.

exit status: 0 written, 2 the directory cannot be written
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    shipped.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Write them; return the exit status."""
    apart = {"alertmanager.yml": "alertmanager/alertmanager.yml"}
    return shipped.write("alert_rules", args.out, apart)
