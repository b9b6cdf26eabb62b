"""When this site is cut off, no exchange is blamed for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live import programs
from tests.live.conftest import World, config
from tests.live.worlds import NO_LIMITS, simulated, watched

pytestmark = pytest.mark.live


def _domains(world: World) -> dict[tuple[str, str], float]:
    return {
        (s.labels["exchange"], s.labels["domain"]): s.value
        for s in world.scrape().found
        if s.name == "exchange_fault_domain"
    }


def _config(there: dict[str, str]) -> str:
    away = there.pop("kraken")
    target = f"{{name: away, url: '{away}/0/public/Time', interval: 300ms, timeout: 250ms}}"
    return config(there, f"control_targets: [{target}]")


def test_cut_off_we_skip_and_blame_the_path(tmp_path: Path) -> None:
    """With the control target away probes are skipped, none fails, and the path is at fault.

    Before, an exchange that answers wrongly is at fault itself; afterwards all is well again.
    """
    venues = "--venues=binance,okx,kraken"
    with simulated(tmp_path, _config, venues, NO_LIMITS) as simulator, watched(*simulator) as world:
        _check(world)


def _check(world: World) -> None:
    name = "exchange_exporter_local_network_up"
    programs.eventually(lambda: world.scrape().total(name, target="away") == 1, "up")
    programs.eventually(lambda: set(_domains(world).values()) == {0.0}, "all is well at first")
    world.inject(fault="error", venue="okx")
    programs.eventually(lambda: _domains(world)["okx", "exchange"] == 1, "OKX itself is at fault")
    assert _domains(world)["binance", "exchange"] == 0
    world.clear()
    programs.eventually(lambda: not any(_domains(world).values()), "all is well")
    before = world.scrape()
    world.inject(fault="error", venue="kraken")
    programs.eventually(
        lambda: (
            world.scrape().total("exchange_probe_skipped_total", reason="local_network")
            and _domains(world)["binance", "path"] == 1
        ),
        "probes are skipped",
    )
    cut = world.scrape()
    assert cut.total(name, target="away") == 0
    failures = "exchange_probe_failures_total"
    assert cut.total(failures) == before.total(failures)
    world.clear()
    programs.eventually(lambda: not any(_domains(world).values()), "all is well")
