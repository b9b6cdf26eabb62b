"""Every bound of every key is one that the program runs with, or one that `check` refuses."""

from __future__ import annotations

import asyncio
import copy
import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from exporter import venues
from exporter.cli import check
from exporter.config import Config, ConfigError, read
from exporter.config.kinds import One, Place
from exporter.config.section import ListKind, Section, TableKind, keys
from exporter.exchange.exchange import Exchange
from exporter.exchange.prices import Prices
from exporter.flow.concurrency import FairSemaphore
from exporter.http.client import HttpClient
from exporter.metrics import families
from exporter.metrics.registry import Registry
from exporter.model import Answer, Phase
from exporter.probes.bans import Bans
from exporter.probes.context import ExchangeContext
from exporter.runtime.anomalies import Anomalies
from exporter.runtime.local_health import ControlTargets
from exporter.runtime.storage import wants_storage
from exporter.web.server import Server
from tests.fakes import FakeClock, ScriptedSocket, run_virtual

BASE: Final[dict[str, Any]] = {
    "probes": {"interval": "1s", "timeout": "1s"},
    "exchanges": [
        {
            "name": "one",
            "venue": "binance",
            "symbols": ["BTC-USDT"],
            "endpoints": [{"name": "time", "expect": [{"matches": "serverTime"}]}],
            "streams": [{"name": "market", "channels": ["trades", "book"]}],
            "maintenance": [{"cron": "* * * * *", "duration": "1m"}],
        }
    ],
    "anomaly": {"signals": {"probe_latency": {}}},
    "control_targets": [{"name": "near", "url": "http://127.0.0.1:9/"}],
}
LASTING: Final = 8.0  # virtual seconds: the first round of probes, and some of the quickest


def places(section: Section[Any], place: Place, within: Any) -> Iterator[tuple[Place, Any]]:
    """Yield every key that the base reaches with each of the values on its bounds."""
    for name, each in keys(section.of).items():
        yield from _of_kind(each.kind, (*place, name), (within or {}).get(name))


def _of_kind(kind: object, place: Place, within: Any) -> Iterator[tuple[Place, Any]]:
    match kind:
        case Section():
            yield from places(kind, place, within)
        case ListKind(kind=Section()) | TableKind(kind=Section()) if within:
            pairs = within.items() if isinstance(within, dict) else enumerate(within)
            for number, item in pairs:
                yield from _of_kind(kind.kind, (*place, number), item)
        case ListKind(kind=One() as item):
            for value in _bounds(item):
                yield place, [value]
            if kind.least == 0:
                yield place, []
        case One():
            for value in _bounds(kind):
                yield place, value


def _bounds(kind: One[Any]) -> list[Any]:
    shape = kind.shape
    if shape == {"type": "boolean"}:
        return [True, False]
    if "enum" in shape:
        return list(shape["enum"])
    found = re.fullmatch(r"a (?:\w+ )?(\w+) from (\S+) to (\S+)", kind.expected)
    if found is None:
        return []
    if "minimum" in shape:
        return [shape["minimum"], shape["maximum"]]
    return [found[2], found[3]]


def _with(place: Place, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(BASE)
    node: Any = document
    for part in place[:-1]:
        node = node.setdefault(part, {}) if isinstance(node, dict) else node[part]
    node[place[-1]] = value
    return document


async def _work(config: Config) -> None:
    """Make all that a config asks for, and let it work for a while. Raises what tasks raise."""
    clock = FakeClock()
    registry = Registry(
        series_limit=config.metrics.series_limit,
        buckets={
            families.PROBE_DURATION.name: config.metrics.probe_buckets,
            families.STREAM_LATENCY.name: config.metrics.latency_buckets,
        },
    )

    async def fetch(
        method: str, url: str, *, headers: Mapping[str, str], timeout: float, body_limit: int,
        body: bytes | None = None,
    ) -> Answer:  # fmt: skip
        await clock.sleep(0.001)
        said = json.dumps({"serverTime": int(clock.wall() * 1000)}).encode()
        phases = {Phase.PROCESSING: 0.001}
        return Answer(status=200, headers={}, body=said, new_connection=False, phases=phases)

    async def connect(url: str) -> ScriptedSocket:
        return ScriptedSocket(clock)

    slots = FairSemaphore(config.probes.concurrency)
    around = ExchangeContext(
        config=config,
        registry=registry,
        fetch=fetch,
        dial=lambda bounds, meter, on_ping_rtt: connect,
        clock=clock,
        slots=slots.share(1),
        probed=lambda done: None,
        online=lambda: True,
        bans=Bans(),
    )
    Server("127.0.0.1:0", {}, limits=config.server, body=config.server.body_limit)
    Prices(config.prices, registry)
    exchanges = [Exchange(each, venues.load(each.venue), around) for each in config.exchanges]
    controls = ControlTargets(config.control_targets, registry, fetch, clock)
    anomalies = Anomalies(registry, clock)
    await anomalies.follow(config)
    HttpClient(
        limit=config.probes.connections,
        limit_per_host=config.probes.connections_per_host,
        dns_ttl=config.probes.dns_cache,
    )
    with suppress(TimeoutError):
        async with asyncio.timeout(LASTING), asyncio.TaskGroup() as tasks:
            for exchange in exchanges:
                for _, _, make in exchange.tasks():
                    tasks.create_task(_run(make))
            for _, _, make in controls.tasks():
                tasks.create_task(_run(make))
            while True:
                await clock.sleep(1.0)
                for exchange in exchanges:
                    exchange.tick(clock.wall())
                await anomalies.judging.tick(exchanges, {})


async def _run(make: Callable[[], Awaitable[None]]) -> None:
    await make()


def test_what_check_calls_good_runs() -> None:
    """No key at a bound of its own, or any of its words, makes a task fail or end."""
    wrong, ran, refused = [], 0, 0
    for place, value in places(Section(Config), (), BASE):
        text = json.dumps(_with(place, value))
        try:
            config = read(text, "bounds.yml", venues.names(), venues.load, {})
        except ConfigError:
            refused += 1
            continue
        if wants_storage(config):
            continue  # `run` refuses it without --storage.path
        try:
            check.report("bounds.yml", config)
            run_virtual(_work(config))
        except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - its key is what we name
            leaf = error
            while isinstance(leaf, BaseExceptionGroup):
                leaf = leaf.exceptions[0]
            wrong.append((place, value, repr(leaf)))
        ran += 1
    assert not wrong, "\n".join(map(str, wrong))
    assert ran > 150, (ran, refused)
