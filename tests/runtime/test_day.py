"""A day of one exchange in fast-forward: what went wrong is seen and named, and nothing else."""

from __future__ import annotations

import asyncio
import json
import random
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

import pytest

from exporter import config as settings
from exporter import venues
from exporter.contracts import ConnectionLostError, Take
from exporter.exchange.exchange import Exchange
from exporter.flow.concurrency import FairSemaphore
from exporter.metrics import families
from exporter.metrics.registry import Registry
from exporter.model import Answer, Lost, Phase, Probed
from exporter.probes.bans import Bans
from exporter.probes.context import ExchangeContext
from tests.fakes import FakeClock, run_virtual

DAY = 24 * 3600.0
CONFIG = """
probes: {interval: 10s}
exchanges:
- venue: binance
  symbols: [BTC-USDT, QUIET-USDT]
  endpoints: [{name: time}]
  streams: [{channels: [trades]}]
"""
BUSY, QUIET = "btcusdt@trade", "quietusdt@trade"


@dataclass
class Day:
    """What the venue does in 24 hours, decided beforehand from a seed; seconds from its begin."""

    seed: int
    messages: dict[str, list[float]] = field(default_factory=dict)
    mutes: list[tuple[float, float]] = field(default_factory=list)  # of the busy topic
    gaps: list[float] = field(default_factory=list)  # one message each, of the busy topic
    cuts: list[float] = field(default_factory=list)
    steps: list[tuple[float, float]] = field(default_factory=list)  # the clock's, in seconds

    def __post_init__(self) -> None:
        chance = random.Random(self.seed)
        # One fault an hour, each with time to heal before the next.
        kinds = ["mute", "gap", "cut", "step"] * 5
        chance.shuffle(kinds)
        for hour, kind in enumerate(kinds, start=2):
            at = hour * 3600.0 + chance.uniform(0, 1800)
            match kind:
                case "mute":
                    self.mutes.append((at, at + chance.uniform(60, 240)))
                case "gap":
                    self.gaps.append(at)
                case "cut":
                    self.cuts.append(at)
                case _:
                    self.steps.append((at, chance.choice((-5.0, 5.0))))
        for topic, mean in ((BUSY, 1.0), (QUIET, 15.0)):
            now, times = 0.0, []
            while now < DAY:
                now += chance.expovariate(1 / mean)
                muted = topic == BUSY and any(a <= now < b for a, b in self.mutes)
                if not muted:
                    times.append(now)
            self.messages[topic] = times

    def skew(self, now: float) -> float:
        """Return the venue's clock minus ours: steps, and 50 ppm of drift back and forth."""
        drift = 50e-6 * min(now % 7200, 7200 - now % 7200)
        return drift + sum(step for at, step in self.steps if at <= now)

    def lost(self, topic: str) -> set[int]:
        """Return the numbers of the messages that never arrive."""
        return (
            {bisect_left(self.messages[BUSY], at) for at in self.gaps} if topic == BUSY else set()
        )


class Wire:
    """One connection to the venue of that day."""

    def __init__(self, day: Day, clock: FakeClock) -> None:
        self._day, self._clock = day, clock
        self._next: dict[str, int] = {}
        self._answers: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._lost = {topic: day.lost(topic) for topic in day.messages}
        now = clock.monotonic()
        self._cut = next((at for at in day.cuts if at > now), None)
        self._closed = False

    async def send(self, frame: str) -> None:
        asked = json.loads(frame)
        for topic in asked["params"]:
            if asked["method"] == "SUBSCRIBE":
                times = self._day.messages[topic]
                self._next[topic] = bisect_right(times, self._clock.monotonic())
            else:
                self._next.pop(topic, None)
        self._answers.append(json.dumps({"result": None, "id": asked["id"]}).encode())
        self._news.set()

    async def receive(self, take: Take) -> None:
        while True:
            self._news.clear()
            batch = [(self._clock.wall(), self._answers.popleft()) for _ in list(self._answers)]
            batch += self._due()
            if batch and take(batch):
                return
            if self._closed:
                raise ConnectionLostError(Lost.SHUTDOWN, "closed by us")
            now = self._clock.monotonic()
            if self._cut is not None and now >= self._cut:
                raise ConnectionLostError(Lost.SERVER_CLOSE, "cut", 1001)
            if not batch:
                await self._wait(now)

    def _due(self) -> list[tuple[float, bytes]]:
        now, batch = self._clock.monotonic(), []
        for topic, number in self._next.items():
            times = self._day.messages[topic]
            while number < len(times) and times[number] <= now:
                if number not in self._lost[topic]:
                    batch.append((self._clock.epoch + now, self._frame(topic, number)))
                number += 1
            self._next[topic] = number
        return batch

    def _frame(self, topic: str, number: int) -> bytes:
        at = self._day.messages[topic][number]
        said = int((self._clock.epoch + at + self._day.skew(at)) * 1000) - 20
        symbol = topic.split("@")[0].upper()
        price = 100.0 + number % 7
        return (
            f'{{"stream":"{topic}","data":{{"e":"trade","E":{said},"s":"{symbol}",'
            f'"t":{number},"p":"{price}","q":"1","T":{said},"m":true,"M":true}}}}'
        ).encode()

    async def _wait(self, now: float) -> None:
        moments = [
            self._day.messages[topic][number]
            for topic, number in self._next.items()
            if number < len(self._day.messages[topic])
        ]
        moments += [self._cut] if self._cut is not None else []
        try:
            async with asyncio.timeout(max(0.0, min(moments) - now) if moments else None):
                await self._news.wait()
        except TimeoutError:
            pass

    async def close(self) -> None:
        self._closed = True
        self._news.set()


