"""What a person may change and see over the web, and what survives a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live import programs
from tests.live.conftest import World, config
from tests.live.worlds import NO_LIMITS, simulated, watched

pytestmark = pytest.mark.live
CHANGES = "server: {changes: true}"
STATE = "exchange_circuit_breaker_state"


def _config(there: dict[str, str]) -> str:
    return config(there, CHANGES)


def test_breakers_by_hand_and_failures_as_evidence(tmp_path: Path) -> None:
    """Tripped, an endpoint is skipped until it is reset; its failures can be read meanwhile."""
    with (
        simulated(tmp_path, _config, "--venues=binance", NO_LIMITS) as simulator,
        watched(*simulator) as world,
    ):
        name = programs.get_json(f"{world.url}/api/v1/exchanges/binance")["endpoints"][0]["name"]
        _trip(world, name)
        _fail(world, name)


def _trip(world: World, name: str) -> None:
    url = f"{world.url}/api/v1/exchanges/binance/endpoints/{name}/breaker"
    assert programs.post_json(url, {"action": "trip"}) == {"circuit": "open"}
    skipped = "exchange_probe_skipped_total"
    programs.eventually(
        lambda: world.scrape().total(skipped, endpoint=name, reason="breaker_open") >= 3,
        "probes are skipped",
    )
    assert world.scrape().values(STATE, endpoint=name, state="open") == [1.0]
    assert programs.post_json(url, {"action": "reset"}) == {"circuit": "closed"}
    assert world.scrape().values(STATE, endpoint=name, state="closed") == [1.0]
    for path, body, wrong in (
        ("binance/endpoints/nothing", {"action": "trip"}, "404 .*no endpoint"),
        ("nobody/endpoints/x", {"action": "trip"}, "404 .*no exchange"),
        (f"binance/endpoints/{name}", {"action": "burn"}, "400 .*expected"),
        (f"binance/endpoints/{name}", [], "400 .*expected"),
    ):
        with pytest.raises(AssertionError, match=wrong):
            programs.post_json(f"{world.url}/api/v1/exchanges/{path}/breaker", body)


def _fail(world: World, name: str) -> None:
    world.inject(fault="error", venue="binance", status=503)
    world.inject(fault="disconnect", venue="binance", code=4242, reason="go away")
    url = f"{world.url}/api/v1/exchanges/binance/failures"
    found = programs.eventually(
        lambda: (kept := programs.get_json(url))["endpoints"][name] and kept["streams"]["market"]
        and kept, "evidence of both",
    )  # fmt: skip
    probe = found["endpoints"][name][0]
    assert (probe["reason"], probe["status"]) == ("http_5xx", 503)
    assert set(probe["phases"]) >= {"processing", "transfer"}
    assert probe["body"]
    stream = found["streams"]["market"][0]
    assert (stream["reason"], stream["code"]) == ("server_close", 4242)
    assert stream["lived"] > 0.0


def test_a_ban_outlives_the_process(tmp_path: Path) -> None:
    """Killed in the middle of a ban, the next process keeps away until its very end."""
    storage = f"--storage.path={tmp_path / 'state'}"
    name = "exchange_rate_limit_banned_until_timestamp_seconds"
    with simulated(tmp_path, config, "--venues=binance", NO_LIMITS) as (simulator, url, file):
        with watched(simulator, url, file, storage) as world:
            world.inject(fault="ban", venue="binance", retry_after=600)
            until = programs.eventually(
                lambda: world.scrape().values(name, exchange="binance"), "banned"
            )
            world.clear()
            world.exporter.popen.kill()
        with watched(simulator, url, file, storage) as world:
            again = programs.eventually(
                lambda: world.scrape().values(name, exchange="binance"), "still banned"
            )
            assert again == until
            page = world.scrape()
            assert page.total("exchange_probes_total", exchange="binance") == 0
            skipped = "exchange_probe_skipped_total"
            assert page.total(skipped, exchange="binance", reason="banned") > 0
            assert world.exporter.end() == 0
        assert (tmp_path / "state" / "detectors.state").stat().st_size > 0
