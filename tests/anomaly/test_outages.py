"""Whether an exchange is out is known soon: what is asked seldom is asked at once in doubt."""

from __future__ import annotations

import asyncio

from tests.runtime.running import running, wait_until

KEYS = "streams: [], endpoints: [{name: time, interval: 500ms}, {name: status, interval: 1h}]"


def test_an_endpoint_asked_once_an_hour_is_asked_when_another_fails() -> None:
    """One failure has the others asked at once, and once: those that answer are left alone."""

    async def run() -> None:
        async with running(["binance"], exchange=KEYS) as program:
            endpoints = program.exchange("binance").probing.endpoints
            await wait_until(lambda: all(each.last is not None for each in endpoints.values()))
            first = endpoints["status"].last
            fault = {"fault": "error", "venue": "binance", "endpoint": "*/time"}
            program.simulator.inject(fault)
            await wait_until(lambda: endpoints["status"].last is not first)
            again = endpoints["status"].last
            assert again is not None
            assert again.ok
            failures = endpoints["time"].failures
            await wait_until(lambda: len(failures) > 2)
            assert endpoints["status"].last is again

    asyncio.run(run())


def test_an_endpoint_with_a_limit_of_its_own_is_not_asked_too_soon() -> None:
    """OKX takes one status request in five seconds, and two in all: who asks out of turn waits."""

    async def run() -> None:
        async with running(["okx"], exchange="streams: []") as program:
            probing = program.exchange("okx").probing
            status = probing.endpoints["status"]
            await wait_until(lambda: status.last is not None)
            first = status.last
            assert first is not None
            assert first.ok
            await probing.ask_now()
            assert status.last is first
            await asyncio.sleep(7.0)
            await probing.ask_now()
            assert status.last is not first
            assert status.last.ok
            assert all(each.skipped is None for each in probing.endpoints.values())

    asyncio.run(run())
