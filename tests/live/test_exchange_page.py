"""The page of one exchange: its history over a restart, its failures, and news by events."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

from exporter.runtime.timelines import CELL, Timelines
from exporter.web.state import Health
from tests.live import programs
from tests.live.conftest import config
from tests.live.worlds import NO_LIMITS, simulated, watched

pytestmark = pytest.mark.live


def _down_an_hour_ago(file: Path, now: float) -> float:
    """Write what a process before would have left: kraken down for ten minutes; return when."""
    before = Timelines()
    began = now // CELL * CELL - 3600.0
    for cell in range(2):
        before.note("kraken", Health.DOWN, CELL, began + cell * CELL)
    file.parent.mkdir()
    file.write_bytes(before.encode())
    return began


def test_history_failures_and_news(tmp_path: Path) -> None:
    """What was wrong before the start is on the page and stays saved; a fault is news at once."""
    storage = tmp_path / "state"
    with simulated(tmp_path, config, "--venues=kraken,okx", NO_LIMITS) as (simulator, url, file):
        began = _down_an_hour_ago(storage / "timelines.json", file.stat().st_mtime)
        with watched(simulator, url, file, f"--storage.path={storage}") as world:
            seen = json.loads(programs.get(f"{world.url}/api/v1/exchanges/kraken"))["timeline"]
            (down,) = [each for each in seen if each["health"] == "down"]
            assert (down["start"], down["end"]) == (began, began + 2 * CELL)
            with urllib.request.urlopen(f"{world.url}/events", timeout=60) as stream:
                assert stream.headers["Content-Type"].startswith("text/event-stream")
                assert stream.readline().startswith(b'data: {"now":')
            world.inject(fault="error", venue="kraken", status=503)
            page = f"{world.url}/exchanges/kraken"
            programs.eventually(lambda: "http_5xx 503" in programs.get(page), "it has the failure")
            text = programs.get(page)
            assert "down 10 min" in text
            assert "Last failures" in text
            assert "OKX" not in text.partition("<main>")[2]
            assert '<a href="/exchanges/kraken">' in programs.get(f"{world.url}/")
            with pytest.raises(AssertionError, match="404 no exchange"):
                programs.get(f"{world.url}/exchanges/nobody")
        kept = json.loads((storage / "timelines.json").read_bytes())["cells"]["kraken"]
        assert kept[str(int(began // CELL))] == [0.0, 0.0, CELL]
