"""Every exchange goes away at once, and comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live import programs
from tests.live.conftest import Samples, config, places

pytestmark = [pytest.mark.live, pytest.mark.timeout(240), pytest.mark.xdist_group("outage")]

VENUES = "--venues=binance,bybit,okx"


def all_down(page: Samples) -> bool:
    """No stream is connected and every breaker has opened."""
    return (
        not any(page.values("exchange_stream_connected"))
        and not any(page.values("exchange_circuit_breaker_state", state="closed"))
        and not any(page.values("exchange_probe_success"))
    )


def all_green(page: Samples) -> bool:
    """Every stream is connected, all subscriptions are live, every probe succeeds."""
    return (
        all(page.values("exchange_stream_connected"))
        and page.total("exchange_stream_subscriptions", state="live") == 18
        and all(page.values("exchange_probe_success"))
        and all(page.values("exchange_circuit_breaker_state", state="closed"))
    )


def test_killed_and_back(tmp_path: Path) -> None:
    """All goes red, nothing crashes, memory stays; all goes green again without a restart."""
    address = f"--listen-address=127.0.0.1:{programs.free_port()}"
    file = tmp_path / "exchanges.yml"
    port = programs.free_port()
    url = f"http://127.0.0.1:{port}"

    def page() -> Samples:
        return Samples(programs.get(f"{url}/metrics"))

    with programs.command("simulate", address, VENUES, "--no-limits") as simulator:
        simulator.wait_line("ready ")
        file.write_text(config(places(simulator.lines)))
        with programs.command(
            "run", f"--config.file={file}", f"--web.listen-address=127.0.0.1:{port}"
        ) as exporter:
            programs.eventually(lambda: all_green(page()), "all is green")
            before = exporter.memory()
            simulator.popen.kill()
            simulator.popen.wait()
            programs.eventually(lambda: all_down(page()), "all is red")
            with programs.command("simulate", address, VENUES, "--no-limits") as again:
                again.wait_line("ready ")
                # Breakers rest for at most 2 s here, streams for 1 s: the config's caps. OKX's
                # status may be asked once in 5 s, whatever the interval.
                programs.eventually(lambda: all_green(page()), "all is green again")
                assert exporter.memory() < before + 10e6
                assert page().total("exchange_exporter_task_restarts_total") == 0
                assert exporter.end() == 0
            assert "Traceback" not in exporter.output
