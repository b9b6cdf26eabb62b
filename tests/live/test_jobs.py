"""Diagnostics on demand, over the web, against a running exporter."""

from __future__ import annotations

import json
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.live import programs
from tests.live.conftest import World, config
from tests.live.worlds import NO_LIMITS, simulated, watched

pytestmark = pytest.mark.live


def _config(there: dict[str, str]) -> str:
    # By name, so that there is something to resolve.
    named = {name: url.replace("127.0.0.1", "localhost") for name, url in there.items()}
    return config(named, "server: {changes: true}")


def _ended(world: World, number: int, status: str = "completed") -> Any:
    job = programs.eventually(
        lambda: (
            (found := programs.get_json(f"{world.url}/api/v1/jobs/{number}"))["ended"] and found
        ),
        "the job ended",
    )
    assert job["status"] == status, job
    return job


def _submit(world: World, **wanted: object) -> int:
    return int(programs.post_json(f"{world.url}/api/v1/jobs", wanted)["id"])


def test_diagnostics(tmp_path: Path) -> None:
    """A burst, an audit, a tap; a cancellation; mistakes that are named; all of it counted."""
    with (
        simulated(tmp_path, _config, "--venues=binance", NO_LIMITS) as simulator,
        watched(*simulator) as world,
    ):
        _burst(world)
        _audit_and_tap(world)
        _cancel(world)
        _mistakes(world)
        _wait_for_room(world)
        assert world.exporter.end() == 0
        assert "Traceback" not in world.exporter.output


def _burst(world: World) -> None:
    name = programs.get_json(f"{world.url}/api/v1/exchanges/binance")["endpoints"][0]["name"]
    number = _submit(world, kind="probe", exchange="binance", endpoint=name, count=4)
    result = _ended(world, number)["result"]
    assert "127.0.0.1" in result["addresses"]
    by_kind = {one["connection"]: one for one in result["series"] if one["address"] == "127.0.0.1"}
    assert set(by_kind) == {"new", "reused"}
    for kind, series in by_kind.items():
        assert (series["family"], series["probes"], series["failures"]) == ("IPv4", 4, {})
        assert 0.0 < series["fastest"] <= series["median"] <= series["slowest"] < 1.0
        for each in series["each"]:
            assert each["new_connection"] is (kind == "new")
            assert ("connect" in each["phases"]) is (kind == "new")


def _audit_and_tap(world: World) -> None:
    audited = _submit(world, kind="book_audit", exchange="binance", symbol="BTC-USDT")
    assert _ended(world, audited)["result"] == {"symbol": "BTC-USDT", "divergence_ratio": 0.0}
    audited = _submit(world, kind="book_audit", exchange="binance", retries=1)
    found = _ended(world, audited)["result"]["audits"]
    assert {each["symbol"]: each["divergence_ratio"] for each in found} == {
        "BTC-USDT": 0.0,
        "ETH-USDT": 0.0,
    }
    tapped = _submit(world, kind="tap", exchange="binance", stream="market", count=5)
    frames = _ended(world, tapped)["result"]["frames"]
    assert len(frames) == 5
    assert all(frame["text"].startswith("{") and frame["size"] > 10 for frame in frames)
    times = [frame["received"] for frame in frames]
    assert times == sorted(times)


def _cancel(world: World) -> None:
    world.inject(fault="mute", venue="binance")
    number = _submit(world, kind="tap", exchange="binance", stream="market", count=200)
    url = f"{world.url}/api/v1/jobs/{number}"
    programs.eventually(lambda: programs.get_json(url)["status"] == "running", "it runs")
    assert programs.post_json(url, None, method="DELETE") == {"id": number}
    _ended(world, number, "cancelled")
    with pytest.raises(AssertionError, match=r"409 .*cancelled already"):
        programs.post_json(url, None, method="DELETE")
    page = world.scrape()
    total = "exchange_exporter_jobs_ended_total"
    assert page.total(total, outcome="cancelled") == 1
    assert page.total(total, outcome="completed") == 4


def _wait_for_room(world: World) -> None:
    """A full line refuses; who sends ``Prefer: wait=60`` is taken once there is room."""
    tap = {"kind": "tap", "exchange": "binance", "stream": "market", "count": 100, "timeout": 100}
    # Two run, and twenty wait.
    taken = [_submit(world, **tap) for _ in range(22)]
    with pytest.raises(AssertionError, match=r"429 .*wait already"):
        _submit(world, **tap)
    body = json.dumps({**tap, "count": 1, "priority": 9}).encode()
    headers = {"Content-Type": "application/json", "Prefer": "wait=60"}
    request = urllib.request.Request(f"{world.url}/api/v1/jobs", body, headers)

    def cancel(number: int) -> None:
        programs.post_json(f"{world.url}/api/v1/jobs/{number}", None, method="DELETE")

    making_room = threading.Timer(0.5, cancel, (taken[0],))
    making_room.start()
    with urllib.request.urlopen(request, timeout=90.0) as answer:
        assert json.loads(answer.read())["id"] > taken[-1]
    making_room.join()
    for number in taken[1:]:
        cancel(number)


def _mistakes(world: World) -> None:
    for wanted, wrong in (
        ({"kind": "probe", "exchange": "nobody", "endpoint": "x"}, "404 .*no exchange"),
        ({"kind": "probe", "exchange": "binance", "endpoint": "x"}, "404 .*no endpoint"),
        ({"kind": "tap", "exchange": "binance", "stream": "x"}, "404 .*no stream"),
        ({"kind": "tap", "exchange": "binance", "stream": "market", "count": 0}, "400 .*>= 1"),
        ({"kind": "dance", "exchange": "binance"}, "400 .*dance"),
        ([], "400 "),
    ):
        with pytest.raises(AssertionError, match=wrong):
            programs.post_json(f"{world.url}/api/v1/jobs", wanted)
    with pytest.raises(AssertionError, match=r"404 .*no such job"):
        programs.get_json(f"{world.url}/api/v1/jobs/999")
    failed = _submit(world, kind="book_audit", exchange="binance", symbol="XXX-YYY")
    assert "no book" in _ended(world, failed, "failed")["error"]
