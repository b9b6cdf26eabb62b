"""What a config costs as it grows: CPU, memory, series and page, with more of one thing at a time.

    python scripts/benchmarks/growth.py [--for SECONDS] [NAME...]

An exporter watches simulated exchanges. Its process' CPU time, its resident memory, the number of
series and the size of a page are read while it works, scraped every five seconds. Each axis (probes
a second, subscriptions, messages a second, books, exchanges) is walked by itself. Printed are the
points, for each axis the exponent with which CPU and memory grow above the least point (1 is
proportional), and how far off `check` would be; the coefficients in exporter/cli/costs.json were
chosen beside the axes and some other configs.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from exporter import venues
from exporter.cli._costs import cost_of
from tests.live import programs
from tests.live.worlds import NO_LIMITS, simulated, watched

_TICKS = os.sysconf("SC_CLK_TCK")
_SETTLE, _SCRAPE_EVERY = 12.0, 5.0  # seconds
_QUARTER = 0.25  # more is too far off
_VENUES = ("binance", "okx", "bybit", "kraken", "kucoin", "bitstamp", "coinbase", "binance_us")


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is watched. ``rate``: messages a second of each subscription but those of books."""

    exchanges: int = 1
    endpoints: int = 2  # of each exchange, asked once a second
    symbols: int = 2
    books: bool = False
    rate: float = 1.0


