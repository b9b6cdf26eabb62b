"""What probes said too long ago is no longer said; a failure that forbids probing is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping

from exporter import config as settings
from exporter import venues
from exporter.contracts import FetchFailedError
from exporter.flow.concurrency import FairSemaphore
from exporter.metrics.registry import Registry
from exporter.model import Answer, Phase, Reason
from exporter.probes.bans import Bans
from exporter.probes.context import ExchangeContext
from exporter.probes.exchange_probes import ExchangeProbes
from tests.fakes import FakeClock, run_virtual

CONFIG = """
probes: {interval: 10s}
exchanges:
- venue: binance
  symbols: [BTC-USDT]
  endpoints: [{name: time}]
"""
SERVICE = """
probes: {interval: 10s}
exchanges:
- venue: http
  name: acme
  rest_url: http://127.0.0.1:9
  endpoints: [{name: time, path: /time, clock: {path: serverTime}}]
"""
LAST_VALUES = (
    "exchange_probe_success",
    "exchange_probe_resolved_addresses",
    "exchange_clock_offset_seconds",
    "exchange_clock_offset_error_seconds",
)


class World:
    """One exchange on a virtual clock, which works until something is said to stand against it."""

    def __init__(self, text: str = CONFIG) -> None:
        self.clock, self.registry = FakeClock(), Registry()
        self.online, self.fails = True, False
        config = settings.read(text, "probes.yml", venues.choices(), venues.load, {})
        around = ExchangeContext(
            config=config,
            registry=self.registry,
            fetch=self.fetch,
            dial=lambda bounds, meter, on_ping_rtt: None,  # type: ignore[arg-type, return-value]
            clock=self.clock,
            slots=FairSemaphore(10).share(1),
            probed=lambda done: None,
            online=lambda: self.online,
            bans=Bans(),
        )
        self.probes = ExchangeProbes(
            config.exchanges[0], venues.load(config.exchanges[0].venue), around, self.registry
        )

    async def fetch(
        self, method: str, url: str, *, headers: Mapping[str, str], timeout: float,
        body_limit: int, body: bytes | None = None,
    ) -> Answer:  # fmt: skip
        """Answer with our own time, or not at all."""
        await self.clock.sleep(0.1)
        if self.fails:
            raise FetchFailedError(Reason.READ_TIMEOUT, "no answer")
        return Answer(
            status=200,
            headers={},
            body=json.dumps({"serverTime": int(self.clock.wall() * 1000)}).encode(),
            new_connection=False,
            phases={Phase.PROCESSING: 0.1, Phase.TRANSFER: 0.0},
            addresses=("192.0.2.1",),
        )

    async def wait(self, seconds: float) -> None:
        """Let time pass, a tick a second."""
        for _ in range(int(seconds)):
            await self.clock.sleep(1.0)
            self.probes.tick(self.clock.wall())

    def shown(self) -> dict[str, list[str]]:
        """Give the values of last-value gauges that are on the page."""
        tables = {table.family.name: table for table in self.registry.tables()}
        found = {
            name: [text.split()[-1] for child in tables[name].children.values()
                   if (text := child.text())]
            for name in LAST_VALUES
        }  # fmt: skip
        return {name: values for name, values in found.items() if values}

    async def live(self, story: list[tuple[str, float]]) -> list[dict[str, list[str]]]:
        """Go through states, each for so many seconds; give what was shown at the end of each."""
        pages = []
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(_run(make)) for _, _, make in self.probes.tasks()]
            for state, seconds in story:
                self.online, self.fails = state != "offline", state == "failing"
                await self.wait(seconds)
                pages.append(self.shown())
            for task in running:
                task.cancel()
        return pages


async def _run(make: Callable[[], Awaitable[None]]) -> None:
    await make()


def test_last_values_vanish_two_intervals_after_the_last_probe() -> None:
    """Without a network of ours nothing is probed: what was true then is not said of now."""
    before, soon, later, again = run_virtual(
        World().live([("well", 60), ("offline", 9), ("offline", 13), ("well", 11)])
    )
    assert set(before) == set(LAST_VALUES)
    assert before["exchange_probe_success"] == ["1"]
    assert soon == before
    assert later == {}
    assert again["exchange_probe_success"] == ["1"]
    assert again["exchange_probe_resolved_addresses"] == ["1"]


def test_a_clock_of_the_config_stays_like_one_of_the_venue() -> None:
    """Of a service that no venue file knows, the clock is what an endpoint's `clock` says."""
    (shown,) = run_virtual(World(SERVICE).live([("well", 60)]))
    assert set(shown) == set(LAST_VALUES)


def test_a_failure_stays_while_its_breaker_forbids_to_ask_again() -> None:
    """An endpoint whose breaker is open is down, for as long as nobody may ask."""
    world = World()
    _, down = run_virtual(world.live([("well", 30), ("failing", 200)]))
    assert down == {"exchange_probe_success": ["0"]}
    assert next(iter(world.probes.endpoints.values())).breaker.state.openings > 1
