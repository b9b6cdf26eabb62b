"""What `run` and `demo` share: the flags of a serving program, and serving itself."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exporter.config import Config

UNUSABLE = 2


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of a serving program."""
    parser.add_argument(
        "--web.listen-address",
        dest="listen",
        metavar="HOST:PORT",
        default=":9717",
        help="where to serve, port 0 for any free one (default :9717)",
    )
    parser.add_argument(
        "--log.level",
        dest="log_level",
        choices=("debug", "info", "warning", "error"),
        help="the least that is told, instead of the config's log.level",
    )
    parser.add_argument(
        "--log.format",
        dest="log_format",
        choices=("logfmt", "json"),
        help="one line an event in this form, instead of the config's log.format",
    )


def serve(
    config: Config,
    args: argparse.Namespace,
    ready: Callable[[int], None] = lambda port: None,
    reload: Callable[[], Config] | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT; give the exit status.

    ``ready`` is told the port; ``reload`` reads the config anew, or raises ConfigError.
    """
    from exporter.app import App, Options
    from exporter.edge import logs
    from exporter.edge.server import ListenError

    json = (args.log_format or config.log.format) == "json"
    logs.setup("json" if json else "logfmt", args.log_level or config.log.level)
    try:
        app = App(config, Options(listen_address=args.listen, ready=ready, reload=reload))
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(app.run())
    except ListenError as error:
        print(f"exchange-exporter: {error}", file=sys.stderr)
        return UNUSABLE
    return 0


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Take the event loop of the extra `fast` where it is installed."""
    if find_spec("uvloop") is None:
        return None
    import uvloop

    return uvloop.new_event_loop