AXES: dict[str, list[Load]] = {
    "probes": [Load(endpoints=n) for n in (2, 20, 100, 200)],
    "subscriptions": [Load(symbols=n, rate=0.1) for n in (2, 50, 200, 800)],
    "messages": [Load(symbols=10, rate=n) for n in (1, 20, 100, 400)],
    "books": [Load(symbols=n, books=True, rate=0.1) for n in (2, 20, 100)],
    "exchanges": [Load(exchanges=n) for n in (1, 2, 4, 8)],
}
KEPT_BACK = [
    Load(exchanges=4, endpoints=5, symbols=10, books=True, rate=5.0),
    Load(exchanges=2, endpoints=50, symbols=100, rate=2.0),
    Load(exchanges=6, symbols=60),
    Load(exchanges=3, endpoints=30, symbols=5),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What was seen: of one second, but for memory (MB), series and page (MB)."""

    probes: float
    messages: float
    subscriptions: float
    books: float
    exchanges: float
    cpu: float
    memory: float
    series: float
    page: float


def config(load: Load, places: dict[str, str]) -> str:
    """Return the config."""
    names = _symbols(load.symbols)
    channels = "[trades, book]" if load.books else "[trades]"
    lines = [
        "probes: {interval: 1s, timeout: 900ms}",
        "metrics: {series_limit: 1000000}",
        "exchanges:",
    ]
    for venue, url in list(places.items())[: load.exchanges]:
        stream = url.replace("http", "ws", 1) + urlsplit(venues.load(venue).stream_urls[0]).path
        endpoints = ", ".join(
            f"{{name: e{n}, url: '{url}/api/v3/time'}}" for n in range(load.endpoints)
        )
        lines.append(
            f"- {{venue: {venue}, rest_url: '{url}', stream_url: '{stream}', "
            f"symbols: [{', '.join(names)}], limits: {{weight: 1000000, share: 100%}}, "
            f"status_page: false, endpoints: [{endpoints}], "
            f"streams: [{{name: market, channels: {channels}}}]}}"
        )
    return "\n".join(lines) + "\n"


def _symbols(count: int) -> list[str]:
    return [f"C{number:04d}-USDT" for number in range(count)]


def measure(load: Load, seconds: float) -> Point:
    """Run it, and look for so long."""
    flags = (
        f"--venues={','.join(_VENUES[: load.exchanges])}",
        f"--symbols={','.join(_symbols(load.symbols))}",
        f"--rate={load.rate}",
        f"--book-rate={10 if load.books else 0.1}",
        NO_LIMITS,
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        simulated(Path(folder), lambda places: config(load, places), *flags) as found,
        watched(*found) as world,
    ):
        subscribed = load.exchanges * load.symbols * (2 if load.books else 1)
        programs.eventually(
            lambda: (
                world.scrape().total("exchange_stream_subscriptions", state="live") >= subscribed
            ),
            "all subscriptions are live",
            within=120,
        )
        time.sleep(_SETTLE)
        before, used, begun = world.scrape(), _cpu(world.exporter.pid), time.monotonic()
        while time.monotonic() - begun < seconds:
            time.sleep(_SCRAPE_EVERY)
            text = programs.get(f"{world.url}/metrics")
        cpu, took = _cpu(world.exporter.pid) - used, time.monotonic() - begun
        after = world.scrape()

        def rate(name: str, **labels: str) -> float:
            return (after.total(name, **labels) - before.total(name, **labels)) / took

        return Point(
            probes=rate("exchange_probes_total"),
            messages=rate("exchange_stream_messages_total", kind="data"),
            subscriptions=subscribed,
            books=load.exchanges * load.symbols if load.books else 0,
            exchanges=load.exchanges,
            cpu=cpu / took,
            memory=world.exporter.memory() / 1e6,
            series=sum(1 for line in text.splitlines() if not line.startswith("#")),
            page=len(text) / 1e6,
        )


def _cpu(pid: int) -> float:
    values = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(values[11]) + int(values[12])) / _TICKS


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return the slope in logarithms, of what comes above the least point."""
    pairs = [
        (math.log(size), math.log(cost - costs[0]))
        for size, cost in zip(sizes[1:], costs[1:], strict=True)
        if cost > costs[0]
    ]
    if len(pairs) < 2:
        return float("nan")
    x, y = np.array(pairs).T
    return float(np.polyfit(x, y, 1)[0])


def off(point: Point, what: str) -> float:
    """Return by which ratio `check` would be off: 0.1 is a tenth too much."""
    cost = cost_of(
        exchanges=int(point.exchanges),
        probes=point.probes,
        messages=point.messages,
        books=point.books,
        series=point.series,
        series_limit=1_000_000,
    )
    said = {"cpu": cost.cores, "memory": cost.memory, "page": cost.page}[what]
    return said / float(getattr(point, what)) - 1.0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _row(point: Point) -> str:
    return "".join(f"{getattr(point, each.name):14.3f}" for each in fields(point))


def main() -> int:
    """Walk the axes and print; exit status 1 where a kept-back config is off by a fourth."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--for", dest="seconds", type=float, default=20.0, metavar="SECONDS")
    parser.add_argument("axes", nargs="*", metavar="NAME", help=", ".join(AXES))
    args = parser.parse_args()
    _say(" " * 14 + "".join(f"{each.name:>14}" for each in fields(Point)))
    points: list[Point] = []
    slopes = []
    for axis in args.axes or AXES:
        walked = []
        for load in AXES[axis]:
            walked.append(measure(load, args.seconds))
            _say(f"{axis:14}{_row(walked[-1])}")
        sizes = [getattr(each, axis) for each in walked]
        grown = {
            what: exponent(sizes, [getattr(each, what) for each in walked])
            for what in ("cpu", "memory", "series", "page")
        }
        slopes.append(
            f"{axis:14}" + "".join(f"{name} {value:.2f}  " for name, value in grown.items())
        )
        points += walked
    _say("\nexponents\n" + "\n".join(slopes))
    kept = [measure(load, args.seconds) for load in KEPT_BACK]
    _say("\nkept back\n" + "\n".join(f"{'':14}{_row(each)}" for each in kept))
    status = 0
    for what in ("cpu", "memory", "page"):
        axes, others = [off(each, what) for each in points], [off(each, what) for each in kept]
        status |= max(abs(each) for each in others) > _QUARTER
        _say(
            f"{what:14}check is off by {min(axes):+.0%} to {max(axes):+.0%} on the axes; kept "
            f"back: {', '.join(f'{each:+.0%}' for each in others)}"
        )
    return status


if __name__ == "__main__":
    sys.exit(main())
