"""Every endpoint has its turn, whatever the names, the limits, bans and restarts make of it."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import config as settings
from exporter import contracts, venues
from exporter.cli import _requests as requests
from exporter.cli._estimate import weights
from exporter.config import Config
from exporter.flow.concurrency import FairSemaphore
from exporter.flow.rate_limit import RateLimitRules
from exporter.metrics.registry import Registry
from exporter.model import Answer, Phase, Target
from exporter.probes.bans import Bans
from exporter.probes.context import ExchangeContext
from exporter.probes.exchange_probes import ExchangeProbes
from exporter.probes.schedule import Turns, foresee, phases
from tests.fakes import FakeClock, run_virtual

RUNS = int(os.environ.get("SCHEDULES", "60"))
BAN = 30.0  # seconds that the made venue asks for


def some_config(seed: int) -> Config:
    """Return a config of one exchange: any venue, names, intervals, weights and limits."""
    chance = random.Random(seed)
    venue = venues.load(chance.choice(sorted(set(venues.names()))))
    endpoints: list[dict[str, Any]] = []
    for number in range(chance.randint(1, 8)):
        name = "".join(chance.choices("abcdefghij", k=4)) + str(number)
        endpoint: dict[str, Any] = {"name": name, "path": f"/{name}"}
        endpoint["interval"] = f"{chance.choice((1, 2, 5, 7.5, 10, 15, 20, 30, 60))}s"
        endpoint["weight"] = chance.choice((1, 1, 2, 5, 10, 20))
        endpoints.append(endpoint)
    for own in venue.endpoints:
        if own.pace and chance.random() < 0.7:
            endpoints.append({"name": own.name, "interval": f"{chance.choice((10, 15, 30))}s"})
    exchange: dict[str, Any] = {
        "name": "".join(chance.choices("klmnopqrst", k=6)),
        "venue": venue.name,
        "symbols": ["BTC-USDT"],
        "endpoints": endpoints,
        "streams": [],
    }
    limits: dict[str, Any] = {"share": f"{chance.choice((1, 2, 5, 10, 30, 50, 90))}%"}
    if chance.random() < 0.5:
        limits["weight"] = chance.choice((60, 200, 600, 1200, 6000))
    exchange["limits"] = limits
    text = json.dumps({"exchanges": [exchange]})
    return settings.read(text, "made.yml", venues.names(), venues.load, {})


def spoken(name: str) -> contracts.Venue:
    """Return a venue that takes any answer for a good one: the limits are what matters here."""
    venue = venues.load(name)
    endpoints = tuple(replace(each, clock=None, status=None) for each in venue.endpoints)
    return replace(venue, fault=lambda answer: None, endpoints=endpoints)


@dataclass
class Site:
    """Answers at once; from each moment of ``bans`` on it wants to hear nothing for a while."""

    clock: FakeClock
    bans: list[float]
    sent: dict[str, list[float]] = field(default_factory=dict)
    banned: list[tuple[float, float]] = field(default_factory=list)  # begin and end

    async def __call__(
        self, method: str, url: str, *, headers: Mapping[str, str], timeout: float, body_limit: int,
        body: bytes | None = None,
    ) -> Answer:  # fmt: skip
        now = self.clock.monotonic()
        path = url.split("//", 1)[1].partition("/")[2]
        self.sent.setdefault(path, []).append(now)
        status, said = 200, dict[str, str]()
        if self.bans and now >= self.bans[0]:
            self.bans.pop(0)
            self.banned.append((now, now + BAN))
            status, said = 429, {"retry-after": f"{BAN:.0f}"}
        phase = {Phase.PROCESSING: 0.0}
        return Answer(status=status, headers=said, body=b"{}", new_connection=False, phases=phase)


async def live(config: Config, lasting: float, bans: list[float], restarts: list[float]) -> Site:
    """Run the probes of a config, begun anew at some moments; return what its site saw."""
    clock, kept = FakeClock(), Bans()
    site = Site(clock, bans)
    exchange = config.exchanges[0]
    for begin, end in zip([0.0, *restarts], [*restarts, lasting], strict=True):
        around = ExchangeContext(
            config=config,
            registry=Registry(),
            fetch=site,
            dial=lambda bounds, meter, on_ping_rtt: None,  # type: ignore[arg-type, return-value] # no streams
            clock=clock,
            slots=FairSemaphore(50).share(1),
            probed=lambda done: None,
            online=lambda: True,
            bans=kept,
        )
        probing = ExchangeProbes(exchange, spoken(exchange.venue), around, around.registry)
        with suppress(TimeoutError):
            async with asyncio.timeout(end - begin), asyncio.TaskGroup() as tasks:
                for _, _, make in probing.tasks():
                    tasks.create_task(_run(make))
    return site


async def _run(make: Callable[[], Awaitable[None]]) -> None:
    await make()


def longest(sent: list[float], starts: list[float], site: Site, end: float) -> float:
    """Return the longest wait for a probe: since the last one, a start, or the end of a ban."""
    moments = sorted({*starts, *sent, *(stop for _, stop in site.banned)})
    worst = 0.0
    for begun in moments:
        if any(start <= begun < stop for start, stop in site.banned):
            continue  # from the ban's end on it counts
        following = min((time for time in sent if time > begun), default=end)
        cut = min((start for start, _ in site.banned if start > begun), default=end)
        again = min((time for time in starts if time > begun), default=end)
        worst = max(worst, min(following, cut, again) - begun)
    return worst


def judge(seed: int) -> tuple[bool, str]:
    """Return whether `check` calls the config of a seed good, and what is wrong in its run."""
    try:
        config = some_config(seed)
    except settings.ConfigError:
        return False, ""
    exchange = config.exchanges[0]
    venue = venues.load(exchange.venue)
    crowded = (each.used > each.allowed for each in weights(exchange, venue, config))
    if any(crowded) or requests.late(exchange, venue, config):
        return False, ""
    chance = random.Random(f"world {seed}")
    targets = settings.targets(exchange, venue, config.probes)
    slowest = max(target.interval for target in targets)
    lasting = 8.0 * slowest + 200.0
    bans = sorted(chance.uniform(0.0, lasting) for _ in range(chance.randint(0, 2)))
    restarts = sorted(chance.uniform(0.0, lasting) for _ in range(chance.randint(0, 2)))
    site = run_virtual(live(config, lasting, bans, restarts))
    for target in targets:
        path = target.url.split("//", 1)[1].partition("/")[2]
        found = longest(site.sent.get(path, []), [0.0, *restarts], site, lasting)
        if found > 2.0 * target.interval + 0.001:
            return True, f"seed {seed}: {target.endpoint} waited {found:.1f} s: {exchange}"
    return True, ""


def test_every_endpoint_is_probed_within_two_intervals() -> None:
    """With any config that check calls good, over bans and restarts (SCHEDULES=20000 for all)."""
    outcomes = [judge(seed) for seed in range(RUNS)]
    assert not [wrong for _, wrong in outcomes if wrong]
    good = sum(fine for fine, _ in outcomes)
    assert RUNS / 6 < good < RUNS, good


@given(
    intervals=st.lists(st.sampled_from((1.0, 5.0, 10.0, 30.0, 60.0)), min_size=2, max_size=9),
    name=st.text(min_size=1, max_size=12),
)
def test_places_keep_turns_apart(intervals: list[float], name: str) -> None:
    """No two endpoints of one exchange ask in the same moment, and places outlive a restart."""
    targets = [
        Target(exchange=name, endpoint=f"e{n}", url="http://acme.example/", interval=interval)
        for n, interval in enumerate(intervals)
    ]
    places = phases(targets)
    assert places == phases(targets[::-1])
    for one, other in combinations(targets, 2):
        common = min(one.interval, other.interval)  # they divide each other
        apart = places[one.endpoint] * one.interval - places[other.endpoint] * other.interval
        assert min(apart % common, -apart % common) >= common / 33


def test_what_will_be_late_is_foreseen() -> None:
    """Five of weight 1 every 10 s in a limit of 4 per 10 s: turns are late, then skipped."""
    limit = RateLimitRules(weight=4, window=10.0, share=1.0)
    turns = [Turns(name=f"e{n}", interval=10.0, weight=1, place=n / 5) for n in range(5)]
    found = foresee(turns, [limit])
    assert max(each.gap for each in found.values()) > 12.0
    assert sum(each.skipped for each in found.values()) > 0
    assert all(each.gap < 15.5 for each in foresee(turns[:3], [limit]).values())


def test_a_pace_of_its_own_is_foreseen() -> None:
    """An endpoint that the venue allows once in 5.5 s cannot be probed every 2 s."""
    (found,) = foresee(
        [Turns(name="status", interval=2.0, weight=1, place=0.5, pace=5.5)], []
    ).values()
    assert found.skipped > 0 or found.gap >= 5.5


@pytest.mark.parametrize("name", sorted(venues.names()))
def test_no_default_config_starves(name: str) -> None:
    """Whatever the exchange is called, the venue's own endpoints at the usual pace are in time."""
    venue = venues.load(name)
    for number in range(50):
        symbols = venues.listed(venue, ["BTC-USDT"])
        row = {"name": f"x{number}", "venue": name, "symbols": symbols}
        config = settings.read(
            json.dumps({"exchanges": [row]}), "d.yml", venues.names(), venues.load, {}
        )
        assert requests.late(config.exchanges[0], venue, config) == {}
