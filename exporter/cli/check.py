"""Check a config, and print what it costs.

Reads the file as `run` would. Uses the network only with --online.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from math import ceil

from exporter import config as settings
from exporter import venues
from exporter.cli import _estimate as estimate
from exporter.cli import _facts as facts
from exporter.cli import _online as online
from exporter.cli import _promise as promise
from exporter.cli import _requests as requests
from exporter.cli import _venues
from exporter.cli._columns import aligned
from exporter.cli._costs import cost_of, lines_of
from exporter.cli._requests import RequestKind
from exporter.config import Config, ConfigError, ExchangeConfig, placement
from exporter.config.units import duration, format_duration
from exporter.deadlines.concern import concerning
from exporter.deadlines.watch import known_deadlines
from exporter.http.proxy import ProxyError
from exporter.model import QueuePolicy

HELP = """\
Checks a config file exactly as `run` reads it, and prints its cost: series, probes per second,
request weight against each exchange's limits, connections and subscriptions; memory, CPU cores,
the size of a scrape and how many shards are needed; and the
longest time until people are notified of an exchange that is down, with the shipped rules and a
scrape every 5 s.

Each mistake is one line: file, line, key, what was found, what was expected. Nothing in the file
is expanded (no ${VAR}); secrets come from {env: NAME} or {file: PATH} and must exist.

With --shards=N it prints instead which exchanges each of N processes would watch.

With --online it also reads each exchange's list of markets and rejects symbols that are not listed.
Patterns are replaced by the markets that match now, and the cost is computed for these (without
--online: for symbols_limit markets). Then it tests each exchange from this machine: name
resolution, connection, TLS, every endpoint, the clock and the rate limit headers. At each stream
address it subscribes to one symbol of each channel, and waits for the acknowledgement and the first
message. Facts that the venue file marks as uncertain are tested where one request can decide them.
Each fact is reported as `as documented`, `different` or `not seen`, followed by what to change and
a block for a bug report. --format=json prints the same for programs.

