"""A running exporter follows its config, refuses a bad one, and ends in good order."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live import programs
from tests.live.conftest import World, config, places

pytestmark = pytest.mark.live
THREE = ("--venues=binance,okx,kraken", "--no-limits")
CHANGES = "server: {changes: true}"


def _begun(world: World, exchange: str) -> list[float]:
    """When the exchange's connection was made: another moment is another connection."""
    page = world.scrape()
    return page.values(
        "exchange_stream_connection_start_timestamp_seconds", exchange=exchange, stream="market"
    )


def test_reload_leaves_untouched_exchanges_alone(
    start: Callable[..., World], tmp_path: Path
) -> None:
    """One exchange is removed, one changed, one kept: it keeps its connection and its counts.

    The series of the removed one are gone, all of them; asked back it begins anew.
    """
    world = start(*THREE, extra=CHANGES)
    file, there = tmp_path / "exchanges.yml", places(world.simulator.lines)
    programs.eventually(lambda: _begun(world, "binance"), "binance streams")
    begun, before = _begun(world, "binance"), world.scrape()
    less = {name: url for name, url in there.items() if name != "kraken"}
    text = config(less, CHANGES)
    file.write_text(
        text.replace("failures: 5", "failures: 7", 2).replace("failures: 7", "failures: 5", 1)
    )
    answer = programs.post_json(f"{world.url}/-/reload", None)
    assert answer == {
        "added": [], "removed": ["kraken"], "restarted": ["okx"], "kept": ["binance"],
        "at_next_start": [],
    }  # fmt: skip
    after = world.scrape()
    assert begun == _begun(world, "binance")
    name = "exchange_probes_total"
    assert after.total(name, exchange="binance") >= before.total(name, exchange="binance")
    assert not [s for s in after.found if "kraken" in s.labels.values()]
    assert after.total("exchange_exporter_config_last_reload_successful") == 1
    hashes = [
        {s.labels["hash"] for s in page.found if s.name == "exchange_exporter_config_info"}
        for page in (before, after)
    ]
    assert len(hashes[1]) == 1
    assert hashes[0] != hashes[1]
    file.write_text(config(there, CHANGES))
    world.exporter.popen.send_signal(signal.SIGHUP)
    programs.eventually(lambda: _begun(world, "kraken"), "kraken streams again")
    assert begun == _begun(world, "binance")
    programs.eventually(lambda: programs.get(f"{world.url}/-/ready"), "ready again")
    assert [line for line in world.exporter.lines if "task_failed" in line] == []


def test_a_bad_config_is_refused_and_says_why(start: Callable[..., World], tmp_path: Path) -> None:
    """The old one stays in force; the response, the log and the gauge tell of the mistake."""
    world = start("--venues=binance", "--no-limits", extra=CHANGES)
    begun = programs.eventually(lambda: _begun(world, "binance"), "binance streams")
    file = tmp_path / "exchanges.yml"
    good = file.read_text()
    file.write_text(good.replace("interval: 500ms", "interval: never"))
    with pytest.raises(AssertionError, match=r"(?s)500 .*probes\.interval: found .*never"):
        programs.post_json(f"{world.url}/-/reload", None)
    page = world.scrape()
    assert page.values("exchange_exporter_config_last_reload_successful") == [0.0]
    assert _begun(world, "binance") == begun
    assert re.search(r"config_refused mistake=.*probes\.interval", world.exporter.output)
    refused = "the one before stays in force: "
    assert re.search(f"{refused}.*probes\\.interval", programs.get(world.url))
    file.write_text(good)
    world.exporter.popen.send_signal(signal.SIGHUP)
    name = "exchange_exporter_config_last_reload_successful"
    programs.eventually(lambda: world.scrape().total(name) == 1, "mended")
    assert _begun(world, "binance") == begun
    assert refused not in programs.get(world.url)


def test_reload_is_closed_unless_opened(start: Callable[..., World]) -> None:
    """Nobody changes anything over the web by default; the answer names the key that allows it."""
    world = start("--venues=binance", "--no-limits")
    with pytest.raises(AssertionError, match=r"403 .*server\.changes"):
        programs.post_json(f"{world.url}/-/reload", None)
    assert world.exporter.end(signal.SIGTERM) == 0


def test_sigterm_drains(start: Callable[..., World]) -> None:
    """Streams are closed by us, the venue sees a proper close, and the exit is clean and quick."""
    world = start(*THREE)
    programs.eventually(lambda: _begun(world, "kraken"), "kraken streams")
    assert world.exporter.end(signal.SIGTERM) == 0
    output = world.exporter.output
    assert "stopping exchanges=3" in output
    assert "stopped" in output
    assert "tasks_still_running" not in output
    assert "Traceback" not in output

    def closed() -> bool:
        stats = programs.get_json(f"{world.simulator_url}/control/stats")
        return [venue["streams"] for venue in stats["venues"].values()] == [0, 0, 0]

    programs.eventually(closed, "the venues have seen the ends")
