"""What a tick of the whole program costs at 10,000 series, and how long it holds up the event loop.

Run: python benchmarks/tick.py

834 exchanges with two endpoints and two subscriptions each, made from a config as `run` makes
them; but nothing is asked over a network: probes and messages are handed in. The peer is the
bound: 50 ms a tick, 5 ms a turn of the loop. Milliseconds are of this thread's CPU, which other
programs on the machine change less, and of the clock in brackets.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import perf_counter, thread_time

import numpy as np

from exporter import config as settings
from exporter import venues
from exporter.clock import SystemClock
from exporter.exchange.exchange import Exchange
from exporter.flow.dead_letters import nowhere
from exporter.metrics.registry import Registry
from exporter.model import Probed, Quote
from exporter.probes.bans import Bans
from exporter.probes.context import Task
from exporter.runtime.anomalies import Anomalies
from exporter.runtime.local_health import Lateness, show_domains
from exporter.runtime.runtime import Runtime
from exporter.runtime.storage import Storage

EXCHANGES = 834  # of twelve series each
CALM, WARM_UP, STORM, SAVES = 60, 120, 10, 3  # ticks, and photographs
CONFIG = "exchanges: [{venue: okx, symbols: [BTC-USDT], streams: [{channels: [trades, quotes]}]}]"
PROBES = 60  # in the window of each exchange


class World:
    """The program without its tasks, and what would happen around it."""

    def __init__(self) -> None:
        self.clock, self.chance = SystemClock(), Random(1)
        self.registry = Registry(series_limit=10_000_000)
        self.anomalies = Anomalies(self.registry, self.clock)
        self.anomalies.start = self._start
        self.lateness = Lateness(self.clock)
        self.force = Runtime(
            registry=self.registry,
            clock=self.clock,
            start=self._start,
            judging=self.anomalies.judging,
            lateness=self.lateness,
            bans=Bans(),
            post=nowhere,
        )

    def _start(self, task: Task) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(asyncio.sleep(0.0))

    async def begin(self) -> None:
        """Make all exchanges, connected and with full windows."""
        config = settings.read(CONFIG, "benchmark", venues.names(), venues.load)
        (one,) = config.exchanges
        several = tuple(replace(one, name=f"x{row}") for row in range(EXCHANGES))
        config = replace(config, exchanges=several)
        await self.force.change(config)
        await self.anomalies.follow(config)
        for exchange in self.force.exchanges:
            for stream in exchange.streams:
                stream.attempts, stream.connected = 1, True
            for _ in range(PROBES):
                self._probed(exchange, "time", 0.0)

    def happen(self, worse: float) -> None:
        """Let each exchange answer and send something, ``worse`` seconds later than usual."""
        wall = self.clock.wall()
        for exchange in self.force.exchanges:
            for feed in exchange.feeds:
                sent = wall - self.chance.gauss(0.05, 0.005) - worse
                bid = 100.0 + self.chance.random() / 100.0
                feed(Quote("q", feed.subscription.topic, "", sent, bid, bid + 0.01), wall)
            for name, state in exchange.probing.endpoints.items():
                state.last = self._probed(exchange, name, worse)
                state.heard = state.read = self.clock.monotonic()

    def _probed(self, exchange: Exchange, endpoint: str, worse: float) -> Probed:
        done = Probed(
            exchange=exchange.name,
            endpoint=endpoint,
            time=self.clock.wall(),
            duration=self.chance.gauss(0.05, 0.005) + worse,
        )
        self.anomalies.judging.probed(done)
        return done

    async def tick(self) -> None:
        """Do what the program does once a second."""
        await self.force.update(self.clock.wall())
        assert self.force.controls is not None
        site = self.lateness.site(self.force.controls.network)
        await show_domains(self.force.exchanges, site, self.clock)
        await self.anomalies.tick(self.force)


class Turns:
    """Each turn of the loop, while something is awaited: seconds of CPU and of the clock."""

    def __init__(self) -> None:
        self.cpu, self.wall = list[float](), list[float]()
        self.totals, self.total_walls = list[float](), list[float]()

    async def measure(self, work: Awaitable[object]) -> None:
        """Await it, and note how long every turn took meanwhile."""
        watch = asyncio.get_running_loop().create_task(self._watch())
        await asyncio.sleep(0.0)
        cpu, wall = thread_time(), perf_counter()
        await work
        self.totals.append(thread_time() - cpu)
        self.total_walls.append(perf_counter() - wall)
        watch.cancel()

    async def _watch(self) -> None:
        while True:
            cpu, wall = thread_time(), perf_counter()
            await asyncio.sleep(0.0)
            self.cpu.append(thread_time() - cpu)
            self.wall.append(perf_counter() - wall)

    def show(self, title: str) -> None:
        """Print the total, and the turns of which it was made."""
        cpu, wall = (np.percentile(each, [50, 99, 100]) * 1e3 for each in (self.cpu, self.wall))
        total, total_wall = 1e3 * np.median(self.totals), 1e3 * np.median(self.total_walls)
        print(
            f"{title:22s} {total:6.1f} ms ({total_wall:.0f}), {len(self.cpu) // len(self.totals)}"
            f" turns: p50 {cpu[0]:.2f}, p99 {cpu[1]:.2f} ({wall[1]:.1f}),"
            f" longest {cpu[2]:.2f} ({wall[2]:.1f})"
        )


async def measure() -> None:
    """Print calm ticks, ticks in which everything goes wrong at once, and saves."""
    world = World()
    await world.begin()
    gc.collect()
    gc.freeze()  # as `run` does
    judging = world.anomalies.judging
    calm, storm, copied, written = Turns(), Turns(), Turns(), Turns()
    for number in range(WARM_UP + CALM):
        world.happen(0.0)
        await (calm.measure(world.tick()) if number >= WARM_UP else world.tick())
    print(f"{len(judging.series)} series")
    calm.show("a tick")
    for _ in range(STORM):
        world.happen(1.0)
        await storm.measure(world.tick())
        await asyncio.sleep(0.4)
    storm.show(f"with {len(judging.incidents)} incidents")
    with TemporaryDirectory() as folder:
        storage = Storage(Path(folder), world.registry, world.clock)
        for _ in range(SAVES):
            await copied.measure(world.anomalies.snapshot())
            parts = await world.anomalies.snapshot()
            await written.measure(asyncio.to_thread(storage.save_learnt, parts))
        storage.close()
    copied.show("copying the state")
    written.show("writing it in a thread")
    await world.anomalies.stop()
    await world.force.close()


if __name__ == "__main__":
    logging.disable(logging.CRITICAL - 1)
    asyncio.run(measure())
