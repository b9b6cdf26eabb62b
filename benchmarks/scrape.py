"""What a scrape of 36,000 lines costs, beside `prometheus_client.generate_latest` on the same data.

Run: python benchmarks/scrape.py
"""

from __future__ import annotations

import asyncio
import random
from functools import partial
from itertools import product
from statistics import median
from time import perf_counter, process_time, thread_time
from timeit import repeat
from typing import NamedTuple

import prometheus_client
from prometheus_client.exposition import generate_latest

from exporter.metrics.children import CounterChild, GaugeChild, HistogramChild
from exporter.metrics.exposition import Exposition
from exporter.metrics.families import PROBE_DURATION, PROBE_SUCCESS, STREAM_MESSAGES
from exporter.metrics.registry import Registry
from exporter.model import Family

ROUNDS = 9
TEXT = "text/plain;version=0.0.4"
Labelled = dict[str, object]


def peer_of(family: Family, registry: prometheus_client.CollectorRegistry) -> Labelled:
    """Return the constructor arguments of the reference's metric for one of our families."""
    arguments: Labelled = {
        "name": family.name,
        "documentation": family.help,
        "labelnames": family.labels,
        "registry": registry,
    }
    return arguments | ({"buckets": family.buckets} if family.buckets else {})


class Both:
    """The same series in our registry and in the reference's: 36,000 lines, two thirds of them
    histograms' as on a real page."""

    def __init__(self) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.ours = Registry(series_limit=100_000)
        self.theirs = prometheus_client.CollectorRegistry()
        self.histograms: list[tuple[HistogramChild, prometheus_client.Histogram]] = []
        self.counters: list[tuple[CounterChild, prometheus_client.Counter]] = []
        self.gauges: list[tuple[GaugeChild, prometheus_client.Gauge]] = []
        exchanges = [f"exchange{number}" for number in range(20)]
        endpoints = [f"endpoint{number}" for number in range(288)]
        histogram = prometheus_client.Histogram(**peer_of(PROBE_DURATION, self.theirs))  # type: ignore[arg-type]
        for row in product(exchanges, endpoints[:36], ("new", "reused")):
            ours = self.ours.histogram(PROBE_DURATION, *row)
            self.histograms.append((ours, histogram.labels(*row)))
        counter = prometheus_client.Counter(**peer_of(STREAM_MESSAGES, self.theirs))  # type: ignore[arg-type]
        for row in product(exchanges, endpoints[:144], ("data", "control")):
            self.counters.append((self.ours.counter(STREAM_MESSAGES, *row), counter.labels(*row)))
        gauge = prometheus_client.Gauge(**peer_of(PROBE_SUCCESS, self.theirs))  # type: ignore[arg-type]
        for pair in product(exchanges, endpoints):
            self.gauges.append((self.ours.gauge(PROBE_SUCCESS, *pair), gauge.labels(*pair)))

    def move(self, share: float) -> None:
        """Change a share of all children, as happens between two scrapes."""
        for histogram, its_peer in self.histograms:
            if random.random() < share:
                value = random.expovariate(10)
                histogram.observe(value)
                its_peer.observe(value)
        for counter, that_peer in self.counters:
            if random.random() < share:
                counter.inc(7)
                that_peer.inc(7)
        for gauge, this_peer in self.gauges:
            value = random.random()
            if random.random() < share:
                gauge.set(value)
                this_peer.set(value)


class Scrape(NamedTuple):
    """One scrape: seconds it took, the longest turn of the loop in seconds of the clock and of this
    thread's CPU (without what other processes of the machine took), bytes sent."""

    wall: float
    stall: float
    busy: float
    size: int


async def watch(stop: asyncio.Event, stalls: list[tuple[float, float]]) -> None:
    """Note how long each turn of the event loop kept this task waiting, in seconds."""
    while not stop.is_set():
        start, cpu = perf_counter(), thread_time()
        await asyncio.sleep(0)
        stalls.append((perf_counter() - start, thread_time() - cpu))


async def scrape(page: Exposition, encoding: str) -> Scrape:
    """Scrape once while another task watches the loop."""
    stop, stalls = asyncio.Event(), list[tuple[float, float]]()
    async with asyncio.TaskGroup() as group:
        group.create_task(watch(stop, stalls))
        await asyncio.sleep(0)
        start = perf_counter()
        _, pieces = await page(TEXT, encoding)
        wall = perf_counter() - start
        stop.set()
    turns, busy = zip(*stalls, strict=True)
    return Scrape(wall, max(turns), max(busy), sum(map(len, pieces)))


async def main() -> None:
    """Print the figures, ours and theirs in turn, so that both meet the same machine."""
    both = Both()
    page = Exposition(both.ours, process=False)
    lines = len(generate_latest(both.theirs).splitlines())
    print(f"{lines:,} lines, medians of {ROUNDS} scrapes")
    for share in (1.0, 0.2, 0.0):
        peers, ours = list[float](), list[float]()
        scrapes: dict[str, list[Scrape]] = {"plain": [], "gzip": []}
        for _ in range(ROUNDS):
            both.move(share)
            start = process_time()
            generate_latest(both.theirs)
            peers.append(process_time() - start)
            start = process_time()
            await page.render(openmetrics=False)
            ours.append(process_time() - start)
            for name, encoding in (("plain", ""), ("gzip", "gzip")):
                both.move(share)
                scrapes[name].append(await scrape(page, encoding))
        peer, mine = median(peers) / lines * 1e6, median(ours) / lines * 1e6
        print(
            f"{share:4.0%} of the series changed: prometheus_client {peer:.2f} µs a line "
            f"(loop blocked {median(peers) * 1e3:.0f} ms), "
            f"ours {mine:.3f} µs a line: 1/{peer / mine:.0f}"
        )
        for name, rows in scrapes.items():
            print(
                f"     {name:5} {median(row.wall for row in rows) * 1e3:5.1f} ms, longest loop "
                f"stall {max(row.busy for row in rows) * 1e3:.2f} ms of CPU (by the clock median "
                f"{median(row.stall for row in rows) * 1e3:.2f}, worst "
                f"{max(row.stall for row in rows) * 1e3:.2f}), {rows[-1].size / 1e3:,.0f} kB"
            )
    histogram, its_peer = both.histograms[0]
    counter, that_peer = both.counters[0]
    for name, mine_, theirs in (
        ("observe", histogram.observe, its_peer.observe),
        ("inc", counter.inc, that_peer.inc),
    ):
        cost = [min(repeat(partial(move, 0.1), number=100_000)) * 10 for move in (mine_, theirs)]
        print(f"{name}: prometheus_client {cost[1]:.2f} µs, ours {cost[0]:.2f} µs")


if __name__ == "__main__":
    asyncio.run(main())
