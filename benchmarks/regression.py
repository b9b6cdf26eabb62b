"""Has a hot path become slower? Each as a ratio to a fixed loop in the same process.

``python -m benchmarks.regression`` compares with `benchmarks/regression.json` and exits with 1
where a path costs more than 1.4 times what is written there: beside a load of 17 on two cores
three runs were within 6 %. ``--write`` renews the file, after a change that was meant.

The loop and the paths take turns; of each the cheapest round counts, in CPU time of this process.
A ratio depends little on the machine, but on the interpreter: the file has figures for each.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from time import process_time

import numpy as np

from benchmarks import books, scrape
from exporter import venues
from exporter.anomaly.bank import Bank
from exporter.anomaly.detectors import load
from exporter.http.response import ParsedResponse
from exporter.metrics.exposition import Exposition
from exporter.metrics.registry import Registry
from exporter.model import Channel, Subscription
from exporter.probes.clock_offset import Skew
from exporter.signals import Series
from exporter.streams.feed import Feed
from exporter.streams.meter import ChannelMeter

FILE = Path(__file__).with_name("regression.json")
VERSION = f"{sys.implementation.name}-{sys.version_info.major}.{sys.version_info.minor}"
MOST, ROUNDS = 1.4, 9
Path_ = Callable[[], float]  # returns CPU seconds


def timed(work: Callable[[], object]) -> Path_:
    """Return what does the work and says its CPU seconds."""

    def once() -> float:
        begun = process_time()
        work()
        return process_time() - begun

    return once


def fixed() -> None:
    """Do what interpreters do all day: calls, look-ups, numbers, JSON. Never change it."""
    text = '{"a": [1, 2.5, "x"], "b": {"c": null}}'
    found: dict[int, float] = {}
    for number in range(30_000):
        found[number % 97] = found.get(number % 89, 0.0) * 0.5 + float(str(number))
        if not number % 10:
            json.loads(text)


def trade() -> Path_:
    """A trade from its bytes to count, latency, gaps and silence."""
    venue, registry = venues.load("binance"), Registry()
    topic = venue.topic(Channel.TRADES, "BTCUSDT")
    what = Subscription(
        exchange="binance",
        channel=Channel.TRADES,
        instrument="BTC-USDT",
        symbol="BTCUSDT",
        topic=topic,
    )
    meter = ChannelMeter(registry, "binance", Channel.TRADES)
    feed = Feed(what, venue.sequences, Skew(), meter.latency, meter.negative, meter.late, 1.7e9)
    frame = (
        '{{"stream":"btcusdt@aggTrade","data":{{"e":"aggTrade","E":1700000000001,"s":"BTCUSDT",'
        '"a":{0},"p":"43000.10","q":"0.5","f":{0},"l":{0},"T":1700000000000,"m":true,"M":true}}}}'
    )
    number = 1

    def work() -> None:
        nonlocal number
        frames = [frame.format(number + each).encode() for each in range(5_000)]
        number += len(frames)
        begun = process_time()
        for each in frames:
            for event in venue.parse(each):
                feed(event, 1.7e9)  # type: ignore[arg-type]  # all of them are trades
        spent.append(process_time() - begun)

    spent: list[float] = []

    def once() -> float:
        work()
        assert feed.gaps == 0
        return spent[-1]

    return once


def book() -> Path_:
    """An update of an order book with numbers."""
    frames = [books.kucoin(each) for each in books.updates(5_000, 1)]
    return lambda: books.ours("kucoin", frames)[0]


def answer() -> Path_:
    """The answer to a probe, in two pieces."""
    body = b'{"symbol":"BTCUSDT","price":"43000.10"}' * 20
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=UTF-8\r\nContent-Length: %d\r\n"
        b"Date: Mon, 30 Nov 2026 12:00:00 GMT\r\nx-mbx-used-weight-1m: 12\r\nServer: nginx\r\n"
        b"Cache-Control: no-cache\r\nVia: 1.1 edge\r\nX-Cache: Miss\r\n\r\n" % len(body)
    )

    def work() -> None:
        for _ in range(2_000):
            parsed = ParsedResponse("GET", 1 << 20)
            parsed.feed(head)
            parsed.feed(body)
            assert parsed.done

    return timed(work)


def page() -> Path_:
    """A scrape of 36,000 lines of which all have changed."""
    both = scrape.Both()
    exposition = Exposition(both.ours, process=False)

    def once() -> float:
        both.move(1.0)
        return timed(lambda: asyncio.run(exposition.render(openmetrics=False)))()

    return once


def tick() -> Path_:
    """A tick of the ensemble over 2,000 series."""
    bank = Bank([Series("bench", str(each)) for each in range(2_000)], {"e": load("ensemble")})
    chance, now = np.random.default_rng(1), 0.0

    def step() -> None:
        nonlocal now
        now += 1.0
        for _ in bank.steps(chance.normal(size=2_000), now):
            pass

    for _ in range(130):
        step()

    def work() -> None:
        for _ in range(5):
            step()

    return timed(work)


PATHS: dict[str, Callable[[], Path_]] = {
    "trade": trade, "book": book, "answer": answer, "page": page, "tick": tick,
}  # fmt: skip


def ratios() -> dict[str, float]:
    """Return what each path costs, in runs of the fixed loop."""
    paths = {name: make() for name, make in PATHS.items()}
    loop, best = timed(fixed), dict.fromkeys(("loop", *paths), float("inf"))
    for _ in range(ROUNDS):
        for name, path in {"loop": loop, **paths}.items():
            best[name] = min(best[name], path())
    return {name: best[name] / best["loop"] for name in paths}


def main() -> int:
    """Measure, compare or write; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="write down what is measured")
    args = parser.parse_args()
    known = json.loads(FILE.read_text()) if FILE.exists() else {}
    found, before = ratios(), known.get(VERSION)
    if args.write:
        known[VERSION] = {name: round(value, 4) for name, value in found.items()}
        FILE.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")
    print(f"{'path':10}{'before':>10}{'now':>10}{'now/before':>12}   {VERSION}, runs of the loop")
    status = 0
    for name, value in found.items():
        was = (before or {}).get(name)
        share = value / was if was else float("nan")
        slower = share > MOST and not args.write
        status |= slower
        print(
            f"{name:10}{was or float('nan'):10.4f}{value:10.4f}{share:12.2f}"
            + ("   SLOWER" if slower else "")
        )
    if before is None and not args.write:
        print(f"{FILE.name} has no figures for {VERSION}: --write them", file=sys.stderr)
        return 2
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
