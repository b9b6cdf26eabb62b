"""Our own network counts as down only when everything that we asked says so."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import pairwise

from exporter.contracts import FetchFailedError
from exporter.model import Answer, Reason
from exporter.probes.network import Network, control_target
from tests.fakes import FakeClock, run_virtual


class World:
    """``contracts.Fetch`` that answers 204 for what is up, and knows when it was asked."""

    def __init__(self) -> None:
        self.down: set[str] = set()
        self.asked: list[tuple[float, str]] = []

    async def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        timeout: float,
        body_limit: int,
        body: bytes | None = None,
    ) -> Answer:
        self.asked.append((asyncio.get_running_loop().time(), url))
        if url in self.down:
            raise FetchFailedError(Reason.CONNECT_TIMEOUT)
        return Answer(status=204, headers={}, body=b"", new_connection=True, phases={})


def test_online_until_every_target_fails() -> None:
    """One that still answers is enough; so is one that was not asked yet, or none at all."""
    world, heard = World(), list[tuple[str, bool]]()

    async def main() -> None:
        clock = FakeClock()
        targets = [
            control_target(name, name, interval=10.0, timeout=1.0) for name in ("one", "two")
        ]
        network = Network(targets, clock=clock, report=lambda *told: heard.append(told))
        assert network.online
        world.down = {"one", "two"}
        async with asyncio.TaskGroup() as tasks:
            watching = [tasks.create_task(network.watch(targets[0], world))]
            await asyncio.sleep(25.0)
            assert (network.online, network.down) == (True, 1)
            watching.append(tasks.create_task(network.watch(targets[1], world)))
            await asyncio.sleep(5.0)
            assert (network.online, network.down) == (False, 2)
            world.down = {"one"}
            await asyncio.sleep(10.0)
            assert (network.online, dict(network.up)) == (True, {"one": False, "two": True})
            for each in watching:
                each.cancel()
        assert Network([], clock=clock, report=lambda *told: None).online

    run_virtual(main())
    assert ("one", False) in heard
    assert ("two", True) in heard


def test_a_target_is_asked_once_an_interval() -> None:
    """The first time at once, then in even steps."""
    world = World()

    async def main() -> None:
        target = control_target("one", "one", interval=10.0, timeout=1.0)
        network = Network([target], clock=FakeClock(), report=lambda *told: None)
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(network.watch(target, world))
            await asyncio.sleep(100.0)
            watching.cancel()

    run_virtual(main())
    times = [time for time, _ in world.asked]
    assert times[0] == 0.0
    assert times[1] <= 10.0
    assert {round(b - a, 6) for a, b in pairwise(times[1:])} == {10.0}
