"""The control API over HTTP: what it takes, what it refuses and what it shows."""

from __future__ import annotations

import asyncio

import pytest

from exporter.simulator import Simulator
from exporter.simulator.kinds import FaultKind
from tests.simulator.client import PING, Stream, fetch, on


def test_faults_are_posted_listed_and_deleted_over_http() -> None:
    """What is posted is shown, strikes at its time, ends by its id, and is gone."""

    async def run() -> None:
        async with Simulator() as simulator:
            fault = {"fault": "error", "venue": "binance", "at": 60.0, "status": 501}
            _, _, later = await fetch(simulator, "/control/faults", method="POST", body=fault)
            _, _, (shown,) = await fetch(simulator, "/control/faults")
            assert (shown["id"], shown["active"], shown["status"]) == (later["id"], False, 501)
            assert (await fetch(simulator, PING))[0] == 200
            fault["at"] = 0.2
            _, _, made = await fetch(simulator, "/control/faults", method="POST", body=fault)
            await asyncio.sleep(0.3)
            assert (await fetch(simulator, PING))[0] == 501
            path = f"/control/faults/{made['id']}"
            assert (await fetch(simulator, path, method="DELETE"))[0] == 200
            assert (await fetch(simulator, path, method="DELETE"))[0] == 404
            assert (await fetch(simulator, PING))[0] == 200

    asyncio.run(run())


@pytest.mark.parametrize(
    ("path", "body", "complaint"),
    [
        ("faults", {"fault": "mut"}, "did you mean 'mute'?"),
        ("faults", 5, "expected a JSON object"),
        ("burst", {"venue": "x", "count": -1, "size": 1}, "count: expected 1 to 1000000, was -1"),
        ("burst", {"venue": "okx", "symbol": "X"}, "symbol: okx does not list 'X'"),
        ("disconnect", {"code": 7}, "code: expected 1000 to 4999, was 7"),
    ],
)
def test_wrong_commands_get_a_400_that_says_why(path: str, body: object, complaint: str) -> None:
    """Nothing is injected, and the answer names the key."""

    async def run() -> None:
        async with Simulator() as simulator:
            url = f"/control/{path}"
            status, _, answer = await fetch(simulator, url, method="POST", body=body)
            assert status == 400
            assert complaint in " ".join(answer["errors"])
            assert simulator.board.all() == ()

    asyncio.run(run())


def test_state_kinds_and_stats_describe_the_simulator() -> None:
    """Every kind is described; what was sent and asked is counted."""

    @on()
    async def scene(simulator: Simulator, stream: Stream) -> None:
        await fetch(simulator, PING)
        _, _, stats = await fetch(simulator, "/control/stats")
        assert stats["venues"]["binance"]["sent"]["btcusdt@trade"] >= 3
        assert stats["venues"]["binance"]["requests"] == {"/api/v3/ping 200": 1}
        _, _, state = await fetch(simulator, "/")
        assert state["venues"]["binance"]["topics"] == ["btcusdt@trade"]
        _, _, kinds = await fetch(simulator, "/control/kinds")
        assert set(kinds) == set(FaultKind)
        assert (await fetch(simulator, "/nope"))[0] == 404
