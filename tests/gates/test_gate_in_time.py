"""A gate over a real exchange in virtual time: never open on what is old, closed within a second.

The venue's side is made up, and knows better than anybody what the process could have known.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter import config as configs
from exporter import venues
from exporter.contracts import ConnectionLostError, FetchFailedError, Take
from exporter.exchange.exchange import Exchange
from exporter.flow.concurrency import FairSemaphore
from exporter.gates.gates import EVERY, TradingGates
from exporter.metrics.registry import Registry
from exporter.model import Answer, Lost, Phase, Probed, Reason
from exporter.probes.bans import Bans
from exporter.probes.context import ExchangeContext
from tests.fakes import FakeClock, run_virtual

INTERVAL, TIMEOUT, OPEN_AFTER, VALID_FOR, LOOK = 2.0, 1.0, 3.0, 1.0, 0.1
CONFIG = f"""
probes: {{interval: {INTERVAL:g}s, timeout: {TIMEOUT:g}s}}
streams: {{backoff_base: 500ms, backoff_cap: 2s}}
exchanges:
- venue: binance
  symbols: [BTC-USDT]
  endpoints: [{{name: time}}]
  streams: [{{channels: [trades]}}]
gates:
- {{name: a, exchanges: [binance], needs: [probe, feed, clock], open_after: {OPEN_AFTER:g}s,
   valid_for: {VALID_FOR:g}s}}
"""
Fault: TypeAlias = tuple[str, float, float]
"""What goes wrong, after how many seconds, and for how many."""
KINDS = ("probe_fails", "probe_hangs", "cut", "mute", "stall", "restart", "offline")


@dataclass
class World:
    """What the venue does, and what the process has come to know of it; monotonic seconds."""

    clock: FakeClock
    wrong: list[tuple[str, float, float]] = field(default_factory=list)  # from, until
    answered: float | None = None  # the last good answer, while none failed after it
    heard: float | None = None  # the last frame, while connected
    bad: float = 0.0  # when anything bad was known last, or nothing was known yet
    known: list[float] = field(default_factory=list)  # when something bad became known

    def now(self) -> float:
        return self.clock.monotonic()

    def goes(self, *kinds: str) -> bool:
        """Return whether one of these goes wrong now."""
        now = self.now()
        return any(kind in kinds and begin <= now < end for kind, begin, end in self.wrong)

    def stood_still(self, since: float) -> bool:
        """Return whether the process did, at any time since then."""
        now = self.now()
        return any(k == "stall" and a <= now and b >= since for k, a, b in self.wrong)

    def learn(self) -> None:
        """Something bad is known from now on."""
        self.bad = self.now()
        self.known.append(self.bad)

    async def fetch(
        self, method: str, url: str, *, headers: Mapping[str, str], timeout: float,
        body_limit: int, body: bytes | None = None,
    ) -> Answer:  # fmt: skip
        await self.clock.sleep(timeout if self.goes("probe_hangs") else 0.02)
        if self.goes("probe_fails", "probe_hangs"):
            raise FetchFailedError(Reason.READ_TIMEOUT)
        said = json.dumps({"serverTime": int(self.clock.wall() * 1000)}).encode()
        return Answer(
            status=200, headers={}, body=said, new_connection=False,
            phases={Phase.PROCESSING: 0.02, Phase.TRANSFER: 0.0},
        )  # fmt: skip

    def probed(self, done: Probed) -> None:
        if done.reason is None:
            self.answered = self.now()
        else:
            self.answered = None
            self.learn()

    async def connect(self, url: str) -> Wire:
        await self.clock.sleep(0.05)
        if self.goes("cut"):
            raise ConnectionLostError(Lost.NETWORK, "cut")
        return Wire(self)


class Wire:
    """One connection: a trade five times a second, unless it is mute, until it is cut."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._answers: deque[bytes] = deque()
        self._topics: list[str] = []
        self._number, self._closed = 0, False

    async def send(self, frame: str) -> None:
        asked = json.loads(frame)
        self._topics = asked["params"] if asked["method"] == "SUBSCRIBE" else []
        self._answers.append(json.dumps({"result": None, "id": asked["id"]}).encode())

    async def receive(self, take: Take) -> None:
        while not self._closed:
            world = self._world
            await world.clock.sleep(0.2)
            if world.goes("cut"):
                world.heard = None
                world.learn()
                raise ConnectionLostError(Lost.SERVER_CLOSE, "cut", 1001)
            batch = [(world.clock.wall(), self._answers.popleft()) for _ in list(self._answers)]
            for topic in () if world.goes("mute") else self._topics:
                batch.append((world.clock.wall(), self._trade(topic)))
                world.heard = world.now()
            if batch and take(batch):
                return
        raise ConnectionLostError(Lost.SHUTDOWN, "closed by us")

    def _trade(self, topic: str) -> bytes:
        self._number += 1
        now = int(self._world.clock.wall() * 1000)
        return (
            f'{{"stream":"{topic}","data":{{"e":"trade","E":{now},"s":"BTCUSDT",'
            f'"t":{self._number},"p":"100","q":"1","T":{now},"m":true,"M":true}}}}'
        ).encode()

    async def close(self) -> None:
        self._closed = True