exit status: 0 the config is valid and, with --online, everything is as documented; 1 the config has
mistakes, 2 it cannot be read, 3 it has no mistakes, but an exchange did not answer, or a fact was
different or not seen
"""
MISTAKES, UNREADABLE, UNSURE = 1, 2, 3
_SLOW_START = 5.0  # minutes


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("file", metavar="FILE", help="config file, YAML")
    _venues.arguments(parser)
    parser.add_argument(
        "--online",
        action="store_true",
        help="test each exchange: whether the symbols are listed, and whether it behaves as "
        "documented",
    )
    parser.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="output format of the results of --online (default: %(default)s)",
    )
    parser.add_argument(
        "--wait",
        type=_duration,
        default=15.0,
        metavar="DURATION",
        help="with --online: how long a stream has for its first message (default: 15s)",
    )
    parser.add_argument(
        "--shards",
        type=_count_of_shards,
        metavar="N",
        help="print which exchanges each of N shards would watch (`run --shard=I/N`)",
    )


def run(args: argparse.Namespace) -> int:
    """Check one file and return the exit status."""
    try:
        config, places = _venues.load(args.file, args.venues_dir)
    except ConfigError as error:
        print("\n".join(error.complaints), file=sys.stderr)
        if error.unreadable:
            return UNREADABLE
        return _count(error.complaints)
    if args.shards is not None:
        print("\n".join(shares(config, args.shards)))
    if not args.online:
        if args.shards is None:
            print("\n".join(report(args.file, config)))
        return 0
    try:
        found, judged = asyncio.run(_ask(config, places, args.wait))
    except ProxyError as error:
        print(f"exchange-exporter check: {error}", file=sys.stderr)
        return UNREADABLE
    unsure = bool(found.unasked) or not facts.as_documented(judged)
    status = MISTAKES if found.complaints else UNSURE if unsure else 0
    if args.format == "json":
        print(_document(args.file, config, found, judged, status))
        return status
    if found.complaints:
        print("\n".join(found.complaints), file=sys.stderr)
    else:
        lines = report(args.file, config, found.config.exchanges)
        print("\n".join([*lines, *_judgement(found, judged)]))
    for each in found.unasked:
        print(f"could not be checked: {each}", file=sys.stderr)
    return _count(found.complaints) if found.complaints else status


def _document(
    file: str,
    config: Config,
    found: online.Findings,
    judged: Sequence[facts.Judged],
    status: int,
) -> str:
    """Return all that was found as JSON."""
    head = {
        "file": file,
        "config_hash": settings.config_hash(config),
        "time": _now(),
        "status": status,
        "complaints": found.complaints,
        "unasked": found.unasked,
        "markets": {name: int(count) for name, count, _ in found.rows},
        "symbols": {name: int(symbols) for name, _, symbols in found.rows},
        "left_out": found.left_out,
    }
    return facts.as_json(judged, head)


def _judgement(found: online.Findings, judged: Sequence[facts.Judged]) -> list[str]:
    """Return the lines of what was found online; those about what to mend only where needed."""
    lines = []
    if found.rows:
        lines = ["", *aligned([("exchange", "markets", "symbols"), *found.rows], numbers=2)]
    lines += ["", *(f"left out: {each}" for each in found.left_out)] if found.left_out else []
    if judged:
        lines += ["", *aligned(facts.table(judged), numbers=0)]
    if not facts.as_documented(judged):
        lines += ["", "to mend:", *(f"  {each}" for each in facts.mends(judged))]
        lines += ["", *facts.block(judged, _now())]
    return lines


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _count(complaints: Sequence[str]) -> int:
    print(f"{len(complaints)} mistake{'s' if len(complaints) > 1 else ''}", file=sys.stderr)
    return MISTAKES


async def _ask(
    config: Config, places: settings.Places, wait: float
) -> tuple[online.Findings, list[facts.Judged]]:
    """Ask for markets; where all symbols are good, judge each exchange."""
    # The HTTP client takes a third of a second to import, which only this flag has to spend.
    from exporter.cli._judge import judge
    from exporter.cli._judge_streams import Means
    from exporter.clock import SystemClock
    from exporter.http.client import HttpClient
    from exporter.websocket import client as websocket

    # What streams log is among the facts, in words of their own.
    logging.getLogger("exporter").addHandler(logging.NullHandler())
    clock = SystemClock()
    async with HttpClient() as fetch:
        found = await online.look_up(config, places, fetch, clock)
    if found.complaints:
        return found, []
    # Connections of its own: how they come to be is among the facts.
    async with HttpClient() as fetch:
        connect = partial(websocket.connect, clock=clock)
        return found, await judge(
            found.config, Means(fetch=fetch, connect=connect, clock=clock, wait=wait)
        )


def report(
    file: str, config: Config, followed: Sequence[ExchangeConfig] | None = None
) -> list[str]:
    """Return the lines that describe a good config, warnings last.

    ``followed`` are its exchanges with what their patterns stand for, once that is known.
    """
    rows = [["exchange", "venue", "endpoints", "probes/s"]]
    rows[0] += ["streams", "connections", "subscriptions", "series", "told within"]
    limits = [["exchange", "limit", "we use", "may use", "venue allows"]]
    asked = [["exchange", "requests", "at most", "weight"]]
    warnings: list[str] = []
    instruments: set[str] = set()
    sums = [0.0] * 6
    books = 0
    for exchange in followed or [settings.at_most(each) for each in config.exchanges]:
        venue = venues.within(config)(exchange.venue)
        if exchange.selections and followed is None:
            warnings.append(
                f"{exchange.name}: its patterns are counted as {exchange.symbols_limit} markets, "
                "the most that symbols_limit has room for; --online tells which they are"
            )
        load = estimate.load_of(exchange, venue, config)
        figures = [
            load.endpoints,
            load.probes_per_second,
            load.streams,
            load.connections,
            load.subscriptions,
            estimate.series_of(load, exchange, config),
        ]
        sums = [sum(pair) for pair in zip(sums, figures, strict=True)]
        books += load.books
        told = promise.told_within(exchange, venue, config)
        within = "-" if told is None else f"{ceil(told)} s"
        rows.append([exchange.name, exchange.venue, *_figures(figures), within])
        for stream in exchange.streams:
            wanted = settings.subscriptions(exchange, stream, venue)
            instruments |= {each.instrument for each in wanted}
        minutes = estimate.book_minutes(exchange, venue, config, load.books)
        if minutes > _SLOW_START:
            warnings.append(
                f"{exchange.name}: {load.books} order books take about {minutes:.0f} minutes to "
                "start, because each needs a snapshot over REST (raise limits.share, or build "
                "fewer: book: false)"
            )
        for each in requests.requests_of(exchange, venue, config):
            if each.rate and each.what != "probes":
                asked.append([exchange.name, *_request_row(each)])
        for weight in estimate.weights(exchange, venue, config):
            window = format_duration(weight.window)
            limits.append(
                [
                    weight.exchange,
                    weight.limit,
                    f"{_spelled(weight.used)} per {window}",
                    f"{_spelled(weight.allowed)} per {window}",
                    f"{weight.whole} per {window}",
                ]
            )
            if weight.used > weight.allowed:
                warnings.append(
                    f"{weight.exchange}: probes would use {_spelled(weight.used)} of the "
                    f"{_spelled(weight.allowed)} that {weight.limit} leaves them per {window}; "
                    "those beyond it will be skipped (raise intervals or probes.budget_share)"
                )
        warnings += requests.warnings_of(exchange, venue, config)
    asked += [["(exporter)", *_request_row(each)] for each in requests.control_requests(config)]
    shared = estimate.series_shared(len(instruments), config)
    sums[-1] += shared
    rows += [
        ["(exporter)", *[""] * 6, str(shared), ""],
        ["total", "", *_figures(sums), ""],
    ]
    if sums[-1] > config.metrics.series_limit:
        warnings.append(
            f"about {sums[-1]:.0f} series, and metrics.series_limit is "
            f"{config.metrics.series_limit}; those beyond it will be refused"
        )
    policies = {stream.queue_policy for each in config.exchanges for stream in each.streams}
    if QueuePolicy.SPILL in {config.streams.queue_policy, *policies}:
        warnings.append("queue_policy: spill: `run` refuses it without --storage.path")
    head = f"{file} is valid: config hash {settings.config_hash(config)}"
    series = f"about {sums[-1]:.0f} series of at most {config.metrics.series_limit}"
    cost = cost_of(
        exchanges=len(config.exchanges),
        probes=sums[1],
        messages=sums[4],
        books=books,
        series=sums[-1],
        series_limit=config.metrics.series_limit,
    )
    lines = [head, "", *aligned(rows, numbers=7), "", series, *lines_of(cost)]
    lines += ["", *aligned(limits, numbers=0)] if len(limits) > 1 else []
    lines += ["", *aligned(asked, numbers=0)] if len(asked) > 1 else []
    lines += ["", *deadlines(config)]
    return [*lines, *(["", *(f"warning: {each}" for each in warnings)] if warnings else [])]


def deadlines(config: Config) -> list[str]:
    """Return the lines of what is known to end of all that the config uses, soonest first."""
    venue = venues.within(config)
    known, rejected = known_deadlines(config.deadlines)
    now = datetime.now(UTC).timestamp()
    rows = [
        (
            exchange.name,
            f"{each.part} {each.what}",
            f"{each.change} {datetime.fromtimestamp(each.at, UTC):%Y-%m-%d}",
            f"{(each.at - now) / 86400.0:.0f} days",
            each.replacement,
            f"{each.source}, read {each.read}",
        )
        for exchange in config.exchanges
        for each in concerning(known.deadlines, exchange, venue(exchange.venue))
    ]
    issued = datetime.fromtimestamp(known.issued, UTC)
    age = f"signed {issued:%Y-%m-%d}, {max(0.0, now - known.issued) / 86400.0:.0f} days ago"
    head = ("exchange", "uses", "which is", "in", "instead", "source")
    lines = [f"known deadlines of APIs: {len(rows)} of what is used ({age})"]
    lines += aligned([head, *rows], numbers=0) if rows else []
    return lines + ([f"warning: {config.deadlines.file}: {rejected}"] if rejected else [])


def _spelled(value: float) -> str:
    """Format a count with the figures that matter, and never as a power of ten."""
    return f"{value:.0f}" if value >= 1000.0 else f"{value:.4g}"


def _request_row(kind: RequestKind) -> list[str]:
    """Return what is asked, how often, and at what weight."""
    if kind.occasion:
        return [
            kind.what,
            *(f"{_spelled(each)} {kind.occasion}" for each in (kind.rate, kind.weight)),
        ]
    weight = f"{_spelled(kind.weight * 60.0)} per 1m" if kind.limited else "none: another site"
    return [kind.what, f"{kind.rate * 60.0:.3g} per 1m", weight]


def _duration(text: str) -> float:
    try:
        seconds = duration(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 600:
        wrong = f"expected a duration such as 15s, up to 10m, got {text!r}"
        raise argparse.ArgumentTypeError(wrong)
    return seconds


def _count_of_shards(text: str) -> int:
    try:
        return placement.shard(f"0/{text}").count
    except ValueError:
        wrong = f"expected a number from 1 to {placement.MOST}, got {text!r}"
        raise argparse.ArgumentTypeError(wrong) from None


def shares(config: Config, count: int) -> list[str]:
    """Return the lines that say what each of ``count`` shards would watch."""
    known = venues.within(config)
    placed = settings.units(config, count, known)
    parts = settings.shares(config, count, known)
    rows: list[Sequence[str]] = [("shard", "exchanges", "endpoints", "subscriptions")]
    lines: list[str] = []
    for index in range(count):
        own = parts[index]
        loads = [estimate.load_of(each, known(each.venue), config) for each in own]
        name = f"{index}/{count}"
        figures = (
            len(own),
            sum(load.endpoints for load in loads),
            sum(load.subscriptions for load in loads),
        )
        rows.append((name, *map(str, figures)))
        named = sorted(unit for unit, holder in placed.items() if holder == index)
        lines.append(f"{name}: {', '.join(named) or 'nothing'}")
    idle = count - len(set(placed.values()))
    if idle:
        lines.append(f"warning: {idle} of {count} shards would have nothing to do")
    return [*aligned(rows, numbers=3), "", *lines]


def _figures(figures: Sequence[float]) -> list[str]:
    endpoints, rate, *rest = figures
    return [f"{endpoints:.0f}", f"{rate:.3g}", *(f"{each:.0f}" for each in rest)]
