"""Record the configured streams in a compact binary form, for replay."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.cli import _serve as serve
from exporter.cli import _venues
from exporter.cli._flags import file_name
from exporter.config.units import duration, format_size, size
from exporter.words import why

if TYPE_CHECKING:
    from exporter.capture.record import Capture
    from exporter.cli._online import Findings
    from exporter.config import Config, Places

HELP = """\
Connects to the streams of a config and records every event: trades, best prices, book updates,
candles, and control messages. DIR is filled with numbered segments of checksummed blocks;
`exchange-exporter replay DIR` runs them through the same feeds, signals and detectors.

Patterns in symbols are replaced once, at the start, by the markets that match then.

Events are written every quarter of a second. A killed process loses only what was not written yet:
an incomplete last block is detected, and removed when the directory is next written to. Files are
synced to disk once a second and at the end of each segment; a power failure loses at most that
much. Prices and sizes are stored exactly, but as numbers: book checksums cannot be verified from a
capture.

SIGTERM and Ctrl-C end it cleanly.

exit status: 0 ended by --for or a signal, 1 DIR cannot be written, 2 the config cannot be
used
"""
FAILED = 1
_LOG_EVERY = 10.0  # seconds


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
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="directory to write to; created if missing",
    )
    parser.add_argument(
        "--for",
        dest="duration",
        type=_seconds,
        metavar="TIME",
        help="stop after this time, such as 90s or 1h30m (default: when interrupted)",
    )
    parser.add_argument(
        "--segment.size",
        dest="segment_size",
        type=_bytes,
        default=64 << 20,
        metavar="SIZE",
        help="start a new segment at this size (default 64MiB)",
    )
    parser.add_argument(
        "--max.bytes",
        dest="max_bytes",
        type=_bytes,
        metavar="SIZE",
        help="remove the oldest segments to stay below this total size, at least two segments "
        "(default: no limit)",
    )


def _seconds(text: str) -> float:
    try:
        return duration(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"found {text[:40]!r}, expected 90s or 1h30m") from None


def _bytes(text: str) -> int:
    try:
        return size(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"found {text[:40]!r}, expected a size such as 64MiB"
        ) from None


def run(args: argparse.Namespace) -> int:
    """Record until told to stop; return the exit status."""
    from exporter import config as settings
    from exporter import logs
    from exporter.capture.record import Capture
    from exporter.http import proxy

    try:
        proxy.environment()
        config, places = _venues.load(args.config, args.venues_dir)
    except proxy.ProxyError as error:
        print(f"exchange-exporter capture: {error}", file=sys.stderr)
        return serve.UNUSABLE
    except settings.ConfigError as error:
        print("\n".join(error.complaints), file=sys.stderr)
        return serve.UNUSABLE
    if not any(exchange.streams for exchange in config.exchanges):
        print(f"exchange-exporter capture: {args.config}: no streams to record", file=sys.stderr)
        return serve.UNUSABLE
    logs.setup("json" if config.log.format == "json" else "logfmt", "warning")
    if any(exchange.selections for exchange in config.exchanges):
        found = asyncio.run(_looked_up(config, places))
        if wrong := [*found.complaints, *found.unasked]:
            print("\n".join(wrong), file=sys.stderr)
            return serve.UNUSABLE
        config = found.config
    try:
        capture = Capture(
            config,
            args.out,
            segment_size=args.segment_size,
            max_bytes=args.max_bytes,
            progress=_show if sys.stderr.isatty() else _seldom(),
        )
    except (OSError, ValueError) as error:
        print(f"exchange-exporter capture: {why(error)}", file=sys.stderr)
        return FAILED if isinstance(error, OSError) else serve.UNUSABLE
    try:
        asyncio.run(_record(capture, args.duration))
    except OSError as error:
        print(f"exchange-exporter capture: {why(error, args.out)}", file=sys.stderr)
        return FAILED
    finally:
        _show_end(capture)
    return 0


async def _looked_up(config: Config, places: Places) -> Findings:
    """Ask the venues which markets patterns stand for: those of now are recorded."""
    from exporter.cli import _online
    from exporter.clock import SystemClock
    from exporter.http.client import HttpClient

    async with HttpClient() as fetch:
        return await _online.look_up(config, places, fetch, SystemClock())


async def _record(capture: Capture, duration: float | None) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)

    def once() -> None:
        stop.set()
        for each in signals:  # the second one ends the process as it always does
            loop.remove_signal_handler(each)

    for each in signals:
        loop.add_signal_handler(each, once)
    await capture.run(stop, duration)


def _seldom() -> Callable[[Capture], None]:
    """Return what shows a line every 10 s, for a log."""
    due: float | None = None

    def show(capture: Capture) -> None:
        nonlocal due
        now = capture.clock.monotonic()
        if due is None or now >= due:
            if due is not None:
                _show(capture)
                print(file=sys.stderr, flush=True)
            due = now + _LOG_EVERY

    return show


def _show_end(capture: Capture) -> None:
    """Say what there is now; that no stream is connected any more is no news."""
    recorder = capture.recorder
    lost = f", {recorder.dropped} dropped" if recorder.dropped else ""
    gone = recorder.writer.removed
    removed = f", {gone} old segments removed" if gone else ""
    start = "\r\x1b[K" if sys.stderr.isatty() else ""
    print(
        f"{start}done, {recorder.board.events} events in {recorder.writer.directory}, "
        f"{format_size(recorder.writer.size)}{lost}{removed}",
        file=sys.stderr,
        flush=True,
    )


def _show(capture: Capture) -> None:
    recorder = capture.recorder
    up = sum(capture.connected.values())
    line = (
        f"{recorder.board.events} events, {format_size(recorder.writer.size)} in"
        f" {recorder.writer.directory}, {up} of {len(capture.connected)} streams connected,"
        f" {recorder.dropped} dropped, {recorder.writer.removed} segments removed"
    )
    start = "\r\x1b[K" if sys.stderr.isatty() else ""
    print(start + line, end="", file=sys.stderr, flush=True)