@dataclass
class Record:
    """What a reader of the gate saw."""

    opened: int = 0  # looks that found it open
    closing: list[float] = field(default_factory=list)  # from known to closed, seconds


async def _run(make: Callable[[], Awaitable[None]]) -> None:
    await make()


async def lived(faults: Sequence[Fault]) -> Record:
    """Live through faults, one after the other, and look at the gate all the time."""
    world, record, at = World(FakeClock()), Record(), 5.0
    for kind, after, lasting in faults:
        at += after
        world.wrong.append((kind, at, at + lasting))
        at += lasting
    config = configs.read(CONFIG, "t.yml", venues.names(), venues.load, {})
    while world.now() < at + 10.0:  # a life of the process each, until it is restarted
        await _life(config, world, record, at + 10.0)
    return record


async def _life(config: configs.Config, world: World, record: Record, end: float) -> None:
    clock = world.clock
    world.answered, world.heard, world.bad = None, None, world.now()
    around = ExchangeContext(
        config=config,
        registry=Registry(),
        fetch=world.fetch,
        dial=lambda bounds, meter, on_ping_rtt: world.connect,
        clock=clock,
        slots=FairSemaphore(10).share(1),
        probed=world.probed,
        online=lambda: not world.goes("offline"),  # nothing is asked meanwhile
        bans=Bans(),
    )
    exchange = Exchange(config.exchanges[0], venues.load("binance"), around)
    gates = TradingGates(Registry(), clock, lambda: (exchange,))
    gates.follow(config.gates)
    restart = next((a for k, a, _ in world.wrong if k == "restart" and a > world.now()), end)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(_run(make)) for _, _, make in exchange.tasks()]
        running.append(tasks.create_task(_decide(gates, world)))
        while world.now() < min(restart, end):
            await clock.sleep(LOOK)
            exchange.tick(clock.wall())
            _look(gates, exchange, world, record)
        for task in running:
            task.cancel()
    exchange.close()


async def _decide(gates: TradingGates, world: World) -> None:
    """Decide as `TradingGates.run` does, but for a process that stands still at times."""
    last = world.now()
    while True:
        if not world.goes("stall"):
            if world.now() - last > VALID_FOR:
                world.bad = world.now()  # nobody looked meanwhile
            last = world.now()
            gates.update()
        await world.clock.sleep(EVERY)


def _look(gates: TradingGates, exchange: Exchange, world: World, record: Record) -> None:
    """Ask the gate as a client does, and hold the answer to what could be known."""
    now = world.now()
    (watch,) = exchange.streams[0].watches.values() if exchange.streams[0].watches else (None,)
    if watch is not None and world.heard is not None and now - world.heard > watch.stale_after:
        if world.bad < world.heard + watch.stale_after:
            world.known.append(world.heard + watch.stale_after)
        world.bad = now
    said = gates.one("a")
    if not said["quote"]:
        record.closing += [now - known for known in world.known] if record.opened else []
        world.known.clear()
        return
    record.opened += 1
    assert now - world.bad >= OPEN_AFTER - LOOK or world.known, "open too soon"
    if world.known:
        # While the process stands still a reader goes by what it was told, until that runs out.
        most = VALID_FOR if world.stood_still(world.known[0]) else EVERY
        assert now - world.known[0] <= most + LOOK + 1e-6, "open on what is known to be bad"
        return
    assert world.answered is not None
    assert now - world.answered <= 3 * INTERVAL + TIMEOUT, "open on an old answer"
    assert world.heard is not None
    assert watch is not None
    assert now - world.heard <= watch.stale_after, "open on an old frame"


FAULTS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.floats(0.0, 15.0), st.floats(0.1, 12.0)), max_size=8
)


@settings(max_examples=15, deadline=None)
@given(FAULTS)
def test_it_is_never_open_on_what_is_too_old(faults: list[Fault]) -> None:
    """Over any order of losses, silences, stalls and restarts of our own; and it opens when well.

    Whoever is told "go" is told so within the bounds of the newest answer and the newest frame,
    after ``open_after`` of unbroken health, and a tick at most after something bad was known.
    """
    record = run_virtual(lived(faults))
    assert record.opened


def test_what_came_before_a_loss_says_nothing_of_the_connection_after_it() -> None:
    """A new connection that is silent is not taken for live because of the last frame before."""
    record = run_virtual(lived([("cut", 20.0, 0.75), ("mute", 0.0, 7.3)]))
    assert record.opened


def test_an_answer_does_not_stand_longer_than_its_bound() -> None:
    """While our own network is down nothing is asked, and the last good answer grows old."""
    record = run_virtual(lived([("offline", 5.0, 30.0)]))
    assert record.opened


def test_it_closes_within_a_second_of_what_is_known() -> None:
    """Of 60 faults p99 is at most one second, and the worst one period of the decisions."""
    chance = random.Random(20)
    kinds = [*KINDS[:4]] * 15
    chance.shuffle(kinds)
    faults = [(kind, chance.uniform(8.0, 20.0), chance.uniform(2.5, 15.0)) for kind in kinds]
    took = sorted(run_virtual(lived(faults)).closing)
    assert len(took) > 40
    assert took[int(0.99 * len(took))] <= 1.0
    assert took[-1] <= EVERY + LOOK + 1e-6
