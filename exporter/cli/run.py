"""Watch the configured exchanges: probe, consume, publish."""

from __future__ import annotations

import argparse
import sys

from exporter.cli import _serve as serve

HELP = """\
Probes the exchanges' REST endpoints, consumes their WebSocket market data and serves what it sees:
  /            status page          /metrics    for Prometheus (text or OpenMetrics)
  /-/healthy   the process lives    /-/ready    every probe and stream had its first turn

SIGTERM and Ctrl-C end it; the second one at once. SIGHUP reads the config anew, and so does
POST /-/reload where the config has `server: {changes: true}`: exchanges whose settings did not
change run on, and a config that is wrong is refused while the old one stays in force.
`exchange-exporter check FILE` says first what a config costs.

exit status: 0 ended as told, 1 so too, but something did not stop in time, 2 the config or the
address cannot be used (said in one line or list)
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("--config.file", dest="config", metavar="FILE", required=True, help="YAML")
    serve.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop; return the exit status."""
    from exporter import config as settings
    from exporter import venues

    def load() -> settings.Config:
        return settings.load(args.config, venues.choices(), venues.load)

    try:
        config = load()
    except settings.ConfigError as error:
        print("\n".join(error.complaints), file=sys.stderr)
        return serve.UNUSABLE
    return serve.serve(config, args, reload=load)
