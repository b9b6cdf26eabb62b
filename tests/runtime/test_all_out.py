"""All exchanges out at once, and back again, as an Alertmanager hears of it; work in bites."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from aiohttp import web

from exporter.anomaly.outage import OutageRule
from exporter.flow.cooperative import MOST, in_cooperative_steps
from tests.fakes import FakeClock, run_virtual
from tests.runtime.running import Running, running, wait_until

PROBES = "probes: {interval: 300ms, timeout: 250ms}"
BREAKER = "breaker: {failures: 2, recovery: 200ms, recovery_cap: 400ms}"
TIME = "endpoints: [{name: time}], streams: [{name: s, channels: [trades]}]"
NO_STREAMS = f"streams: [], limits: {{weight: 1000000, share: 100%}}, {BREAKER}"


class Told:
    """An Alertmanager that only remembers: the newest of each alert, by name and exchange."""

    def __init__(self) -> None:
        self.alerts: dict[tuple[str, str], dict[str, Any]] = {}

    async def take(self, request: web.Request) -> web.Response:
        """Answer one post."""
        for alert in json.loads(await request.text()):
            labels = alert["labels"]
            self.alerts[labels["alertname"], labels.get("exchange", "")] = alert
        return web.json_response({})

    def ends(self, name: str, exchange: str = "") -> float:
        """Return how far the end of an alert that was told is away, in seconds."""
        end = datetime.fromisoformat(self.alerts[name, exchange]["endsAt"])
        return (end - datetime.now(end.tzinfo)).total_seconds()


@asynccontextmanager
async def told() -> AsyncIterator[tuple[Told, str]]:
    """Serve an Alertmanager; return it and its URL."""
    found = Told()
    app = web.Application()
    app.router.add_post("/api/v2/alerts", found.take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield found, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def active(program: Running) -> set[tuple[str, str]]:
    """Return the name and exchange of each alert that the page says is pushed."""
    name = "exchange_exporter_alert_active"
    found = [sample for sample in await program.metrics() if sample.startswith(f"{name}{{")]
    labels = [dict(re.findall(r'(\w+)="([^"]*)"', sample)) for sample in found]
    return {(each["alert"], each["exchange"]) for each in labels}


def _fail(program: Running, venue: str) -> None:
    program.simulator.inject({"fault": "reset", "venue": venue})


def test_exchanges_without_streams_alone_together_and_over() -> None:
    """Without streams, endpoints alone tell. One is out: it. All are: one alert, not one each.

    When they answer again no end is said, which is the rules': what was pushed ends with its lease,
    and its series, which the rules read, are gone.
    """

    async def test() -> None:
        async with told() as (alertmanager, url):
            shared = f"{PROBES}\nalertmanagers: [{{url: '{url}'}}]"
            async with running(("binance", "bybit"), exchange=NO_STREAMS, shared=shared) as program:
                program.app.anomalies.outages.rule = OutageRule(agreed=0.3, clear=0.5)
                await wait_until(lambda: all(each.begun for each in program.app.exchanges))
                alerts = alertmanager.alerts
                _fail(program, "bybit")
                await wait_until(lambda: ("ExchangeDown", "bybit") in alerts, timeout=20.0)
                text = alerts["ExchangeDown", "bybit"]["annotations"]["description"]
                assert text.startswith("No endpoint of bybit is up. Seen by")
                _fail(program, "binance")
                await wait_until(lambda: ("ExchangeAllDown", "") in alerts, timeout=20.0)
                assert alerts["ExchangeAllDown", ""]["labels"] == {
                    "alertname": "ExchangeAllDown",
                    "severity": "critical",
                    "category": "availability",
                    "job": "exchange-exporter",
                }
                assert await active(program) == {("ExchangeAllDown", ""), ("ExchangeDown", "bybit")}
                program.simulator.clear()
                firing = program.app.anomalies.alerts.firing
                await wait_until(lambda: not firing(), timeout=20.0)
                assert not await active(program)
                assert 200.0 < alertmanager.ends("ExchangeDown", "bybit") <= 240.0
                assert 200.0 < alertmanager.ends("ExchangeAllDown") <= 240.0
                assert ("ExchangeDown", "binance") not in alerts

    asyncio.run(asyncio.wait_for(test(), 60.0))


def test_who_says_first_that_it_is_out_waits_for_the_others() -> None:
    """All connections are lost at once: one exchange refuses, the other lets its probes time out.

    The first is known to be out a timeout before the second, and is not told by itself.
    """

    async def test() -> None:
        async with told() as (alertmanager, url):
            shared = f"probes: {{interval: 4s, timeout: 3s}}\nalertmanagers: [{{url: '{url}'}}]"
            async with running(("binance", "bybit"), exchange=TIME, shared=shared) as program:
                outages = program.app.anomalies.outages
                outages.rule = OutageRule(agreed=0.1, clear=0.5)
                await wait_until(
                    lambda: all(
                        each.streams[0].connected
                        and all(state.last for state in each.probing.endpoints.values())
                        for each in program.app.exchanges
                    )
                )
                for venue, fault in (("binance", "timeout"), ("bybit", "reset")):
                    program.simulator.inject({"fault": fault, "venue": venue})
                    program.simulator.inject({"fault": "disconnect", "venue": venue})
                await wait_until(lambda: outages.out("bybit"), timeout=20.0)
                assert not outages.out("binance")
                await wait_until(lambda: ("ExchangeAllDown", "") in alertmanager.alerts, 20.0)
                assert alertmanager.alerts.keys() == {("ExchangeAllDown", "")}

    asyncio.run(asyncio.wait_for(test(), 60.0))


def test_long_work_is_done_in_bites() -> None:
    """Others get a turn after every few items, and none is left out."""
    done, turns = list[int](), list[int]()

    class Counting(FakeClock):
        async def sleep(self, duration: float) -> None:
            turns.append(len(done))
            await asyncio.sleep(duration)

    run_virtual(in_cooperative_steps(range(3 * MOST + 1), done.append, Counting()))
    assert done == list(range(3 * MOST + 1))
    assert turns == [MOST, 2 * MOST, 3 * MOST]