@dataclass
class Seen:
    """What was noticed, tick by tick."""

    stale: dict[str, list[float]] = field(default_factory=lambda: {BUSY: [], QUIET: []})
    offsets: list[bool] = field(default_factory=list)  # within the published error or not
    patience: float = 0.0  # the longest threshold of the busy topic once an hour was learned


async def live_through(day: Day, registry: Registry, seen: Seen) -> Exchange:
    """Run one exchange through the day, a tick a second."""
    clock = FakeClock()
    config = settings.read(CONFIG, "day.yml", venues.names(), venues.load, {})
    chance = random.Random(day.seed + 1)

    async def fetch(
        method: str, url: str, *, headers: Mapping[str, str], timeout: float, body_limit: int,
        body: bytes | None = None,
    ) -> Answer:  # fmt: skip
        there, back = chance.expovariate(100), chance.expovariate(50)
        await clock.sleep(there)
        now = clock.monotonic()
        said = int((clock.wall() + day.skew(now)) * 1000)
        await clock.sleep(back)
        return Answer(
            status=200,
            headers={},
            body=json.dumps({"serverTime": said}).encode(),
            new_connection=False,
            phases={Phase.PROCESSING: there + back, Phase.TRANSFER: 0.0},
        )

    def probed(done: Probed) -> None:
        now = clock.monotonic()
        found = exchange.probing.offset.read(now)
        seen.offsets.append(abs(found.value - day.skew(now)) <= found.error + 1e-6)

    async def connect(url: str) -> Wire:
        await clock.sleep(0.05)
        return Wire(day, clock)

    around = ExchangeContext(
        config=config,
        registry=registry,
        fetch=fetch,
        dial=lambda bounds, meter, on_ping_rtt: connect,
        clock=clock,
        slots=FairSemaphore(10).share(1),
        probed=probed,
        online=lambda: True,
        bans=Bans(),
    )
    # The venue's rule of 24 h, shortened so that some connections live to see it.
    venue = replace(venues.load("binance"), lifetime=3 * 3600.0)
    exchange = Exchange(config.exchanges[0], venue, around)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(_run(make)) for _, _, make in exchange.tasks()]
        while clock.monotonic() < DAY - 60:
            await clock.sleep(1.0)
            exchange.tick(clock.wall())
            look(exchange, clock, seen)
        for task in running:
            task.cancel()
    list(registry.run_refreshers())  # while there is a loop that knows the time
    return exchange


async def _run(make: Callable[[], Awaitable[None]]) -> None:
    await make()


def look(exchange: Exchange, clock: FakeClock, seen: Seen) -> None:
    """Note which subscriptions are silent for longer than they ever are."""
    now = clock.monotonic()
    for stream in exchange.streams:
        for topic, watch in stream.watches.items():
            limit = watch.liveness.stale_after
            if topic == BUSY and now > 3600:
                seen.patience = max(seen.patience, limit)
            if clock.wall() - watch.feed.last > limit:
                seen.stale[topic].append(now)


@pytest.mark.live
@pytest.mark.timeout(300)
def test_a_day_of_faults_is_told_and_nothing_else() -> None:
    """Disconnects, clock steps, mutes and gaps are each seen in time; quiet is not called stale."""
    day, registry, seen = Day(seed=11), Registry(), Seen()
    exchange = run_virtual(live_through(day, registry, seen))
    feeds = {feed.subscription.topic: feed for feed in exchange.feeds}

    def lost(reason: Lost) -> float:
        return registry.counter(families.STREAM_DISCONNECTS, "binance", "market", reason).value

    assert lost(Lost.SERVER_CLOSE) == len(day.cuts)
    # Successors have taken over before the venue would have cut, and nothing was missed.
    assert lost(Lost.PLANNED) >= 2
    assert feeds[BUSY].gaps == len(day.gaps)
    assert feeds[QUIET].gaps == 0
    assert seen.stale[QUIET] == []
    assert seen.patience < 60
    for begin, end in day.mutes:
        told = [at for at in seen.stale[BUSY] if begin < at < end + 5]
        assert told, f"the silence of {end - begin:.0f} s from {begin:.0f} was not seen"
        assert told[0] - begin < seen.patience + 5
    outside = [at for at in seen.stale[BUSY] if not any(a < at < b + 5 for a, b in day.mutes)]
    assert outside == []
    assert exchange.probing.offset.steps == len(day.steps)
    assert sum(seen.offsets) >= 0.99 * len(seen.offsets)
    assert len(seen.offsets) > 8000
