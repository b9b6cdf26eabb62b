"""The flags of the serving commands `run` and `demo`, and serving itself."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.cli import _build as build
from exporter.config import placement

if TYPE_CHECKING:
    from exporter.config import Config, ConfigError
    from exporter.config.placement import Shard

UNUSABLE, STUCK = 2, 1
_LAST_PATIENCE = 5.0  # seconds from having saved everything to the end, whatever still runs

log = logging.getLogger(__name__)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of a serving program."""
    parser.add_argument(
        "--web.listen-address",
        dest="listen",
        metavar="HOST:PORT",
        default=":9717",
        help="address to listen on; port 0 picks a free port (default :9717)",
    )
    parser.add_argument(
        "--storage.path",
        dest="storage",
        metavar="DIR",
        type=Path,
        help="directory for persistent state: bans, detector state, dead letters, spilled frames "
        "(default: nothing is stored)",
    )
    parser.add_argument(
        "--web.config.file",
        dest="web",
        metavar="FILE",
        help="web config file with TLS, logins and headers, in the format of the Prometheus "
        "exporter toolkit; reloaded when it changes",
    )
    parser.add_argument(
        "--shard",
        metavar="I/N",
        type=_shard,
        help="watch a part of the exchanges: shard I of N, from 0/N to N-1/N; `check --shards=N` "
        "lists them",
    )
    parser.add_argument(
        "--log.level",
        dest="log_level",
        choices=("debug", "info", "warning", "error"),
        help="lowest level that is logged, instead of the config's log.level",
    )
    parser.add_argument(
        "--log.format",
        dest="log_format",
        choices=("logfmt", "json"),
        help="format of log lines, instead of the config's log.format",
    )


def _shard(text: str) -> Shard:
    try:
        return placement.shard(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def serve(
    config: Config,
    args: argparse.Namespace,
    ready: Callable[[int], None] = lambda port: None,
    reload: Callable[[Config], Config] | None = None,
    refused: ConfigError | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT; return the exit status.

    ``ready`` is told the port; ``reload`` reads the config anew, given the one
    in force, or raises ConfigError. ``refused`` is what the config leaves out of its file.
    """
    from exporter import logs
    from exporter.config.secret import revealed
    from exporter.http import proxy
    from exporter.runtime.app import App, RunOptions
    from exporter.runtime.storage import StorageError
    from exporter.web.server import ListenError

    json = (args.log_format or config.log.format) == "json"
    try:
        hidden = [*revealed(config), *proxy.environment().secrets]
    except proxy.ProxyError as error:
        print(f"exchange-exporter: {error}", file=sys.stderr)
        return UNUSABLE
    logs.setup("json" if json else "logfmt", args.log_level or config.log.level, hidden)
    web = None
    if args.web is not None:
        from exporter.config import ConfigError
        from exporter.web.security import WebSecurity

        try:
            web = WebSecurity(args.web)
            web.load()
        except ConfigError as error:
            print("\n".join(error.complaints), file=sys.stderr)
            return UNUSABLE
    # A task or thread that does not let itself be stopped would keep the process for ever.
    insist = threading.Timer(_LAST_PATIENCE, _end)
    insist.daemon = True
    try:
        options = RunOptions(
            listen_address=args.listen,
            revision=build.revision(),
            config_file=getattr(args, "config", None),
            ready=ready,
            saved=insist.start,
            reload=reload,
            refused=refused,
            web=web,
            shard=args.shard,
            storage=args.storage,
        )
        app = App(config, options)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(app.run())
    except (ListenError, StorageError) as error:
        print(f"exchange-exporter: {error}", file=sys.stderr)
        return UNUSABLE
    finally:
        insist.cancel()
    return 0


def _end() -> None:
    """End the process now: what matters is on the disk."""
    log.error("ended_by_force waited_s=%.0f", _LAST_PATIENCE)
    logging.shutdown()
    os._exit(STUCK)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Take the event loop of the extra `fast` where it is installed."""
    if find_spec("uvloop") is None:
        return None
    import uvloop

    return uvloop.new_event_loop
