"""Watch the configured exchanges: probe endpoints, consume streams, publish metrics."""

from __future__ import annotations

import argparse
import sys

from exporter.cli import _serve as serve
from exporter.cli import _venues
from exporter.cli._flags import file_name

HELP = """\
Probes the exchanges' REST endpoints, consumes their WebSocket market data and serves the results:
  /            status page          /metrics    for Prometheus (text or OpenMetrics)
  /-/healthy   process is alive     /-/ready    every probe and stream has had its first attempt

SIGTERM and Ctrl-C stop it; a second one stops it immediately. SIGHUP reloads the config, and so
does POST /-/reload if the config has `server: {changes: true}`. Exchanges whose settings did not
change keep running; a config with mistakes is rejected, and the old one stays active. If
only the definition of a venue is wrong or unknown, the exchanges that use it keep their previous
settings, or are left out if they have none; all other exchanges use the new config.
`exchange-exporter check FILE` prints in advance what a config costs.

exit status: 0 stopped by a signal, 1 stopped by a signal, but too slowly, 2 the config or the
address cannot be used
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "--config.file",
        dest="config",
        type=file_name,
        metavar="FILE",
        required=True,
        help="config file, YAML",
    )
    _venues.arguments(parser)
    serve.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop; return the exit status."""
    from exporter import config as settings

    def load(before: settings.Config | None) -> settings.Config:
        return _venues.load(args.config, args.venues_dir, before)[0]

    refused: settings.ConfigError | None = None
    try:
        config = load(None)
    except settings.ConfigError as error:
        print("\n".join(error.complaints), file=sys.stderr)
        if error.instead is None:
            return serve.UNUSABLE
        config, refused = error.instead, error
    return serve.serve(config, args, reload=load, refused=refused)
